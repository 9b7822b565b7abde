package pgstore

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/pgvector/pgvector-go"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// plan returns how the database runs a query of a store.
func plan(t *testing.T, s *store, query string, args ...any) string {
	t.Helper()
	rows, err := s.driver.pool.Query(t.Context(), s.driver.sql("EXPLAIN "+query), args...)
	require.NoError(t, err)
	var lines []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		lines = append(lines, line)
	}
	require.NoError(t, rows.Err())
	return strings.Join(lines, "\n")
}

// An exact search does not use the index even where it is there and the
// database is told to use it; the other search does.
func TestExactUsesNoIndex(t *testing.T) {
	t.Parallel()
	for _, half := range []bool{true, false} {
		cfg := settingsFor(t, dsn(t))
		always(&cfg)
		cfg.HalfVec = half
		s := started(t, cfg, testSpace(2))
		vector := pgvector.NewVector(east)
		require.Contains(t, plan(t, s, s.driver.hnsw.search, users, vector, 10), s.driver.hnsw.name)
		for _, query := range []string{searchFaces, searchUsers} {
			require.NotContains(t, plan(t, s, query, users, vector, 0.5, 10), hnswPrefix)
		}
	}
}

// A page of a scan is read from where it begins.
func TestScanUsesTheKey(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	always(&cfg)
	s := started(t, cfg, testSpace(2))
	require.Contains(t, plan(t, s, withVector+withChip+behindFace+inOrder, users, "ada", "f", 10),
		"Index Cond: ((collection = 'users'::text) AND (ROW(user_id, face_id) > ROW('ada'::text, 'f'::text)))")
}

// A page of one owner's users is read from where it begins, past those of all others.
func TestScanOfOwnerUsesItsIndex(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	always(&cfg)
	s := started(t, cfg, testSpace(2))
	require.Contains(t, plan(t, s, withoutVector+withChip+behindFace+ofOwner+inOrder, users, "ada", "f", 10, "gateway"),
		"Index Cond: ((collection = 'users'::text) AND (owner = 'gateway'::text) AND (ROW(user_id, face_id) > ROW('ada'::text, 'f'::text)))")
}

// One user has more near faces than any search fetches at first, and another
// as many that are all equal.
func TestUsersWithVeryManyFaces(t *testing.T) {
	dsn(t)
	t.Parallel()
	for name, change := range map[string]func(*config.PGVectorStore){"exact": exact, "hnsw": always} {
		t.Run(name, func(t *testing.T) {
			cfg := settingsFor(t, dsn(t))
			change(&cfg)
			s := started(t, cfg, testSpace(2))
			var faces []ports.Record
			for i := range 200 {
				angle := float64(i) / 1000
				turned := []float32{float32(math.Cos(angle)), float32(math.Sin(angle))}
				faces = append(faces, record("ada", fmt.Sprintf("%03d", i), turned), record("bob", fmt.Sprintf("%03d", i), []float32{0.8, 0.6}))
			}
			faces = append(faces, record("cyd", "f", []float32{0.6, 0.8}), record("dee", "f", north), record("eve", "f", north))
			pour(t, s, faces)
			for k, want := range [][]string{
				1: {"ada/000"}, 2: {"ada/000", "bob/000"}, 3: {"ada/000", "bob/000", "cyd/f"},
				4: {"ada/000", "bob/000", "cyd/f", "dee/f"}, 5: {"ada/000", "bob/000", "cyd/f", "dee/f", "eve/f"},
			} {
				if k > 0 {
					require.Equal(t, want, found(t, s, ports.Query{Vector: east, K: k, MinScore: -1}))
				}
			}
			require.Equal(t, []string{"ada/000", "bob/000"}, found(t, s, ports.Query{Vector: east, K: 5, MinScore: 0.7}))
			require.Empty(t, found(t, s, ports.Query{Vector: []float32{-1, 0}, K: 5, MinScore: 0.1}))
		})
	}
}

// Faces that are the same in 16 bits are told apart by the exact search, when
// there are more of them than the index is asked for.
func TestFinerThanTheGraph(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	always(&cfg)
	s := started(t, cfg, testSpace(2))
	const people = 200
	faces := make([]ports.Record, people)
	best := make([]string, people)
	for i := range faces {
		rank := i * 37 % people
		sine := 0.0963 + float64(rank)/10000 // about 45 of a rounded cosine
		faces[i] = record(fmt.Sprintf("%03d", i), "f", []float32{float32(math.Sqrt(1 - sine*sine)), float32(sine)})
		best[rank] = fmt.Sprintf("%03d/f", i)
	}
	pour(t, s, faces)
	for _, k := range []int{1, 2, 5} {
		require.Equal(t, best[:k], found(t, s, ports.Query{Vector: east, K: k, MinScore: 0.9}))
	}
}

// found returns user/face of the matches.
func found(t *testing.T, s *store, q ports.Query) (keys []string) {
	t.Helper()
	q.Collection = users
	matches, err := s.Search(t.Context(), q)
	require.NoError(t, err)
	for _, m := range matches {
		keys = append(keys, m.UserID+"/"+m.FaceID)
	}
	return keys
}

// Vectors too long to lie beside the names of a face are kept elsewhere by the
// database, and found all the same.
func TestLongVectors(t *testing.T) {
	t.Parallel()
	for _, dimension := range []int{512, 1800, 4096, maxDimension} {
		s := fresh(t, dimension)
		rng := seeded(uint64(dimension))
		var records []ports.Record
		for _, user := range []string{"ada", strings.Repeat("b", 256)} {
			r := record(user, strings.Repeat("f", 256), fixture.UnitVector(rng, dimension))
			require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
			records = append(records, r)
		}
		for _, r := range records {
			got, err := s.Get(t.Context(), userKey(r.UserID))
			require.NoError(t, err)
			require.Equal(t, []ports.Record{r}, got)
			require.Equal(t, []string{r.UserID + "/" + r.FaceID}, found(t, s, ports.Query{Vector: r.Vector, K: 5, MinScore: 0.9}))
		}
	}
}
