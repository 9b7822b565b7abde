package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// reopen closes a store and opens its data again in the same space.
func reopen(t *testing.T, h StoreHarness, s ports.VectorStore, space ports.Space) ports.VectorStore {
	t.Helper()
	again, err := h.Reopen(t, s, space)
	require.NoError(t, err)
	return again
}

func reopenKeepsData(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	rng := seeded(9)
	want := &oracle{}
	for i, id := range awkwardIDs() {
		r := face(id, "f", sphereVector(rng, 16))
		if i%2 == 0 {
			r.Collection = others
		}
		require.NoError(t, want.add(r, ports.NewUser()))
	}
	fill(t, s, want.records, ports.NewUser())
	q := sphereVector(rng, 16)
	ranked := search(t, s, q, 1000, -1)

	for range 2 {
		s = reopen(t, h, s, storeSpace(16))
		for _, collection := range []string{people, others} {
			require.Equal(t, want.scan(collection, ""), scanAll(t, s, collection, ""))
			require.Equal(t, want.count(collection), count(t, s, collection))
		}
		require.Equal(t, ranked, search(t, s, q, 1000, -1))
	}
}

// reopenKeepsChanges removes, replaces and adds faces, and goes on writing
// after the data was opened again.
func reopenKeepsChanges(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	rng := seeded(10)
	want := &oracle{}
	for round := range 3 {
		for range 60 {
			randomWrite(t, s, want, rng)
		}
		user := fmt.Sprintf("last-%d", round)
		r := face(user, "f", latticeVector(rng))
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person(user)), ports.Everybody()))

		s = reopen(t, h, s, storeSpace(16))
		for _, collection := range []string{people, others} {
			require.Equal(t, want.scan(collection, ""), scanAll(t, s, collection, ""))
		}
		q := ports.Query{Collection: people, Vector: r.Vector, K: 1000, MinScore: -1}
		want.requireExact(t, q, search(t, s, q.Vector, q.K, q.MinScore))
	}
}

func reopenOtherSpace(t *testing.T, h StoreHarness) {
	mine := storeSpace(2)
	s := h.Open(t, mine)
	enrol(t, s, "ada", east)
	for name, change := range map[string]func(*ports.Space){
		"network":       func(o *ports.Space) { o.Model, o.Digest = "other", strings.Repeat("c3", 32) },
		"preprocessing": func(o *ports.Space) { o.Preprocessing = "BGR x1" },
		"dimension":     func(o *ports.Space) { o.Dimension = 3 },
	} {
		other := mine
		change(&other)
		_, err := h.Reopen(t, s, other)
		require.ErrorIs(t, err, ports.ErrSpaceMismatch, name)
		require.ErrorContains(t, err, mine.String(), "the message does not name the stored space")
		require.ErrorContains(t, err, other.String(), "the message does not name the space asked for")
		require.ErrorContains(t, err, "set models.embedder to "+mine.Model, "the message does not say how to go on with the gallery")
		require.ErrorContains(t, err, "enrol again", "the message does not say how to change the model")
	}
	s = reopen(t, h, s, mine)
	requireOnlyAda(t, s)
}

// reopenRenamedModel opens with another name for the same space.
func reopenRenamedModel(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(2))
	enrol(t, s, "ada", east)
	renamed := storeSpace(2)
	renamed.Model = "suite, renamed"
	requireOnlyAda(t, reopen(t, h, s, renamed))
}

// secondSeesWrites writes through one instance and reads through the other
// without waiting.
func secondSeesWrites(t *testing.T, h StoreHarness) {
	a := openPlane(t, h)
	b := h.Second(t, a)
	for i := range 10 {
		user := fmt.Sprintf("user-%d", i)
		enrol(t, a, user, east)
		require.Contains(t, usersOf(search(t, b, east, 1000, 0.9)), user)
		require.ErrorIs(t, b.Add(t.Context(), face(user, "g", north), ports.NewUser()), ports.ErrExists)
		further(t, b, user, "g", north)
		got, err := a.Get(t.Context(), person(user))
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, i+1, count(t, b, people))
		require.Equal(t, scanAll(t, a, people, ""), scanAll(t, b, people, ""))
	}
}

func secondSeesRemovals(t *testing.T, h StoreHarness) {
	a := openPlane(t, h)
	b := h.Second(t, a)
	for i := range 10 {
		user := fmt.Sprintf("user-%d", i)
		enrol(t, a, user, east)
		require.NoError(t, b.Remove(t.Context(), ports.WholeUser(person(user)), ports.Everybody()))
		requireAbsent(t, a, user)
		enrol(t, a, user, east)
		require.NoError(t, a.Add(t.Context(), face(user, "g", west), ports.Replacement(ports.Everybody())))
		require.Empty(t, search(t, b, east, 10, 0.5), "the replaced vector still matches")
		require.NoError(t, a.Remove(t.Context(), ports.WholeUser(person(user)), ports.Everybody()))
		requireAbsent(t, b, user)
	}
}
