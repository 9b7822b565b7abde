package pgstore

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/contract"
	"imago/test/fixture"
	"imago/test/servers"
)

// throughPooler returns the configuration of a schema in a database of its own, behind a
// PgBouncer in transaction mode. Another client of it changes the sessions on the server,
// as no client of a pooler should, until the test ends.
func throughPooler(tb testing.TB, poolSize int, sets ...string) config.PGVectorStore {
	tb.Helper()
	address := dsn(tb)
	cfg := settingsFor(tb, address)
	cfg.DSN = config.Secret(servers.PgBouncer(tb, server, poolSize))
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	decoy := "decoy_" + cfg.Schema
	_, err := outside(tb, address).Exec(ctx, "CREATE SCHEMA "+decoy+`;
		CREATE TABLE `+decoy+".users (collection text, user_id text); CREATE TABLE "+decoy+".faces (); CREATE TABLE "+decoy+".space ()")
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, err := outside(tb, address).Exec(context.WithoutCancel(tb.Context()), "DROP SCHEMA "+decoy+" CASCADE")
		require.NoError(tb, err)
	})
	careless, err := pgx.Connect(ctx, cfg.DSN.Reveal())
	require.NoError(tb, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = careless.Close(context.WithoutCancel(ctx)) }()
		for ctx.Err() == nil {
			_, _ = careless.Exec(ctx, strings.Join(append(sets, "SET search_path = "+decoy, "SET synchronous_commit = off",
				"SET default_transaction_isolation = serializable", "SET plan_cache_mode = force_generic_plan"), "; "))
			_ = sleep(ctx, time.Millisecond)
		}
	}()
	tb.Cleanup(func() { stop(); <-done })
	return cfg
}

// The whole contract, with every kind of searches, while the stores and a careless client
// share few connections of a PgBouncer.
func TestVectorStoreThroughPooler(t *testing.T) {
	dsn(t)
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(*config.PGVectorStore)
		poolSize int
		sets     []string
	}{
		"exact":   {exact, 2, nil},
		"replica": {copied, 2, nil},
		"hnsw": {func(cfg *config.PGVectorStore) { cfg.Index, cfg.HNSW.EfSearch = config.IndexHNSW, 1000 }, 4,
			[]string{"SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET enable_sort = off",
				"SET hnsw.ef_search = 1", "SET hnsw.iterative_scan = off"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := throughPooler(t, c.poolSize, c.sets...)
			h := harness(func(cfg *config.PGVectorStore) {
				cfg.DSN = shared.DSN
				c.change(cfg)
			})
			h.Records = 300
			contract.VectorStore(t, h)
			contract.VectorStoreConcurrency(t, h)
		})
	}
}

// A transaction has the settings that a change needs, whatever the session has.
func TestSettingsThroughPooler(t *testing.T) {
	t.Parallel()
	s := started(t, throughPooler(t, 2), testSpace(2))
	fixture.Until(t, "what another client has set is met", func() bool {
		var got string
		require.NoError(t, s.driver.pool.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&got))
		return got == "off"
	})
	for range 100 {
		require.NoError(t, s.driver.pool.begin(t.Context(), writing, func(tx pgx.Tx) error {
			for setting, want := range map[string]string{
				"synchronous_commit": "on", "transaction_isolation": "read committed", "plan_cache_mode": "auto",
			} {
				var got string
				require.NoError(t, tx.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got))
				require.Equal(t, want, got, setting)
			}
			return nil
		}))
	}
}

// Connections of a pooler from before the database became read-only are told apart, with
// what to do.
func TestReadOnlyBehindPooler(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	cfg := settingsFor(t, pg.DSN())
	cfg.DSN = config.Secret(servers.PgBouncer(t, pg, 2))
	s := started(t, cfg, testSpace(2))
	admin := outside(t, pg.DSN())
	_, err := admin.Exec(t.Context(), "ALTER DATABASE postgres SET default_transaction_read_only = on")
	require.NoError(t, err)
	err = s.CheckHealth(t.Context())
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "run RECONNECT on its console")
	for _, statement := range []string{"SET default_transaction_read_only = off", "ALTER DATABASE postgres RESET default_transaction_read_only"} {
		_, err = admin.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, s.CheckHealth(t.Context()))
}

// A server that a pooler has connected to in place of the former one, and that is a
// standby, serves nothing: it may be behind.
func TestStandbyBehindPooler(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	cfg := settingsFor(t, pg.DSN())
	cfg.DSN = config.Secret(servers.PgBouncer(t, pg, 2))
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	search := func() error {
		_, err := s.Search(t.Context(), ports.Query{Collection: users, Vector: east, K: 1})
		return err
	}
	require.NoError(t, search())
	require.NoError(t, pg.Demote())
	fixture.Until(t, "the standby is noticed", func() bool {
		err := search()
		require.ErrorIs(t, err, ports.ErrUnavailable)
		return strings.Contains(err.Error(), errStandby.Error())
	})
	require.ErrorContains(t, s.CheckHealth(t.Context()), errStandby.Error())
	_, err := outside(t, pg.DSN()).Exec(t.Context(), "SELECT pg_promote()")
	require.NoError(t, err)
	fixture.Until(t, "the promoted server is used", func() bool { return search() == nil })
}

// Whatever way of running statements the connection string asks for, a store serves, and
// reads what is there into memory.
func TestExecModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		cfg := settingsFor(t, dsn(t))
		cfg.DSN = with(cfg.DSN, "default_query_exec_mode", mode)
		s := started(t, cfg, testSpace(2))
		require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()), mode)
		require.NoError(t, s.CheckHealth(t.Context()), mode)
		cfg.Search = config.SearchReplica
		require.Equal(t, []string{"ada/f"}, found(t, started(t, cfg, testSpace(2)), ports.Query{Vector: east, K: 1, MinScore: 0.9}), mode)
	}
}
