package contract

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func removeUser(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", north)
	further(t, s, "ada", "h", west)
	enrol(t, s, "bob", eastNorth)

	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))

	requireAbsent(t, s, "ada")
	require.Equal(t, 1, count(t, s, people))
	require.Equal(t, []string{"bob"}, usersOf(search(t, s, east, 10, -1)))
}

func removeMissing(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()), ports.ErrNotFound)
	enrol(t, s, "ada", east)
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ad")), ports.Everybody()), ports.ErrNotFound)
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: others, UserID: "ada"}), ports.Everybody()), ports.ErrNotFound)
	require.Equal(t, 1, count(t, s, people))
}

func removeTwice(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()), ports.ErrNotFound)
}

func removeThenAdd(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", west)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))

	require.ErrorIs(t, s.Add(t.Context(), face("ada", "h", north), ports.FurtherFace(ports.Everybody())), ports.ErrNotFound)
	require.ErrorIs(t, s.Add(t.Context(), face("ada", "h", north), ports.Replacement(ports.Everybody())), ports.ErrNotFound)
	enrol(t, s, "ada", north)

	require.Equal(t, []string{"ada/f"}, keysOf(scanAll(t, s, people, "")))
	require.Equal(t, []string{"ada"}, usersOf(search(t, s, north, 10, 0.9)))
	require.Empty(t, search(t, s, east, 10, 0.5), "a removed vector came back")
	require.Empty(t, search(t, s, west, 10, 0.5), "a removed vector came back")
}

// removeLeavesOthers removes users from the middle, the end and the front, and
// looks for everyone else after each.
func removeLeavesOthers(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	rng := seeded(1)
	want := &oracle{}
	for i := range 12 {
		r := face(fmt.Sprintf("user-%02d", i), "f", latticeVector(rng))
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
		require.NoError(t, want.add(r, ports.NewUser()))
	}
	for _, i := range []int{5, 11, 0, 6, 10, 1, 4} {
		user := fmt.Sprintf("user-%02d", i)
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person(user)), ports.Everybody()))
		require.NoError(t, want.remove(ports.WholeUser(person(user)), ports.Everybody()))
		require.Equal(t, want.scan(people, ""), scanAll(t, s, people, ""))
		q := ports.Query{Collection: people, Vector: latticeVector(rng), K: 1000, MinScore: -1}
		want.requireExact(t, q, search(t, s, q.Vector, q.K, q.MinScore))
	}
}

func collectionsAreSeparate(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	elsewhere := face("ada", "f", north)
	elsewhere.Collection = others
	enrol(t, s, "ada", east)
	require.NoError(t, s.Add(t.Context(), elsewhere, ports.NewUser()), "a user ID belongs to its collection")

	require.Empty(t, search(t, s, north, 10, 0.5))
	require.Equal(t, []ports.Record{elsewhere}, scanAll(t, s, others, ""))
	require.Equal(t, 1, count(t, s, people))
	got, err := s.Get(t.Context(), ports.UserKey{Collection: others, UserID: "ada"})
	require.NoError(t, err)
	require.Equal(t, []ports.Record{elsewhere}, got)

	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.Equal(t, []ports.Record{elsewhere}, scanAll(t, s, others, ""))
	require.Equal(t, 1, count(t, s, others))
	requireAbsent(t, s, "ada")
}
