package contract

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// owned returns a face of the collection people that a client enrolled.
func owned(user, id, owner string, vector []float32) ports.Record {
	r := face(user, id, vector)
	r.Owner = owner
	return r
}

func removeOfOwner(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.NoError(t, s.Add(t.Context(), owned("ada", "f", "alice", east), ports.NewUser()))
	require.NoError(t, s.Add(t.Context(), owned("bob", "f", "bert", north), ports.NewUser()))
	before := scanAll(t, s, people, "")

	for _, owner := range []string{"bert", "alic", "alice ", "ALICE", "%"} {
		require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.OwnedBy(owner)), ports.ErrForbidden, "owner %q", owner)
	}
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("eve")), ports.OwnedBy("alice")), ports.ErrNotFound)
	require.Equal(t, before, scanAll(t, s, people, ""))

	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.OwnedBy("alice")))
	requireAbsent(t, s, "ada")
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.OwnedBy("bert")), ports.ErrNotFound)
	require.Equal(t, before[1:], scanAll(t, s, people, ""))
}

// removeOfSeveralOwners: of a user whose faces are not all of one owner, no
// owner may remove any.
func removeOfSeveralOwners(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.NoError(t, s.Add(t.Context(), owned("ada", "f", "alice", east), ports.NewUser()))
	require.NoError(t, s.Add(t.Context(), owned("ada", "g", "bert", north), ports.FurtherFace(ports.Everybody())))

	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.OwnedBy("alice")), ports.ErrForbidden)
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.OwnedBy("bert")), ports.ErrForbidden)
	require.Equal(t, []string{"ada/f", "ada/g"}, keysOf(scanAll(t, s, people, "")))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	requireAbsent(t, s, "ada")
}

func addIfOwner(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for user, mode := range map[string]func(ports.Owners) ports.Mode{"ada": ports.FurtherFace, "bob": ports.Replacement} {
		alices, berts := mode(ports.OwnedBy("alice")), mode(ports.OwnedBy("bert"))
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "g", "alice", north), alices), ports.ErrNotFound)
		require.NoError(t, s.Add(t.Context(), owned(user, "f", "alice", east), ports.NewUser()))
		before := scanAll(t, s, people, "")
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "g", "bert", north), berts), ports.ErrForbidden)
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "g", "alice", north), berts), ports.ErrForbidden,
			"what counts are the owners that the mode names")
		require.ErrorIs(t, s.Add(t.Context(), owned(user, "f", "bert", north), berts), ports.ErrForbidden,
			"whether another's user has a face of some ID is not told")
		require.Equal(t, before, scanAll(t, s, people, ""))
		require.NoError(t, s.Add(t.Context(), owned(user, "g", "bert", north), alices), "the new face may have any owner")
	}
	require.Equal(t, []string{"ada/f", "ada/g", "bob/g"}, keysOf(scanAll(t, s, people, "")))
	require.NoError(t, s.Add(t.Context(), owned("eve", "f", "alice", north), ports.NewUser()))
	require.ErrorIs(t, s.Add(t.Context(), owned("eve", "f", "alice", north), ports.FurtherFace(ports.OwnedBy("alice"))), ports.ErrExists)
}

func invalidOwners(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	bad := map[string]ports.Owners{"nobody": {}}
	for what, owner := range badIDs() {
		bad[what] = ports.OwnedBy(owner)
	}
	for what, owners := range bad {
		require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), owners), ports.ErrInvalid, what)
		require.ErrorIs(t, s.Add(t.Context(), face("ada", "g", north), ports.FurtherFace(owners)), ports.ErrInvalid, what)
		require.ErrorIs(t, s.Add(t.Context(), face("ada", "g", north), ports.Replacement(owners)), ports.ErrInvalid, what)
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
		require.NoError(t, a.Add(t.Context(), owned(user, "f", "alice", east), ports.NewUser()))
		var mine func(ctx context.Context) error
		if round%2 == 0 {
			mine = func(ctx context.Context) error {
				return a.Remove(ctx, ports.WholeUser(person(user)), ports.OwnedBy("alice"))
			}
		} else {
			mine = func(ctx context.Context) error {
				return a.Add(ctx, owned(user, "mine", "alice", east), ports.Replacement(ports.OwnedBy("alice")))
			}
		}
		// Of two goroutines one mostly starts first, so they take turns in that.
		first := round / 2 % 2
		errs := fixture.Together(2, func(i int) error {
			if i == first {
				return mine(t.Context())
			}
			return b.Add(t.Context(), owned(user, "theirs", "bert", north), ports.Replacement(ports.Everybody()))
		})
		requireTakenOver(t, a, user, errs[first], errs[1-first])
	}
}

// requireTakenOver checks what has become of a user of concurrentOwners.
func requireTakenOver(t *testing.T, s ports.VectorStore, user string, mine, theirs error) {
	t.Helper()
	got, err := s.Get(t.Context(), person(user))
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
