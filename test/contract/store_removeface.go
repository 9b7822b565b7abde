package contract

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// removeFace removes the first, the middle and the last of a user's faces, in the order of
// their IDs and in that of their enrolment.
func removeFace(t *testing.T, h StoreHarness) {
	for _, gone := range []string{"f", "g", "e"} {
		s := openPlane(t, h)
		enrol(t, s, "ada", east)
		further(t, s, "ada", "g", north)
		further(t, s, "ada", "e", west)
		enrol(t, s, "bob", eastNorth)
		before, err := s.Get(t.Context(), person("ada"))
		require.NoError(t, err)
		vector := map[string][]float32{"f": east, "g": north, "e": west}[gone]

		require.NoError(t, s.Remove(t.Context(), ports.OneFace(person("ada"), gone), ports.Everybody()))

		want := slices.DeleteFunc(slices.Clone(before), func(r ports.Record) bool { return r.FaceID == gone })
		got, err := s.Get(t.Context(), person("ada"))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, append(keysOf(want), "bob/f"), keysOf(scanAll(t, s, people, "")))
		require.NotContains(t, usersOf(search(t, s, vector, 10, 0.9)), "ada", "a removed vector is found")
		for _, r := range want {
			require.Equal(t, r.FaceID, search(t, s, r.Vector, 1, 0.9)[0].FaceID)
		}
		require.ErrorIs(t, s.Remove(t.Context(), ports.OneFace(person("ada"), gone), ports.Everybody()), ports.ErrNotFound)
		further(t, s, "ada", gone, vector)
		require.Equal(t, before, must(s.Get(t.Context(), person("ada")))(t), "the face may be enrolled again")
	}
}

func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return value
	}
}

// removeFaceThenCount counts users, and pages of each owner's, whichever face went.
func removeFaceThenCount(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	fill(t, s, manyRecords(h.many(), north), ports.NewUser())
	for _, gone := range []string{"f", "g"} {
		user := "ada-" + gone
		require.NoError(t, s.Add(t.Context(), owned(user, "f", "alice", east), ports.NewUser()))
		require.NoError(t, s.Add(t.Context(), owned(user, "g", "bert", west), ports.FurtherFace(ports.Everybody())))
		before := count(t, s, people)
		selection := ports.Selection{Collection: people, Owners: ports.OwnedBy(map[string]string{"f": "alice", "g": "bert"}[gone])}
		require.Contains(t, keysOf(must(collect(s.Scan(t.Context(), selection)))(t)), user+"/"+gone)
		require.NoError(t, s.Remove(t.Context(), ports.OneFace(person(user), gone), ports.Everybody()))
		require.Equal(t, before, count(t, s, people))
		require.Empty(t, must(collect(s.Scan(t.Context(), selection)))(t), "the owner of a removed face has a user")
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person(user)), ports.Everybody()))
		require.Equal(t, before-1, count(t, s, people))
	}
}

// manyRecords returns users with one face each.
func manyRecords(n int, vector []float32) []ports.Record {
	records := make([]ports.Record, n)
	for i := range records {
		records[i] = face(fmt.Sprintf("user-%05d", i), "f", vector)
	}
	return records
}

func removeFaceMissing(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.ErrorIs(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "f"), ports.Everybody()), ports.ErrNotFound)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", north)
	enrol(t, s, "bob", north)
	for _, missing := range []ports.Removal{
		ports.OneFace(person("ada"), "h"), ports.OneFace(person("ada"), "F"), ports.OneFace(person("ad"), "f"),
		ports.OneFace(person("bob"), "g"), ports.OneFace(ports.UserKey{Collection: others, UserID: "ada"}, "f"),
	} {
		require.ErrorIs(t, s.Remove(t.Context(), missing, ports.Everybody()), ports.ErrNotFound, "%v", missing)
	}
	require.Equal(t, []string{"ada/f", "ada/g", "bob/f"}, keysOf(scanAll(t, s, people, "")))
}

func removeOnlyFace(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", north)
	require.NoError(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "f"), ports.Everybody()))
	require.ErrorIs(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "g"), ports.Everybody()), ports.ErrOnlyFace)
	require.Equal(t, []string{"ada/g"}, keysOf(scanAll(t, s, people, "")))
	require.Equal(t, []string{"ada"}, usersOf(search(t, s, north, 10, 0.9)))
	require.NoError(t, s.Add(t.Context(), face("ada", "n", west), ports.Replacement(ports.Everybody())))
	require.ErrorIs(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "n"), ports.Everybody()), ports.ErrOnlyFace)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	requireAbsent(t, s, "ada")
}

// removeFaceOfOwner: all faces of the user count, and nothing else is told to whom they do
// not belong.
func removeFaceOfOwner(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.NoError(t, s.Add(t.Context(), owned("ada", "f", "alice", east), ports.NewUser()))
	require.NoError(t, s.Add(t.Context(), owned("ada", "g", "alice", north), ports.FurtherFace(ports.Everybody())))
	require.NoError(t, s.Add(t.Context(), owned("bob", "f", "alice", east), ports.NewUser()))
	for _, removal := range []ports.Removal{
		ports.OneFace(person("ada"), "f"), ports.OneFace(person("ada"), "h"), ports.OneFace(person("bob"), "f"),
	} {
		require.ErrorIs(t, s.Remove(t.Context(), removal, ports.OwnedBy("bert")), ports.ErrForbidden, "%v", removal)
	}
	require.NoError(t, s.Add(t.Context(), owned("ada", "h", "bert", west), ports.FurtherFace(ports.Everybody())))
	require.ErrorIs(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "f"), ports.OwnedBy("alice")), ports.ErrForbidden)
	require.NoError(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "h"), ports.Everybody()))
	require.NoError(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "f"), ports.OwnedBy("alice")))
	require.Equal(t, []string{"ada/g", "bob/f"}, keysOf(scanAll(t, s, people, "")))
}

func invalidRemoval(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	require.ErrorIs(t, s.Remove(t.Context(), ports.Removal{}, ports.Everybody()), ports.ErrInvalid)
	for what, id := range badIDs() {
		require.ErrorIs(t, s.Remove(t.Context(), ports.OneFace(person("ada"), id), ports.Everybody()), ports.ErrInvalid, what)
	}
	requireOnlyAda(t, s)
}

// concurrentFaceRemovals has a user's two faces removed at once: one is kept.
func concurrentFaceRemovals(t *testing.T, h StoreHarness) {
	a := openPlane(t, h)
	b := a
	if h.Second != nil && !h.UniquePerInstance {
		b = h.Second(t, a)
	}
	for round := range 20 {
		user := fmt.Sprintf("user-%d", round)
		enrol(t, a, user, east)
		further(t, a, user, "g", north)
		ids, stores := []string{"f", "g"}, []ports.VectorStore{a, b}
		errs := fixture.Together(2, func(i int) error {
			return stores[i].Remove(t.Context(), ports.OneFace(person(user), ids[(i+round)%2]), ports.Everybody())
		})
		refused := slices.IndexFunc(errs, func(err error) bool { return err != nil })
		require.GreaterOrEqual(t, refused, 0, "both faces of a user were removed")
		require.ErrorIs(t, errs[refused], ports.ErrOnlyFace)
		require.NoError(t, errs[1-refused])
		require.Equal(t, []string{user + "/" + ids[(refused+round)%2]}, keysOf(must(a.Get(t.Context(), person(user)))(t)))
	}
}
