package contract

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// badVectors cannot be compared in the plane.
func badVectors() map[string][]float32 {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	return map[string][]float32{
		"nil": nil, "empty": {}, "too short": {1}, "too long": {1, 0, 0},
		"zero": {0, 0}, "NaN": {nan, 0}, "NaN behind": {1, nan}, "infinite": {inf, 0},
		"minus infinite": {0, -inf}, "twice as long": {2, 0}, "half as long": {0, 0.5},
		"a little long": {1.01, 0}, "a little short": {0.99, 0}, "huge": {math.MaxFloat32, math.MaxFloat32},
	}
}

// badIDs are not 1 to 256 bytes of valid UTF-8 without control characters.
func badIDs() map[string]string {
	return map[string]string{
		"empty": "", "257 bytes": strings.Repeat("x", 257), "257 bytes of umlauts": strings.Repeat("ä", 128) + "x",
		"NUL": "a\x00b", "newline": "a\nb", "tab": "\ta", "escape": "\x1b[0m", "delete": "a\x7f",
		"C1 control": "a\u0085b", "invalid UTF-8": "a\xffb", "half a rune": "a\xc3", "surrogate": "\xed\xa0\x80",
	}
}

// badCollections are not 1 to 64 characters of a-z, 0-9, '-' and '_'.
func badCollections() map[string]string {
	return map[string]string{
		"empty": "", "65 characters": strings.Repeat("x", 65), "upper case": "People", "blank": "peo ple",
		"slash": "a/b", "dot": "a.b", "umlaut": "ä", "quote": `people"`, "NUL": "a\x00", "invalid UTF-8": "\xff",
	}
}

// openWithAda opens a store with one user, so that "nothing changed" means
// something.
func openWithAda(t *testing.T, h StoreHarness) ports.VectorStore {
	t.Helper()
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	return s
}

// requireOnlyAda checks that nothing has changed since openWithAda.
func requireOnlyAda(t *testing.T, s ports.VectorStore) {
	t.Helper()
	require.Equal(t, []ports.Record{face("ada", "f", east)}, scanAll(t, s, people, ""))
	require.Equal(t, 1, count(t, s, people))
	require.Equal(t, []string{"ada"}, usersOf(search(t, s, east, 10, -1)))
}

// requireAddInvalid checks that a record is refused whatever the mode.
func requireAddInvalid(t *testing.T, s ports.VectorStore, r ports.Record, what string) {
	t.Helper()
	for _, mode := range []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody()), ports.Replacement(ports.Everybody())} {
		require.ErrorIs(t, s.Add(t.Context(), r, mode), ports.ErrInvalid, "%s, mode %v", what, mode)
	}
}

func invalidVectorAdded(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for what, v := range badVectors() {
		r := face("ada", "g", nil)
		r.Vector = v
		requireAddInvalid(t, s, r, what)
		r.UserID = "bob"
		requireAddInvalid(t, s, r, what)
	}
	requireOnlyAda(t, s)
}

func invalidVectorSearched(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for what, v := range badVectors() {
		for _, collection := range []string{people, others} {
			found, err := s.Search(t.Context(), ports.Query{Collection: collection, Vector: v, K: 10, MinScore: -1})
			require.ErrorIs(t, err, ports.ErrInvalid, what)
			require.Empty(t, found)
		}
	}
	requireOnlyAda(t, s)
}

// nearUnitVectors checks that the rounding of a float32 normalisation passes,
// and that it carries no score out of range.
func nearUnitVectors(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for user, x := range map[string]float32{"a": 1.000001, "b": 0.999999, "c": 1} {
		v := []float32{x, 0}
		enrol(t, s, user, v)
		q := ports.Query{Collection: people, Vector: v, K: 10, MinScore: 0.999}
		found := search(t, s, v, q.K, q.MinScore)
		require.Contains(t, usersOf(found), user)
		requireWellFormed(t, q, found)
	}
	require.Equal(t, 3, count(t, s, people))
}

func invalidUserID(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for what, id := range badIDs() {
		requireAddInvalid(t, s, face(id, "g", north), what)
		require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person(id)), ports.Everybody()), ports.ErrInvalid, what)
		_, err := s.Get(t.Context(), person(id))
		require.ErrorIs(t, err, ports.ErrInvalid, what)
	}
	requireOnlyAda(t, s)
}

func invalidFaceID(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for what, id := range badIDs() {
		requireAddInvalid(t, s, face("ada", id, north), what)
		requireAddInvalid(t, s, face("bob", id, north), what)
	}
	requireOnlyAda(t, s)
}

func invalidCollection(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for what, name := range badCollections() {
		r := face("bob", "f", north)
		r.Collection = name
		requireAddInvalid(t, s, r, what)
		require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: name, UserID: "ada"}), ports.Everybody()), ports.ErrInvalid, what)
		_, err := s.Get(t.Context(), ports.UserKey{Collection: name, UserID: "ada"})
		require.ErrorIs(t, err, ports.ErrInvalid, what)
		_, err = s.Count(t.Context(), name)
		require.ErrorIs(t, err, ports.ErrInvalid, what)
		_, err = s.Search(t.Context(), ports.Query{Collection: name, Vector: east, K: 1})
		require.ErrorIs(t, err, ports.ErrInvalid, what)
		_, err = collect(s.Scan(t.Context(), ports.Everything(name, "")))
		require.ErrorIs(t, err, ports.ErrInvalid, what)
	}
	requireOnlyAda(t, s)
}

func invalidMode(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for _, user := range []string{"ada", "bob"} {
		require.ErrorIs(t, s.Add(t.Context(), face(user, "g", north), ports.Mode{}), ports.ErrInvalid)
	}
	requireOnlyAda(t, s)
}

func invalidK(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for _, k := range []int{0, -1, 1001, math.MaxInt, math.MinInt} {
		for _, collection := range []string{people, others} {
			_, err := s.Search(t.Context(), ports.Query{Collection: collection, Vector: east, K: k})
			require.ErrorIs(t, err, ports.ErrInvalid, "k = %d", k)
		}
	}
	requireOnlyAda(t, s)
}

func invalidMinimum(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for _, minimum := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1.5, -1.5} {
		_, err := s.Search(t.Context(), ports.Query{Collection: people, Vector: east, K: 1, MinScore: minimum})
		require.ErrorIs(t, err, ports.ErrInvalid, "minimum %v", minimum)
	}
	requireOnlyAda(t, s)
}
