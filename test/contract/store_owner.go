package contract

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// owned returns a face of the collection people that a client enrolled.
func owned(user, id, owner string, vector []float32) ports.Record {
	r := face(user, id, vector)
	r.Owner = owner
	return r
}

func removeOfOwner(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.NoError(t, s.Add(t.Context(), owned("ada", "f", "alice", east), ports.First))
	require.NoError(t, s.Add(t.Context(), owned("bob", "f", "bert", north), ports.First))
	before := scanAll(t, s, people, "")

	for _, owner := range []string{"bert", "alic", "alice ", "ALICE", "%"} {
		require.ErrorIs(t, s.Remove(t.Context(), people, "ada", owner), ports.ErrForbidden, "owner %q", owner)
	}
	require.ErrorIs(t, s.Remove(t.Context(), people, "eve", "alice"), ports.ErrNotFound)
	require.Equal(t, before, scanAll(t, s, people, ""))

	require.NoError(t, s.Remove(t.Context(), people, "ada", "alice"))
	requireAbsent(t, s, "ada")
	require.ErrorIs(t, s.Remove(t.Context(), people, "ada", "bert"), ports.ErrNotFound)
	require.Equal(t, before[1:], scanAll(t, s, people, ""))
}

// removeOfSeveralOwners: of a user whose faces are not all of one owner, no
// owner may remove any.
func removeOfSeveralOwners(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.NoError(t, s.Add(t.Context(), owned("ada", "f", "alice", east), ports.First))
	require.NoError(t, s.Add(t.Context(), owned("ada", "g", "bert", north), ports.Further))

	require.ErrorIs(t, s.Remove(t.Context(), people, "ada", "alice"), ports.ErrForbidden)
	require.ErrorIs(t, s.Remove(t.Context(), people, "ada", "bert"), ports.ErrForbidden)
	require.Equal(t, []string{"ada/f", "ada/g"}, keysOf(scanAll(t, s, people, "")))
	require.NoError(t, s.Remove(t.Context(), people, "ada", ""))
	requireAbsent(t, s, "ada")
}

func addIfOwner(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for _, base := range []ports.Mode{ports.Further, ports.Replacement} {
		mode, user := base|ports.IfOwner, fmt.Sprintf("user-%d", base)
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "g", "alice", north), mode), ports.ErrNotFound)
		require.NoError(t, s.Add(t.Context(), owned(user, "f", "alice", east), ports.First))
		before := scanAll(t, s, people, "")
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "g", "bert", north), mode), ports.ErrForbidden)
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "f", "bert", north), mode), ports.ErrForbidden,
			"whether another's user has a face of some ID is not told")
		require.Equal(t, before, scanAll(t, s, people, ""))
		require.NoError(t, s.Add(t.Context(), owned(user, "g", "alice", north), mode))
	}
	require.Equal(t, []string{"user-2/f", "user-2/g", "user-3/g"}, keysOf(scanAll(t, s, people, "")))
	require.ErrorIs(t, s.Add(t.Context(), owned("user-2", "g", "alice", north), ports.Further|ports.IfOwner), ports.ErrExists)
}

func invalidOwnerRemoved(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for what, owner := range badIDs() {
		if owner != "" {
			require.ErrorIs(t, s.Remove(t.Context(), people, "ada", owner), ports.ErrInvalid, what)
		}
	}
	requireOnlyAda(t, s)
}

// concurrentOwners has one client change a user that is its own while another
// client takes the user over. Whatever comes first, what the first client was
// allowed never hits what the other has enrolled.
func concurrentOwners(t *testing.T, h StoreHarness) {
	a := openPlane(t, h)
	b := a
	if h.Second != nil && !h.UniquePerInstance {
		b = h.Second(t, a)
	}
	for round := range 20 {
		user := fmt.Sprintf("user-%d", round)
		require.NoError(t, a.Add(t.Context(), owned(user, "f", "alice", east), ports.First))
		var mine func(ctx context.Context) error
		if round%2 == 0 {
			mine = func(ctx context.Context) error { return a.Remove(ctx, people, user, "alice") }
		} else {
			mine = func(ctx context.Context) error {
				return a.Add(ctx, owned(user, "mine", "alice", east), ports.Replacement|ports.IfOwner)
			}
		}
		// Of two goroutines one mostly starts first, so they take turns in that.
		first := round / 2 % 2
		errs := together(2, func(i int) error {
			if i == first {
				return mine(t.Context())
			}
			return b.Add(t.Context(), owned(user, "theirs", "bert", north), ports.Replacement)
		})
		requireTakenOver(t, a, user, errs[first], errs[1-first])
	}
}

// requireTakenOver checks what has become of a user of concurrentOwners.
func requireTakenOver(t *testing.T, s ports.VectorStore, user string, mine, theirs error) {
	t.Helper()
	got, err := s.Get(t.Context(), people, user)
	if errors.Is(theirs, ports.ErrNotFound) {
		require.NoError(t, mine)
		require.ErrorIs(t, err, ports.ErrNotFound)
		return
	}
	require.NoError(t, theirs)
	require.NoError(t, err, "the owner of the old face removed the new one")
	require.Equal(t, []ports.Record{owned(user, "theirs", "bert", north)}, got)
	if mine != nil {
		require.ErrorIs(t, mine, ports.ErrForbidden)
	}
}
