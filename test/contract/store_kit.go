package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// The collections of the cases. No store is told about them beforehand.
const (
	people = "people"
	others = "others"
)

// Most cases work on the unit circle, where the answer is visible by eye: the
// score of a vector against east is its x coordinate.
var (
	east      = []float32{1, 0}
	eastNorth = []float32{0.8, 0.6}
	northEast = []float32{0.6, 0.8}
	north     = []float32{0, 1}
	west      = []float32{-1, 0}
)

// storeSpace returns the space of the cases.
func storeSpace(dimension int) ports.Space {
	return ports.Space{
		Model:         "suite",
		Digest:        strings.Repeat("5a", 32),
		Preprocessing: "RGB x1",
		Dimension:     dimension,
	}
}

// openPlane opens a store of vectors in the plane.
func openPlane(t *testing.T, h StoreHarness) ports.VectorStore {
	t.Helper()
	return h.Open(t, storeSpace(2))
}

// face returns a record of the collection people with its own copy of a vector.
func face(user, id string, vector []float32) ports.Record {
	return ports.Record{
		Collection: people, UserID: user, FaceID: id,
		Vector: append([]float32(nil), vector...),
		Owner:  ownerOf(id), EnrolledAt: time.Unix(1700000000, 123456000).UTC(),
	}
}

// person names a user of the collection people.
func person(user string) ports.UserKey { return ports.UserKey{Collection: people, UserID: user} }

// ownerOf returns the owner that face gives to a face, a different one for each
// ID and of a length that is fit for any backend.
func ownerOf(id string) string { return fmt.Sprintf("client-%08x", crc32.ChecksumIEEE([]byte(id))) }

// enrol adds the first face, named f, of a user of the collection people.
func enrol(t *testing.T, s ports.VectorStore, user string, vector []float32) {
	t.Helper()
	require.NoError(t, s.Add(t.Context(), face(user, "f", vector), ports.NewUser()))
}

// further adds a face to a user of the collection people.
func further(t *testing.T, s ports.VectorStore, user, id string, vector []float32) {
	t.Helper()
	require.NoError(t, s.Add(t.Context(), face(user, id, vector), ports.FurtherFace(ports.Everybody())))
}

// search asks the collection people.
func search(t *testing.T, s ports.VectorStore, vector []float32, k int, minimum float64) []ports.Match {
	t.Helper()
	found, err := s.Search(t.Context(), ports.Query{
		Collection: people, Vector: vector, K: k, MinScore: minimum,
	})
	require.NoError(t, err)
	return found
}

// usersOf returns the users of matches, in order.
func usersOf(matches []ports.Match) []string {
	users := make([]string, 0, len(matches))
	for _, m := range matches {
		users = append(users, m.UserID)
	}
	return users
}

// keysOf returns user/face of records, in order.
func keysOf(records []ports.Record) []string {
	keys := make([]string, 0, len(records))
	for _, r := range records {
		keys = append(keys, r.UserID+"/"+r.FaceID)
	}
	return keys
}

// scanAll returns all records of a collection from a user on.
func scanAll(t *testing.T, s ports.VectorStore, collection, from string) []ports.Record {
	t.Helper()
	records, err := collect(s.Scan(t.Context(), ports.Everything(collection, from)))
	require.NoError(t, err)
	return records
}

// collect drains a scan. It returns the records before the error, which must
// end the sequence and come with a zero Record.
func collect(seq iter.Seq2[ports.Record, error]) ([]ports.Record, error) {
	var records []ports.Record
	var failure error
	for r, err := range seq {
		switch {
		case failure != nil:
			return records, fmt.Errorf("the scan went on after the error %w", failure)
		case err != nil && (r.UserID != "" || r.Vector != nil):
			return records, fmt.Errorf("a record came with the error %w", err)
		case err != nil:
			failure = err
		default:
			records = append(records, r)
		}
	}
	return records, failure
}

// count returns the number of users of a collection.
func count(t *testing.T, s ports.VectorStore, collection string) int {
	t.Helper()
	n, err := s.Count(t.Context(), collection)
	require.NoError(t, err)
	return n
}

// requireAbsent checks that no call returns a user of the collection people.
func requireAbsent(t *testing.T, s ports.VectorStore, user string) {
	t.Helper()
	_, err := s.Get(t.Context(), person(user))
	require.ErrorIs(t, err, ports.ErrNotFound)
	for _, v := range [][]float32{east, north, west} {
		require.NotContains(t, usersOf(search(t, s, v, 1000, -1)), user)
	}
	for _, r := range scanAll(t, s, people, "") {
		require.NotEqual(t, user, r.UserID)
	}
}

// fill adds records many at a time, because a store may share the cost of
// making them durable between callers.
func fill(t testing.TB, s ports.VectorStore, records []ports.Record, mode ports.Mode) {
	t.Helper()
	const workers = 32
	errs := fixture.Together(workers, func(worker int) error {
		for i := worker; i < len(records); i += workers {
			if err := s.Add(t.Context(), records[i], mode); err != nil {
				return fmt.Errorf("record %d: %w", i, err)
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
}

// many returns how many records the large cases write.
func (h StoreHarness) many() int {
	if h.Records == 0 {
		return 2000
	}
	return max(50, h.Records)
}

// within fails the test when f panics or does not return in the harness's
// patience: f is stuck then, and the suite had better say where.
func (h StoreHarness) within(t *testing.T, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%s panics: %v", what, p)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(cmp.Or(h.Patience, 30*time.Second)):
		require.FailNow(t, what+" does not return")
	}
}

// cancelled returns a context that has ended.
func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// seeded returns a source of random numbers that is the same in every run.
func seeded(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(20260101, stream)) }

// latticeVector returns a unit vector whose products with others of its kind
// are exact in float32 in any order of summation: each of the sixteen
// coordinates is plus or minus a quarter. Scores are multiples of 1/8, so that
// ties abound.
func latticeVector(rng *rand.Rand) []float32 {
	v := make([]float32, 16)
	for i := range v {
		v[i] = 0.25
		if rng.IntN(2) == 0 {
			v[i] = -0.25
		}
	}
	return v
}

// sphereVector returns a unit vector of uniformly random direction.
func sphereVector(rng *rand.Rand, dimension int) []float32 {
	v := make([]float64, dimension)
	var sum float64
	for i := range v {
		v[i] = rng.NormFloat64()
		sum += v[i] * v[i]
	}
	unit := make([]float32, dimension)
	for i := range v {
		unit[i] = float32(v[i] / math.Sqrt(sum))
	}
	return unit
}
