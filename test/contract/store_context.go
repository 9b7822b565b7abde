package contract

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// requireEnded checks that an error is the context's own, not the backend's.
func requireEnded(t *testing.T, err, want error) {
	t.Helper()
	require.ErrorIs(t, err, want)
	require.NotErrorIs(t, err, ports.ErrUnavailable)
	require.NotErrorIs(t, err, ports.ErrInvalid)
	require.NotErrorIs(t, err, ports.ErrNotFound)
}

func cancelledWrites(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	ctx := cancelled(t)
	requireEnded(t, s.Add(ctx, face("bob", "f", north), ports.NewUser()), context.Canceled)
	requireEnded(t, s.Add(ctx, face("ada", "g", north), ports.FurtherFace(ports.Everybody())), context.Canceled)
	requireEnded(t, s.Add(ctx, face("ada", "g", north), ports.Replacement(ports.Everybody())), context.Canceled)
	requireEnded(t, s.Remove(ctx, ports.WholeUser(person("ada")), ports.Everybody()), context.Canceled)
	requireOnlyAda(t, s)
}

func cancelledReads(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	requireReadsEnd(t, s, cancelled(t), context.Canceled)
	requireOnlyAda(t, s)
}

func deadlinePassed(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	requireReadsEnd(t, s, ctx, context.DeadlineExceeded)
	requireEnded(t, s.Add(ctx, face("bob", "f", north), ports.NewUser()), context.DeadlineExceeded)
	requireEnded(t, s.Remove(ctx, ports.WholeUser(person("ada")), ports.Everybody()), context.DeadlineExceeded)
	requireOnlyAda(t, s)
}

func requireReadsEnd(t *testing.T, s ports.VectorStore, ctx context.Context, want error) {
	t.Helper()
	_, err := s.Get(ctx, person("ada"))
	requireEnded(t, err, want)
	_, err = s.Search(ctx, ports.Query{Collection: people, Vector: east, K: 10, MinScore: -1})
	requireEnded(t, err, want)
	_, err = s.Count(ctx, people)
	requireEnded(t, err, want)
	records, err := collect(s.Scan(ctx, ports.Everything(people, "")))
	requireEnded(t, err, want)
	require.Empty(t, records)
}
