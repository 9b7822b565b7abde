package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// The server is killed in the middle of enrolments, again and again. Whoever is
// told of it is told that the backend is unavailable, nothing that was
// acknowledged is lost, and the store finds the server again by itself.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	cfg := settingsFor(t, server.DSN())
	s := started(t, cfg, testSpace(16))
	acknowledged := map[string]bool{}
	for round := range 3 {
		for _, user := range enrolUntilKilled(t, s, server, round) {
			acknowledged[user+"/f"] = true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		require.ErrorIs(t, s.CheckHealth(ctx), ports.ErrUnavailable)
		_, err := s.Search(ctx, ports.Query{Collection: users, Vector: fixture.UnitVector(seeded(0), 16), K: 1})
		require.ErrorIs(t, err, ports.ErrUnavailable)
		cancel()

		require.NoError(t, server.Restart())
		fixture.Until(t, "the store recovers", func() bool { return recovered(t, s) })
		found := contents(t, s)
		for _, face := range found {
			delete(acknowledged, face)
		}
		require.Empty(t, acknowledged, "acknowledged and lost")
	}
	require.NoError(t, s.Add(t.Context(), record("last", "f", fixture.UnitVector(seeded(0), 16)), ports.NewUser()))
}

// enrolUntilKilled enrols with several callers until each has met with an
// error, kills the server on the way, and returns whom it was told are
// enrolled.
func enrolUntilKilled(t *testing.T, s *store, server *servers.PostgresServer, round int) (enrolled []string) {
	t.Helper()
	const callers, before = 8, 100
	var n atomic.Int64
	enough := make(chan struct{})
	told := make([][]string, callers)
	errs := fixture.Together(callers+1, func(i int) error {
		if i == callers {
			<-enough
			server.Kill()
			return nil
		}
		rng := seeded(uint64(i))
		for {
			number := n.Add(1)
			if number == before {
				close(enough)
			}
			user := fmt.Sprintf("user-%d-%d", round, number)
			if err := s.Add(t.Context(), record(user, "f", fixture.UnitVector(rng, 16)), ports.NewUser()); err != nil {
				return err
			}
			told[i] = append(told[i], user)
		}
	})
	for i := range callers {
		require.ErrorIs(t, errs[i], ports.ErrUnavailable)
		enrolled = append(enrolled, told[i]...)
	}
	require.NotEmpty(t, enrolled)
	return enrolled
}

// recovered reports whether the store is healthy and all its connections are.
func recovered(t *testing.T, s *store) bool {
	err := s.CheckHealth(t.Context())
	if err != nil {
		require.ErrorIs(t, err, ports.ErrUnavailable)
		return false
	}
	return errors.Join(fixture.Together(s.driver.cfg.MaxConns, func(int) error {
		_, err := s.Count(t.Context(), users)
		return err
	})...) == nil
}

// A connection that the server ends while it commits leaves the outcome unknown: the change
// has been made here, and whoever asked for it must not be told that the user existed before.
func TestConnectionEndedDuringCommit(t *testing.T) {
	t.Parallel()
	for _, pooler := range []bool{false, true} {
		t.Run(fmt.Sprintf("pooler %t", pooler), func(t *testing.T) { endDuringCommit(t, pooler) })
	}
}

func endDuringCommit(t *testing.T, pooler bool) {
	pg := servers.Postgres(t)
	cfg := settingsFor(t, pg.DSN())
	admin := administrator(t, cfg)
	if pooler {
		cfg.DSN = config.Secret(servers.PgBouncer(t, pg, 2))
	}
	s := started(t, cfg, testSpace(2))
	execute(t, admin, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	t.Cleanup(func() {
		admin := outside(t, pg.DSN())
		for _, statement := range []string{"ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"} {
			_, err := admin.Exec(context.WithoutCancel(t.Context()), statement)
			require.NoError(t, err)
		}
	})
	enrolled, answer := 0, make(chan error, 1)
	go func() { // the server takes a moment to read its settings again
		var err error
		for ; err == nil; enrolled++ {
			err = s.Add(t.Context(), record(fmt.Sprintf("user-%d", enrolled), "f", east), ports.NewUser())
		}
		answer <- err
	}()
	fixture.Until(t, "the commit waits for a standby, and its connection is ended", func() (ended bool) {
		require.NoError(t, admin.QueryRow(t.Context(), `
			SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
			WHERE wait_event = 'SyncRep'`).Scan(&ended))
		return ended
	})
	require.ErrorIs(t, <-answer, ports.ErrUnavailable)
	require.Len(t, table(t, admin), enrolled, "the last one was enrolled, too")
}
