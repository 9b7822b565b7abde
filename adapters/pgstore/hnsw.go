package pgstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"imago/config"
	"imago/ports"
)

// The largest vectors that pgvector stores, and that its HNSW index takes in
// either precision: https://github.com/pgvector/pgvector#reference
const (
	maxDimension     = 16000
	maxHNSWFull      = 2000
	maxHNSWHalf      = 4000
	hnswPrefix       = "faces_hnsw_"
	buildRetryPeriod = time.Minute
)

// hnswIndex is the HNSW index of the table faces and its builder. Searches are exact
// until the index is complete, so that imago serves while a large one is built.
type hnswIndex struct {
	name     string
	create   string // the statement that builds it
	search   string // the query that uses it
	settings string // that the query needs

	names   *names
	connect *pgx.ConnConfig
	log     *slog.Logger

	ready   chan struct{} // closed when searches may use it
	stop    context.CancelFunc
	stopped chan struct{} // closed when the builder has ended
}

// checkIndex refuses vectors that the database could not hold or index, and
// parameters that pgvector does not take.
func checkIndex(cfg config.PGVectorStore, dimension int) error {
	limit, what := maxDimension, "pgvector stores"
	if cfg.Index == config.IndexHNSW {
		limit, what = maxHNSWFull, "its HNSW index takes without store.pgvector.halfvec"
		if cfg.HalfVec {
			limit, what = maxHNSWHalf, "its HNSW index takes"
		}
	}
	if dimension < 1 || dimension > limit {
		return fmt.Errorf("%w: dimension %d, where %s 1 to %d", ports.ErrInvalid, dimension, what, limit)
	}
	if cfg.Index == config.IndexHNSW && cfg.HNSW.EfConstruction < 2*cfg.HNSW.M {
		return fmt.Errorf("%w: store.pgvector.hnsw.ef_construction is %d, less than twice m (%d)",
			ports.ErrInvalid, cfg.HNSW.EfConstruction, cfg.HNSW.M)
	}
	return nil
}

// hnswName tells how an index is built, so that other parameters mean another
// index.
func hnswName(cfg config.PGVectorStore) string {
	precision := "full"
	if cfg.HalfVec {
		precision = "half"
	}
	return fmt.Sprintf("%s%s_m%d_ef%d", hnswPrefix, precision, cfg.HNSW.M, cfg.HNSW.EfConstruction)
}

// newHNSWIndex describes the index of a configuration.
func newHNSWIndex(cfg config.PGVectorStore, dimension int, names *names, connect *pgx.ConnConfig, log *slog.Logger) *hnswIndex {
	key, class, order := "vector", "vector_ip_ops", "vector OPERATOR({pgvector}.<#>) $2"
	if cfg.HalfVec {
		class = "halfvec_ip_ops"
		key = fmt.Sprintf("(vector::{pgvector}.halfvec(%d))", dimension)
		order = fmt.Sprintf("vector::{pgvector}.halfvec(%d) OPERATOR({pgvector}.<#>) $2::{pgvector}.vector::{pgvector}.halfvec(%[1]d)", dimension)
	}
	name := hnswName(cfg)
	return &hnswIndex{
		name: name,
		create: names.Replace(fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON {schema}.faces USING hnsw (%s {pgvector}.%s) WITH (m = %d, ef_construction = %d)",
			name, key, class, cfg.HNSW.M, cfg.HNSW.EfConstruction)),
		search: hnswQuery(order),
		settings: fmt.Sprintf("%s || set_config('hnsw.ef_search', '%d', true) || set_config('hnsw.iterative_scan', 'relaxed_order', true)",
			readSettings, cfg.HNSW.EfSearch),
		names: names, connect: connect, log: log,
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// usable reports whether searches may use the index.
func (x *hnswIndex) usable() bool {
	if x == nil {
		return false
	}
	select {
	case <-x.ready:
		return true
	default:
		return false
	}
}

// start lets the builder run until the index is complete or close is called.
func (x *hnswIndex) start() {
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	go x.run(ctx)
}

// close ends the builder. A build that is interrupted begins anew with the next
// start.
func (x *hnswIndex) close() {
	if x != nil {
		x.stop()
		<-x.stopped
	}
}

func (x *hnswIndex) run(ctx context.Context) {
	defer close(x.stopped)
	for {
		err := x.build(ctx)
		if err == nil {
			close(x.ready)
			return
		}
		if ctx.Err() != nil {
			return
		}
		x.log.Error("index build failed, searches stay exact; trying again", "index", x.name, "error", err, "retry_ms", buildRetryPeriod.Milliseconds())
		select {
		case <-ctx.Done():
			return
		case <-time.After(buildRetryPeriod):
		}
	}
}

// build makes sure that the index is there and complete. One imago builds and
// the others wait for it.
func (x *hnswIndex) build(ctx context.Context) error {
	conn, err := x.open(ctx)
	if err != nil {
		return err
	}
	defer disconnect(ctx, conn, x.connect.ConnectTimeout)
	if valid, err := x.find(ctx, conn); valid || err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return exclusively(ctx, x.connect, x.lockKey(), func(*pgx.Conn) error {
		valid, err := x.find(ctx, conn)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil || valid:
			return err
		default: // what an interrupted build has left behind
			if _, err := conn.Exec(ctx, x.names.Replace(`DROP INDEX CONCURRENTLY {schema}.`+x.name)); err != nil {
				return err
			}
		}
		return x.createOn(ctx, conn)
	})
}

