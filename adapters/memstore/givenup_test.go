package memstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/records"
)

// A search of many rows looks at its context in between.
func TestSearchGivenUp(t *testing.T) {
	s := started(t, "", testSpace(16))
	enrol(t, s, crowd(5*1024, 16))
	q := ports.Query{Collection: users, Vector: unitVector(seeded(7), 16), K: 10, MinScore: -1}
	ctx := &records.Countdown{Context: t.Context(), Looks: 4}
	found, err := s.Search(ctx, q)
	require.ErrorIs(t, err, ctx.Err())
	require.Empty(t, found)
	ctx = &records.Countdown{Context: t.Context(), Looks: 8}
	_, err = s.Search(ctx, q)
	require.NoError(t, err)
	require.Zero(t, ctx.Looks, "the context was not looked at once a chunk")
}

// A scan ends with its context, also in the middle of a page.
func TestScanGivenUp(t *testing.T) {
	s := started(t, "", testSpace(16))
	enrol(t, s, crowd(20, 16))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Scan(ctx, ports.Everything(users, "")) {
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	require.Equal(t, 5, n)
	require.ErrorIs(t, last, context.Canceled)
}
