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
	maxGraphFull     = 2000
	maxGraphHalf     = 4000
	graphPrefix      = "faces_hnsw_"
	graphRetryPeriod = time.Minute
)

// graph is the HNSW index of the table faces and its builder. Searches are exact
// until the index is complete, so that imago serves while a large one is built.
type graph struct {
	name   string
	create string // the statement that builds it
	search string // the query that uses it

	session session
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
		limit, what = maxGraphFull, "its HNSW index takes without store.pgvector.halfvec"
		if cfg.HalfVec {
			limit, what = maxGraphHalf, "its HNSW index takes"
		}
	}
	if dimension < 1 || dimension > limit {
		return fmt.Errorf("%w: vectors of %d numbers, where %s 1 to %d", ports.ErrInvalid, dimension, what, limit)
	}
	if cfg.Index == config.IndexHNSW && cfg.HNSW.EfConstruction < 2*cfg.HNSW.M {
		return fmt.Errorf("%w: store.pgvector.hnsw.ef_construction is %d, less than twice m (%d)",
			ports.ErrInvalid, cfg.HNSW.EfConstruction, cfg.HNSW.M)
	}
	return nil
}

// graphName tells how an index is built, so that other parameters mean another
// index.
func graphName(cfg config.PGVectorStore) string {
	precision := "full"
	if cfg.HalfVec {
		precision = "half"
	}
	return fmt.Sprintf("%s%s_m%d_ef%d", graphPrefix, precision, cfg.HNSW.M, cfg.HNSW.EfConstruction)
}

// newGraph describes the index of a configuration.
func newGraph(cfg config.PGVectorStore, dimension int, sess session, connect *pgx.ConnConfig, log *slog.Logger) *graph {
	key, class, order := "vector", "vector_ip_ops", "vector <#> $2"
	if cfg.HalfVec {
		class = "halfvec_ip_ops"
		key = fmt.Sprintf("(vector::halfvec(%d))", dimension)
		order = fmt.Sprintf("vector::halfvec(%d) <#> $2::vector::halfvec(%[1]d)", dimension)
	}
	name := graphName(cfg)
	return &graph{
		name: name,
		create: fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON faces USING hnsw (%s %s) WITH (m = %d, ef_construction = %d)",
			name, key, class, cfg.HNSW.M, cfg.HNSW.EfConstruction),
		search:  graphSearch(order),
		session: sess, connect: connect, log: log,
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// usable reports whether searches may use the index.
func (g *graph) usable() bool {
	if g == nil {
		return false
	}
	select {
	case <-g.ready:
		return true
	default:
		return false
	}
}

// start lets the builder run until the index is complete or close is called.
func (g *graph) start() {
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	go g.run(ctx)
}

// close ends the builder. A build that is interrupted begins anew with the next
// start.
func (g *graph) close() {
	if g != nil {
		g.stop()
		<-g.stopped
	}
}

func (g *graph) run(ctx context.Context) {
	defer close(g.stopped)
	for {
		err := g.build(ctx)
		if err == nil {
			close(g.ready)
			return
		}
		if ctx.Err() != nil {
			return
		}
		g.log.Error("pgstore: the index could not be built; searches stay exact until another attempt succeeds",
			"index", g.name, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(graphRetryPeriod):
		}
	}
}

// build makes sure that the index is there and complete. One imago builds and
// the others wait for it.
func (g *graph) build(ctx context.Context) error {
	conn, err := g.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.session.timeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if valid, err := g.find(ctx, conn); valid || err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if err := lock(ctx, conn, g.lockKey()); err != nil {
		return err
	}
	valid, err := g.find(ctx, conn)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil || valid:
		return err
	default: // what an interrupted build has left behind
		if _, err := conn.Exec(ctx, `DROP INDEX CONCURRENTLY `+g.name); err != nil {
			return err
		}
	}
	return g.createOn(ctx, conn)
}

// createOn builds the index without keeping others from writing, and has the
// database count the faces of each collection, by which it decides when the
// index is worth using.
func (g *graph) createOn(ctx context.Context, conn *pgx.Conn) error {
	began := time.Now()
	g.log.Info("pgstore: building the index; searches are exact until it is complete", "index", g.name)
	for _, statement := range []string{g.create, `ANALYZE faces`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	g.log.Info("pgstore: the index is complete", "index", g.name, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// open makes a connection of the builder's own, since a build may take hours. A
// notice tells that the server's maintenance_work_mem makes the build slow.
func (g *graph) open(ctx context.Context) (*pgx.Conn, error) {
	connect := g.connect.Copy()
	connect.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		g.log.Warn("pgstore: the server remarks on the index", "message", n.Message, "hint", n.Hint)
	}
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return nil, err
	}
	if err := g.session.prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// find reports whether the index is complete; pgx.ErrNoRows when there is none.
func (g *graph) find(ctx context.Context, conn *pgx.Conn) (valid bool, err error) {
	err = conn.QueryRow(ctx, `
		SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
		WHERE indrelid = 'faces'::regclass AND relname = $1`, g.name).Scan(&valid)
	return valid, err
}

// lockKey is the key of the advisory lock of whoever builds in this schema.
func (g *graph) lockKey() int64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("imago index " + g.session.searchPath))
	return int64(hash.Sum64())
}

// warnOfGraphs names indexes that this configuration does not use. They slow
// down every enrolment, but another imago may be using them.
func (s *Store) warnOfGraphs(ctx context.Context, conn *pgx.Conn) error {
	used := ""
	if s.cfg.Index == config.IndexHNSW {
		used = graphName(s.cfg)
	}
	rows, err := conn.Query(ctx, `
		SELECT relname::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
		WHERE indrelid = 'faces'::regclass AND starts_with(relname, $1) AND relname <> $2`, graphPrefix, used)
	if err != nil {
		return err
	}
	unused, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range unused {
		s.log.Warn("pgstore: an index is not used by this configuration and slows down enrolment; drop it when no imago uses it",
			"statement", "DROP INDEX CONCURRENTLY "+pgx.Identifier{s.cfg.Schema, name}.Sanitize())
	}
	return err
}
