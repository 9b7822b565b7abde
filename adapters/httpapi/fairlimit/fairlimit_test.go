package fairlimit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fill has a client take pieces until there is no more for it.
func fill(s *Limit, client string) (pieces int) {
	for s.Acquire(client, 1, 1) {
		pieces++
	}
	return pieces
}

// Whoever comes finds a part free, however many have come before.
func TestFairLimit(t *testing.T) {
	s := New(1000)
	require.Equal(t, 750, fill(s, "first"))
	for _, client := range []string{"second", "third", "fourth"} {
		got := fill(s, client)
		require.Positive(t, got)
		require.Less(t, s.taken, s.limit)
	}
	require.Zero(t, fill(s, "first"), "which holds more than its share")
	for range 750 {
		s.Release("first", 1)
	}
	require.Greater(t, fill(s, "second"), 100, "which is free for others")
	require.NotContains(t, s.held, "first", "nothing is kept of who holds nothing")
}

func TestLimitOfGrowingPieces(t *testing.T) {
	s := New(100)
	require.True(t, s.Acquire("a", 1, 500), "the only one passes")
	require.True(t, s.Grow("a", 499))
	require.False(t, s.Acquire("b", 1, 1), "nothing is left")
	s.Release("a", 500)

	require.True(t, s.Acquire("a", 1, 60))
	require.False(t, s.Acquire("b", 1, 100), "there would be no room for it")
	require.True(t, s.Acquire("b", 1, 60), "there is now")
	require.True(t, s.Grow("a", 59))
	require.False(t, s.Grow("b", 59), "somebody else was faster")
	s.Release("a", 60)
	require.True(t, s.Grow("b", 59))
	s.Release("b", 60)
	require.Zero(t, s.taken)
	require.Empty(t, s.held)
}

// A few places are all for one, the smallest limit has one.
func TestLimitOfFewPlaces(t *testing.T) {
	for limit, want := range map[int64]int{1: 1, 2: 2, 3: 3, 4: 3, 12: 9} {
		require.Equal(t, want, fill(New(limit), "a"), "%d", limit)
	}
}
