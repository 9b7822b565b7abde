package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
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
		_, err := s.Search(ctx, ports.Query{Collection: users, Vector: unitVector(seeded(0), 16), K: 1})
		require.ErrorIs(t, err, ports.ErrUnavailable)
		cancel()

		require.NoError(t, server.Restart())
		eventually(t, "the store does not recover", func() bool { return recovered(t, s) })
		found := contents(t, s)
		for _, face := range found {
			delete(acknowledged, face)
		}
		require.Empty(t, acknowledged, "acknowledged and lost")
	}
	require.NoError(t, s.Add(t.Context(), record("last", "f", unitVector(seeded(0), 16)), ports.First))
}

// enrolUntilKilled enrols with several callers until each has met with an
// error, kills the server on the way, and returns whom it was told are
// enrolled.
func enrolUntilKilled(t *testing.T, s *Store, server *servers.PostgresServer, round int) (enrolled []string) {
	t.Helper()
	const callers, before = 8, 100
	var n atomic.Int64
	enough := make(chan struct{})
	told := make([][]string, callers)
	errs := together(callers+1, func(i int) error {
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
			if err := s.Add(t.Context(), record(user, "f", unitVector(rng, 16)), ports.First); err != nil {
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
func recovered(t *testing.T, s *Store) bool {
	err := s.CheckHealth(t.Context())
	if err != nil {
		require.ErrorIs(t, err, ports.ErrUnavailable)
		return false
	}
	return errors.Join(together(s.cfg.MaxConns, func(int) error {
		_, err := s.Count(t.Context(), users)
		return err
	})...) == nil
}
