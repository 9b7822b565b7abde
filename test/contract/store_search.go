package contract

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// rounding is how far a score may be from the true cosine.
const rounding = 1e-5

func searchEmptyStore(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.Empty(t, search(t, s, east, 10, -1))
	enrol(t, s, "ada", east)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.Empty(t, search(t, s, east, 10, -1))
}

func searchUnknownCollection(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	found, err := s.Search(t.Context(), ports.Query{Collection: others, Vector: east, K: 10, MinScore: -1})
	require.NoError(t, err)
	require.Empty(t, found)
}

func searchMoreThanThere(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	enrol(t, s, "bob", north)
	enrol(t, s, "cyd", west)
	require.Equal(t, []string{"ada", "bob", "cyd"}, usersOf(search(t, s, east, 10, -1)))
}

func searchNearest(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "far", west)
	enrol(t, s, "near", eastNorth)
	enrol(t, s, "same", east)
	enrol(t, s, "middling", north)
	require.Equal(t, []string{"same"}, usersOf(search(t, s, east, 1, -1)))
	require.Equal(t, []string{"same", "near"}, usersOf(search(t, s, east, 2, -1)))
	require.Equal(t, []string{"same", "near", "middling"}, usersOf(search(t, s, east, 3, -1)))
}

func searchOrder(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "a", west)
	enrol(t, s, "b", north)
	enrol(t, s, "c", northEast)
	enrol(t, s, "d", eastNorth)
	enrol(t, s, "e", east)
	require.Equal(t, []string{"e", "d", "c", "b", "a"}, usersOf(search(t, s, east, 10, -1)))
	require.Equal(t, []string{"b", "c", "d", "a", "e"}, usersOf(search(t, s, north, 10, -1)))
}

func searchTies(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for _, user := range []string{"b", "ä", "a", "Z", "aa", "10", "9"} {
		enrol(t, s, user, eastNorth)
	}
	enrol(t, s, "zz", east)
	inOrder := []string{"zz", "10", "9", "Z", "a", "aa", "b", "ä"}
	for k := 1; k <= len(inOrder); k++ {
		require.Equal(t, inOrder[:k], usersOf(search(t, s, east, k, -1)), "k = %d", k)
	}
}

func searchScores(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	want := map[string]float64{"same": 1, "near": 0.8, "nearish": 0.6, "orthogonal": 0, "opposite": -1}
	enrol(t, s, "same", east)
	enrol(t, s, "near", eastNorth)
	enrol(t, s, "nearish", northEast)
	enrol(t, s, "orthogonal", north)
	enrol(t, s, "opposite", west)

	found := search(t, s, east, 10, -1)

	require.Len(t, found, len(want))
	for _, m := range found {
		require.InDelta(t, want[m.UserID], m.Score, rounding, m.UserID)
	}
}

// searchScoreRange looks for vectors by themselves and their opposites, where
// rounding would carry a careless sum over the edge.
func searchScoreRange(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(128))
	rng := seeded(3)
	records := make([]ports.Record, 50)
	for i := range records {
		records[i] = face(fmt.Sprintf("user-%02d", i), "f", sphereVector(rng, 128))
	}
	fill(t, s, records, ports.NewUser())
	for _, r := range records {
		opposite := make([]float32, len(r.Vector))
		for i, x := range r.Vector {
			opposite[i] = -x
		}
		for _, q := range [][]float32{r.Vector, opposite} {
			query := ports.Query{Collection: people, Vector: q, K: 1000, MinScore: -1}
			found := search(t, s, q, query.K, query.MinScore)
			requireWellFormed(t, query, found)
			require.Len(t, found, len(records))
		}
		require.InDelta(t, 1, search(t, s, r.Vector, 1, -1)[0].Score, rounding)
	}
}

func searchMinimumInclusive(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "same", east)
	enrol(t, s, "near", northEast)
	enrol(t, s, "orthogonal", north)
	enrol(t, s, "opposite", west)
	for minimum, want := range map[float64][]string{
		1:                           {"same"},
		0.7:                         {"same"},
		float64(northEast[0]):       {"same", "near"},
		0.5:                         {"same", "near"},
		math.SmallestNonzeroFloat64: {"same", "near"},
		0:                           {"same", "near", "orthogonal"},
		-0.999:                      {"same", "near", "orthogonal"},
		-1:                          {"same", "near", "orthogonal", "opposite"},
	} {
		require.Equal(t, want, usersOf(search(t, s, east, 10, minimum)), "minimum %v", minimum)
	}
	require.Empty(t, search(t, s, []float32{0, -1}, 10, 0.5))
}

// searchMinimumComputed asks with exactly the scores that the store reports.
func searchMinimumComputed(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(128))
	rng := seeded(4)
	records := make([]ports.Record, 50)
	for i := range records {
		records[i] = face(fmt.Sprintf("user-%02d", i), "f", sphereVector(rng, 128))
	}
	fill(t, s, records, ports.NewUser())
	q := sphereVector(rng, 128)
	all := search(t, s, q, 1000, -1)
	require.Len(t, all, len(records))
	for i, m := range all {
		require.Equal(t, all[:i+1], search(t, s, q, 1000, m.Score))
		require.Equal(t, all[:i], append([]ports.Match{}, search(t, s, q, 1000, math.Nextafter(m.Score, 2))...))
	}
}

func searchBestFace(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", north)
	further(t, s, "ada", "best", eastNorth)
	further(t, s, "ada", "worst", west)
	enrol(t, s, "bob", northEast)

	found := search(t, s, east, 10, -1)

	require.Equal(t, []string{"ada", "bob"}, usersOf(found), "one match per user")
	require.Equal(t, "best", found[0].FaceID)
	require.Equal(t, ownerOf("best"), found[0].Owner)
	require.InDelta(t, 0.8, found[0].Score, rounding)
}

// searchManyFacesLeaveRoom gives one user more near faces than matches are
// wanted.
func searchManyFacesLeaveRoom(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "cyd", north)
	enrol(t, s, "ada", east)
	for i := range 30 {
		further(t, s, "ada", fmt.Sprintf("face-%02d", i), east)
	}
	enrol(t, s, "bob", northEast)
	require.Equal(t, []string{"ada"}, usersOf(search(t, s, east, 1, -1)))
	require.Equal(t, []string{"ada", "bob"}, usersOf(search(t, s, east, 2, -1)))
	require.Equal(t, []string{"ada", "bob", "cyd"}, usersOf(search(t, s, east, 3, -1)))
	require.Equal(t, []string{"ada", "bob"}, usersOf(search(t, s, east, 3, 0.5)))
}

func searchLargestK(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	rng := seeded(5)
	want := &oracle{}
	for i := range h.many() {
		want.records = append(want.records, face(fmt.Sprintf("user-%05d", i), "f", latticeVector(rng)))
	}
	fill(t, s, want.records, ports.NewUser())
	q := ports.Query{Collection: people, Vector: latticeVector(rng), K: 1000, MinScore: -1}
	want.requireExact(t, q, search(t, s, q.Vector, q.K, q.MinScore))
}