// createOn builds the index without keeping others from writing, and has the
// database count the faces of each collection, by which it decides when the
// index is worth using.
func (x *hnswIndex) createOn(ctx context.Context, conn *pgx.Conn) error {
	began := time.Now()
	x.log.Info("building the index; searches are exact until it is complete", "index", x.name)
	for _, statement := range []string{x.create, x.names.Replace(`ANALYZE {schema}.faces`)} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	x.log.Info("index complete", "index", x.name, "duration_ms", time.Since(began).Milliseconds())
	return nil
}

// open makes a connection of the builder's own, since a build may take hours. A
// notice tells that the server's maintenance_work_mem makes the build slow.
func (x *hnswIndex) open(ctx context.Context) (*pgx.Conn, error) {
	connect := x.connect.Copy()
	connect.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		x.log.Warn("PostgreSQL notice during index build", "message", n.Message, "hint", n.Hint)
	}
	return pgx.ConnectConfig(ctx, connect)
}

// find reports whether the index is complete; pgx.ErrNoRows when there is none.
func (x *hnswIndex) find(ctx context.Context, conn *pgx.Conn) (valid bool, err error) {
	err = conn.QueryRow(ctx, x.names.Replace(`
		SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
		WHERE indrelid = '{schema}.faces'::regclass AND relname = $1`), x.name).Scan(&valid)
	return valid, err
}

// lockKey is the key of the advisory lock of whoever builds in this schema.
func (x *hnswIndex) lockKey() int64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(x.names.Replace("imago index {schema}, {pgvector}")))
	return int64(hash.Sum64())
}

// warnOfUnusedIndexes names indexes that this configuration does not use. They slow
// down every enrolment, but another imago may be using them.
func (d *Driver) warnOfUnusedIndexes(ctx context.Context) error {
	used := ""
	if d.cfg.Index == config.IndexHNSW {
		used = hnswName(d.cfg)
	}
	unused, err := collect(ctx, d, readSettings, pgx.RowTo[string], `
		SELECT relname::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
		WHERE indrelid = '{schema}.faces'::regclass AND starts_with(relname, $1) AND relname <> $2`, hnswPrefix, used)
	for _, name := range unused {
		d.log.Warn("unused index slows down enrolment: drop it when no imago uses it",
			"statement", "DROP INDEX CONCURRENTLY "+pgx.Identifier{d.cfg.Schema, name}.Sanitize())
	}
	return err
}
