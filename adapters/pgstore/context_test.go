package pgstore

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// blocked opens a store with a user whose row somebody else has locked, and
// returns a connection to watch from and what ends the lock.
func blocked(t *testing.T, change func(*config.PGVectorStore)) (s *store, release func()) {
	t.Helper()
	cfg := settingsFor(t, dsn(t))
	change(&cfg)
	s = started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	other := inside(t, s, `SELECT FROM users WHERE user_id = 'ada' FOR UPDATE`)
	return s, func() { require.NoError(t, other.Rollback(t.Context())) }
}

// A call that is given up returns at once, the server gives it up too, and the
// store goes on.
func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	s, release := blocked(t, exact)
	watch := outside(t, dsn(t))
	for name, call := range map[string]func(context.Context) error{
		"further": func(ctx context.Context) error {
			return s.Add(ctx, record("ada", "g", north), ports.FurtherFace(ports.Everybody()))
		},
		"replacement": func(ctx context.Context) error {
			return s.Add(ctx, record("ada", "g", north), ports.Replacement(ports.Everybody()))
		},
		"remove": func(ctx context.Context) error {
			return s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody())
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- call(ctx) }()
		waits(t, watch, s.driver.cfg)
		cancel()
		err := <-answer
		require.ErrorIs(t, err, context.Canceled, name)
		require.NotErrorIs(t, err, ports.ErrUnavailable, name)
		fixture.Until(t, name+" no longer waits in the server", func() bool { return waiting(t, watch, s.driver.cfg) == 0 })
	}
	release()
	require.Equal(t, []string{"ada/f"}, contents(t, s))
	require.NoError(t, s.Add(t.Context(), record("ada", "g", north), ports.FurtherFace(ports.Everybody())))
}

func TestDeadlineWhileWaiting(t *testing.T) {
	t.Parallel()
	s, release := blocked(t, exact)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, ports.ErrUnavailable)
	release()
}

// A call that finds all connections in use waits as long as its context lets it.
func TestDeadlineWithoutConnection(t *testing.T) {
	t.Parallel()
	s, release := blocked(t, func(cfg *config.PGVectorStore) { cfg.MaxConns = 1 })
	answer := make(chan error, 1)
	go func() { answer <- s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()) }()
	waits(t, outside(t, dsn(t)), s.driver.cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Count(ctx, users)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, s.CheckHealth(ctx), context.DeadlineExceeded)
	release()
	require.NoError(t, <-answer)
	require.NoError(t, s.CheckHealth(t.Context()))
}

// A time limit of the server is not the caller's.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	s, release := blocked(t, func(cfg *config.PGVectorStore) {
		cfg.DSN = with(cfg.DSN, "options", "-c statement_timeout=5000") // for setting up too
	})
	err := s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody())
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.NotErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	release()
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()))
}

// A server that accepts connections and says nothing is given up after the
// time that is configured.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	cfg := config.Default().Store.PGVector
	cfg.DSN = config.Secret("postgres://imago@" + silent.Addr().String() + "/imago?sslmode=disable")
	cfg.ConnectTimeout = 100 * time.Millisecond
	_, err = start(t, cfg, testSpace(2))
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.NotErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cfg.ConnectTimeout = time.Minute
	require.ErrorIs(t, guarded(New(cfg, testSpace(2), slog.New(slog.DiscardHandler))).Start(ctx), context.DeadlineExceeded)
}
