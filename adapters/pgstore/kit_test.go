package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/adapters/replica"
	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// server is the one that all tests of the package share, except those that kill
// theirs; each test has a schema of its own in it.
var (
	server    *servers.PostgresServer
	serverErr error
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(withServer{m})
}

// withServer runs tests between the start and the stop of the server.
type withServer struct{ tests *testing.M }

func (w withServer) Run() int {
	if server, serverErr = servers.StartPostgres(servers.PostgresOptions{}); serverErr == nil {
		defer server.Stop()
	}
	return w.tests.Run()
}

// dsn returns the connection string of the shared server.
func dsn(tb testing.TB) string {
	tb.Helper()
	servers.Need(tb, servers.PGVector, serverErr)
	return server.DSN()
}

var schemas atomic.Int64

// settingsFor returns the configuration of a schema that does not exist yet and
// is dropped with the test. The database answers its searches.
func settingsFor(tb testing.TB, dsn string) config.PGVectorStore {
	tb.Helper()
	cfg := config.Default().Store.PGVector
	cfg.Schema = fmt.Sprintf("imago_test_%d_%d", os.Getpid(), schemas.Add(1))
	cfg.DSN = with(config.Secret(dsn), "application_name", cfg.Schema)
	cfg.DSN = with(cfg.DSN, "search_path", "nowhere") // no statement relies on it
	cfg.MaxConns, cfg.ConnectTimeout, cfg.Search = 8, time.Minute, config.SearchDatabase
	tb.Cleanup(func() {
		_, err := outside(tb, dsn).Exec(context.WithoutCancel(tb.Context()), "DROP SCHEMA IF EXISTS "+cfg.Schema+" CASCADE")
		require.NoError(tb, err)
	})
	return cfg
}

// with returns a connection string with one more parameter.
func with(dsn config.Secret, key, value string) config.Secret {
	if !strings.Contains(dsn.Reveal(), "://") {
		return dsn + config.Secret(fmt.Sprintf(" %s='%s'", key, value))
	}
	separator := "?"
	if strings.Contains(dsn.Reveal(), "?") {
		separator = "&"
	}
	return dsn + config.Secret(separator+key+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
}

// outside connects to a database beside the store, until the test ends.
func outside(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	// The test's context has ended when clean-ups run.
	ctx := context.WithoutCancel(tb.Context())
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close(ctx) })
	return conn
}

// start opens a store and closes it with the test. It returns when an index
// that is configured is in use.
func start(tb testing.TB, cfg config.PGVectorStore, space ports.Space) (*store, error) {
	tb.Helper()
	s := guarded(New(cfg, space, slog.New(slog.DiscardHandler)))
	if err := s.Start(tb.Context()); err != nil {
		return nil, err
	}
	tb.Cleanup(func() { closeStore(tb, s) })
	if s.driver.hnsw != nil {
		<-s.driver.hnsw.ready
	}
	if s.replica != nil {
		fixture.Until(tb, "the faces are in memory", func() bool { return s.replica.Stats().Usable })
	}
	return s, nil
}

func started(tb testing.TB, cfg config.PGVectorStore, space ports.Space) *store {
	tb.Helper()
	s, err := start(tb, cfg, space)
	require.NoError(tb, err)
	return s
}

// fresh opens a store in a schema of its own on the shared server.
func fresh(tb testing.TB, dimension int) *store {
	tb.Helper()
	return started(tb, settingsFor(tb, dsn(tb)), testSpace(dimension))
}

func closeStore(tb testing.TB, s *store) {
	tb.Helper()
	require.NoError(tb, s.Close(context.WithoutCancel(tb.Context())))
}

func testSpace(dimension int) ports.Space {
	return ports.Space{Model: "tiny", Digest: strings.Repeat("0f", 32), Preprocessing: "RGB", Dimension: dimension}
}

// users is the collection of the tests.
const users = "users"

