package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// requireUnavailable checks that every call is refused.
func requireUnavailable(t *testing.T, s *store) {
	t.Helper()
	ctx := t.Context()
	require.ErrorIs(t, s.Add(ctx, record("ada", "f", east), ports.NewUser()), ports.ErrUnavailable)
	require.ErrorIs(t, s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody()), ports.ErrUnavailable)
	_, err := s.Get(ctx, userKey("ada"))
	require.ErrorIs(t, err, ports.ErrUnavailable)
	_, err = s.Search(ctx, ports.Query{Collection: users, Vector: east, K: 1})
	require.ErrorIs(t, err, ports.ErrUnavailable)
	_, err = s.Count(ctx, users)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	for _, err := range s.Scan(ctx, ports.Everything(users, "")) {
		require.ErrorIs(t, err, ports.ErrUnavailable)
	}
	require.ErrorIs(t, s.CheckHealth(ctx), ports.ErrUnavailable)
}

func TestBeforeStartAndAfterClose(t *testing.T) {
	t.Parallel()
	s := guarded(New(settingsFor(t, dsn(t)), testSpace(2), slog.New(slog.DiscardHandler)))
	requireUnavailable(t, s)
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.CheckHealth(t.Context()))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.Error(t, s.Start(t.Context()), "a second start")
	for _, err := range fixture.Together(4, func(int) error { return s.Close(t.Context()) }) {
		require.NoError(t, err)
	}
	requireUnavailable(t, s)
	require.Error(t, s.Start(t.Context()))
	watcher := outside(t, dsn(t))
	fixture.Until(t, "no connection is left", func() bool { return connections(t, watcher, s) == 0 })
}

// connections returns how many a store has to its server, as another one sees it.
func connections(t *testing.T, watcher *pgx.Conn, s *store) (n int) {
	t.Helper()
	require.NoError(t, watcher.QueryRow(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`, s.driver.cfg.Schema).Scan(&n))
	return n
}

func TestCloseWithoutStart(t *testing.T) {
	t.Parallel()
	s := guarded(New(settingsFor(t, dsn(t)), testSpace(2), slog.New(slog.DiscardHandler)))
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.Error(t, s.Start(t.Context()))
	requireUnavailable(t, s)
}

// Close lets what is under way finish. A Close that is given up goes on.
func TestCloseDuringCall(t *testing.T) {
	t.Parallel()
	s, release := blocked(t, exact)
	answer := make(chan error, 1)
	go func() { answer <- s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()) }()
	waits(t, outside(t, dsn(t)), s.driver.cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Close(ctx), context.Canceled)
	requireUnavailable(t, s)
	release()
	require.NoError(t, <-answer)
	require.NoError(t, s.Close(t.Context()))
}

// A Start that fails leaves no connection behind.
func TestStartCancelled(t *testing.T) {
	t.Parallel()
	s := guarded(New(settingsFor(t, dsn(t)), testSpace(2), slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Start(ctx), context.Canceled)
	requireUnavailable(t, s)

	// Somebody else is setting up.
	holder := outside(t, dsn(t))
	fixture.Until(t, "the lock is free", func() bool {
		locked, err := lock(t.Context(), holder, setupLock)
		require.NoError(t, err)
		return locked
	})
	ctx, cancel = context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- s.Start(ctx) }()
	watcher := outside(t, dsn(t))
	fixture.Until(t, "the start waits for the lock", func() bool {
		var asked bool
		require.NoError(t, watcher.QueryRow(t.Context(),
			`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND query LIKE '%pg_try_advisory_xact_lock%')`,
			s.driver.cfg.Schema).Scan(&asked))
		return asked
	})
	cancel()
	err := <-answer
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "waiting for another imago")
	require.NoError(t, holder.Close(t.Context()))
	fixture.Until(t, "no connection is left", func() bool { return connections(t, watcher, s) == 0 })
	require.NoError(t, s.Start(t.Context()), "a start that failed can be repeated")
	closeStore(t, s)
}

func TestCheckIndex(t *testing.T) {
	for _, c := range []struct {
		index     string
		half      bool
		dimension int
		ok        bool
	}{
		{config.IndexExact, false, 0, false}, {config.IndexExact, true, 16000, true}, {config.IndexExact, true, 16001, false},
		{config.IndexHNSW, true, 4000, true}, {config.IndexHNSW, true, 4001, false},
		{config.IndexHNSW, false, 2000, true}, {config.IndexHNSW, false, 2001, false},
	} {
		err := checkIndex(config.PGVectorStore{Index: c.index, HalfVec: c.half}, c.dimension)
		if c.ok {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ports.ErrInvalid)
		require.ErrorContains(t, err, fmt.Sprintf("dimension %d", c.dimension))
	}
	cfg := config.PGVectorStore{Index: config.IndexHNSW, HNSW: config.HNSW{M: 16, EfConstruction: 31}}
	require.ErrorIs(t, checkIndex(cfg, 2), ports.ErrInvalid)
	cfg.Index = config.IndexExact
	require.NoError(t, checkIndex(cfg, 2))
}

// Neither errors nor the log ever show the password.
func TestPasswordStaysSecret(t *testing.T) {
	t.Parallel()
	const password = "pa%zz'w0rd"
	for _, dsn := range []config.Secret{
		"postgres://imago:pa%zz'w0rd@127.0.0.1:1/imago",
		"postgres://imago:pa%25zz'w0rd@127.0.0.1:1/imago?sslmode=disable",
		"postgres://imago:pa%25zz'w0rd@127.0.0.1:1/imago?sslmode=odd",
		"postgres://imago:pa%25zz'w0rd@127.0.0.1:port/imago",
		`host=127.0.0.1 port=1 user=imago password=pa%zz\'w0rd sslmode=disable`,
		`host=127.0.0.1 port=x password=pa%zz'w0rd`,
		`password='pa%zz'w0rd host`,
		"postgres://imago:pa%25zz'w0rd@127.0.0.1:1/imago?sslmode=verify-full&sslrootcert=/missing.pem",
		"pa%zz'w0rd",
	} {
		var log strings.Builder
		cfg := config.Default().Store.PGVector
		cfg.DSN = dsn
		err := guarded(New(cfg, testSpace(2), slog.New(slog.NewTextHandler(&log, nil)))).Start(t.Context())
		require.Error(t, err)
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err), log.String()} {
			require.NotContains(t, text, password)
			require.NotContains(t, text, "w0rd")
		}
	}
}

func TestUnusableDSN(t *testing.T) {
	for dsn, says := range map[config.Secret]string{
		"postgres://imago@127.0.0.1:port/imago":                                         "store.pgvector.dsn is neither a URL",
		"postgres://imago@127.0.0.1/imago?sslmode=verify-full&sslrootcert=/missing.pem": "open /missing.pem: no such file",
	} {
		cfg := config.Default().Store.PGVector
		cfg.DSN = dsn
		_, err := start(t, cfg, testSpace(2))
		require.ErrorIs(t, err, ports.ErrInvalid)
		require.ErrorContains(t, err, says)
	}
}

func TestServerAbsent(t *testing.T) {
	cfg := config.Default().Store.PGVector
	cfg.DSN = "postgres://imago@127.0.0.1:1/imago?sslmode=disable"
	_, err := start(t, cfg, testSpace(2))
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "connection refused")
}
