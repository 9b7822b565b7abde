package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// A server that is killed is answered with ErrUnavailable; when it is back the
// store goes on by itself and everything acknowledged is there.
func TestServerIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	server := servers.OwnMilvus(t, servers.MilvusOptions{SessionLapse: 15 * time.Second})
	s := started(t, settingsAt(server.Address()), testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("kept", "f1", east), ports.NewUser()))
	require.NoError(t, s.Add(t.Context(), record("removed", "f1", north), ports.NewUser()))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey("removed")), ports.Everybody()))
	require.NoError(t, s.CheckHealth(t.Context()))

	server.Kill()
	brief, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.ErrorIs(t, s.Add(brief, record("lost", "f1", north), ports.NewUser()), ports.ErrUnavailable)
	require.Error(t, s.CheckHealth(brief))

	require.NoError(t, server.Restart())
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return s.CheckHealth(ctx) == nil
	}, 90*time.Second, 100*time.Millisecond)
	got, err := s.Get(t.Context(), userKey("kept"))
	require.NoError(t, err)
	require.Equal(t, []ports.Record{record("kept", "f1", east)}, got)
	_, err = s.Get(t.Context(), userKey("removed"))
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.NoError(t, s.Add(t.Context(), record("later", "f1", north), ports.NewUser()))
}

// Many more users than a page holds come out once each, in order.
func TestScanGoesThroughPages(t *testing.T) {
	t.Parallel()
	s := fresh(t, 8)
	random := seeded(1)
	records := make([]ports.Record, 1500)
	for i := range records {
		records[i] = record(fmt.Sprintf("u%05d", i), "f", fixture.UnitVector(random, 8))
	}
	enrol(t, s, records)
	i := 0
	for r, err := range s.Scan(t.Context(), ports.Everything(users, "")) {
		require.NoError(t, err)
		require.Equal(t, records[i], r)
		i++
	}
	require.Equal(t, len(records), i)
}

// Every failure is a sentinel or the end of the caller's own context.
func TestClassify(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want error
	}{
		"a sentinel stays":         {t.Context(), fmt.Errorf("x: %w", ports.ErrExists), ports.ErrExists},
		"connection refused":       {t.Context(), status.Error(codes.Unavailable, "connection refused"), ports.ErrUnavailable},
		"not ready":                {t.Context(), errors.New("Milvus Proxy is not ready yet"), ports.ErrUnavailable},
		"a limit of our own":       {t.Context(), context.DeadlineExceeded, ports.ErrUnavailable},
		"the caller hung up":       {over, status.Error(codes.Canceled, "context canceled"), context.Canceled},
		"the caller's time is up":  {late, status.Error(codes.DeadlineExceeded, "too late"), context.DeadlineExceeded},
		"a sentinel comes first":   {over, fmt.Errorf("x: %w", ports.ErrNotFound), ports.ErrNotFound},
		"any answer of the server": {t.Context(), errors.New("quota exceeded"), ports.ErrUnavailable},
	} {
		got := ports.Classify(c.ctx, c.err)
		require.ErrorIs(t, got, c.want, name)
		if !errors.Is(c.want, context.DeadlineExceeded) {
			require.NotErrorIs(t, got, context.DeadlineExceeded, name)
		}
	}
}