var east, north = []float32{1, 0}, []float32{0, 1}

// store is the driver behind the guard, as it ships.
type store struct {
	*vectorstore.Store
	driver  *Driver
	replica *replica.Driver // nil where the database answers searches
}

// guarded puts the guard over a driver.
func guarded(d *Driver) *store {
	whole := Searched(d)
	copied, _ := whole.(*replica.Driver)
	return &store{vectorstore.New("pgstore", whole, d.space), d, copied}
}

// userKey names a user of the collection of the tests.
func userKey(user string) ports.UserKey { return ports.UserKey{Collection: users, UserID: user} }

// record returns a face of a user.
func record(user, face string, vector []float32) ports.Record {
	return ports.Record{
		Collection: users, UserID: user, FaceID: face, Vector: vector,
		Owner: "gateway", EnrolledAt: time.UnixMicro(1767225600123456).UTC(),
	}
}

func seeded(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(20260103, stream)) }

// pour writes records into the tables without the store, which is faster by
// far, and has the database count them.
func pour(tb testing.TB, s *store, records []ports.Record) {
	tb.Helper()
	ctx := tb.Context()
	enrolled := map[string]bool{}
	var names, rows [][]any
	for _, r := range records {
		if !enrolled[r.UserID] {
			enrolled[r.UserID] = true
			names = append(names, []any{r.Collection, r.UserID})
		}
		rows = append(rows, columns(r))
	}
	_, err := s.driver.pool.CopyFrom(ctx, pgx.Identifier{s.driver.cfg.Schema, "users"}, []string{"collection", "user_id"}, pgx.CopyFromRows(names))
	require.NoError(tb, err)
	_, err = s.driver.pool.CopyFrom(ctx, pgx.Identifier{s.driver.cfg.Schema, "faces"},
		[]string{"collection", "user_id", "face_id", "owner", "enrolled_at", "expires_at", "vector", "chip"}, pgx.CopyFromRows(rows))
	require.NoError(tb, err)
	_, err = s.driver.pool.Exec(ctx, s.driver.sql("ANALYZE {schema}.faces"))
	require.NoError(tb, err)
	if s.replica != nil && len(records) > 0 { // has it read them now
		_, err = s.Search(ctx, ports.Query{Collection: records[0].Collection, Vector: records[0].Vector, K: 1})
		require.NoError(tb, err)
	}
}

// contents returns the IDs of all faces of the collection of the tests.
func contents(tb testing.TB, s *store) []string {
	tb.Helper()
	var all []string
	for r, err := range s.Scan(tb.Context(), ports.Everything(users, "")) {
		require.NoError(tb, err)
		all = append(all, r.UserID+"/"+r.FaceID)
	}
	return all
}

// waiting returns how many statements of a store wait for a lock.
func waiting(tb testing.TB, conn *pgx.Conn, cfg config.PGVectorStore) (n int) {
	tb.Helper()
	require.NoError(tb, conn.QueryRow(tb.Context(), `
		SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`,
		cfg.Schema).Scan(&n))
	return n
}

// waits returns once a statement of a store waits for a lock.
func waits(tb testing.TB, conn *pgx.Conn, cfg config.PGVectorStore) {
	tb.Helper()
	fixture.Until(tb, "a statement waits for the lock", func() bool { return waiting(tb, conn, cfg) > 0 })
}

// inside starts a transaction beside a store, in its schema, and runs
// statements in it.
func inside(tb testing.TB, s *store, statements ...string) pgx.Tx {
	tb.Helper()
	tx, err := outside(tb, s.driver.cfg.DSN.Reveal()).Begin(tb.Context())
	require.NoError(tb, err)
	for _, statement := range append([]string{"SET search_path = " + s.driver.cfg.Schema + ", public"}, statements...) {
		_, err := tx.Exec(tb.Context(), statement)
		require.NoError(tb, err)
	}
	return tx
}
