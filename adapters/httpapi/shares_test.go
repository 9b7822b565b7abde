package httpapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fill has a client take pieces until there is no more for it.
func fill(s *shares, client string) (pieces int) {
	for s.take(client, 1, 1) {
		pieces++
	}
	return pieces
}

// Whoever comes finds a part free, however many have come before.
func TestShares(t *testing.T) {
	s := newShares(1000)
	require.Equal(t, 750, fill(s, "first"))
	for _, client := range []string{"second", "third", "fourth"} {
		got := fill(s, client)
		require.Positive(t, got)
		require.Less(t, s.taken, s.limit)
	}
	require.Zero(t, fill(s, "first"), "which holds more than its share")
	for range 750 {
		s.give("first", 1)
	}
	require.Greater(t, fill(s, "second"), 100, "which is free for others")
	require.NotContains(t, s.held, "first", "nothing is kept of who holds nothing")
}

func TestSharesOfGrowingPieces(t *testing.T) {
	s := newShares(100)
	require.True(t, s.take("a", 1, 500), "the only one passes")
	require.True(t, s.grow("a", 499))
	require.False(t, s.take("b", 1, 1), "nothing is left")
	s.give("a", 500)

	require.True(t, s.take("a", 1, 60))
	require.False(t, s.take("b", 1, 100), "there would be no room for it")
	require.True(t, s.take("b", 1, 60), "there is now")
	require.True(t, s.grow("a", 59))
	require.False(t, s.grow("b", 59), "somebody else was faster")
	s.give("a", 60)
	require.True(t, s.grow("b", 59))
	s.give("b", 60)
	require.Zero(t, s.taken)
	require.Empty(t, s.held)
}

// A few places are all for one, the smallest limit has one.
func TestSharesOfFewPlaces(t *testing.T) {
	for limit, want := range map[int64]int{1: 1, 2: 2, 3: 3, 4: 3, 12: 9} {
		require.Equal(t, want, fill(newShares(limit), "a"), "%d", limit)
	}
}
