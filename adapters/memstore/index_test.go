package memstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestDot(t *testing.T) {
	rng := seeded(5)
	for dimension := range 70 {
		a, b := unitVector(rng, dimension), unitVector(rng, dimension)
		var want float64
		for i := range a {
			want += float64(a[i]) * float64(b[i])
		}
		require.InDelta(t, want, dot(a, b), 1e-6, "dimension %d", dimension)
	}
}

// TestDotOrder pins the order of summation with numbers whose sum depends on
// it: large ones that cancel out before a small one is added.
func TestDotOrder(t *testing.T) {
	ones := slices.Repeat([]float32{1}, 17)
	a := make([]float32, 17)
	a[0], a[8], a[16] = 1e8, -1e8, 1 // in one sum, one after the other
	require.Equal(t, float32(1), dot(a, ones))
	a[8] = 0
	a[0], a[1], a[2] = 1e8, 1, -1e8 // in different sums, and 1e8 + 1 is 1e8
	require.Equal(t, float32(0), dot(a, ones))
	a[0], a[1], a[2], a[3] = 1e8, -1e8, 3, 4
	require.Equal(t, float32(7), dot(a, ones))
}

// Rows are added and removed across the edges of chunks; after each step every
// face has its own vector and no freed row holds anything.
func TestRows(t *testing.T) {
	const n = 2*chunkRows + 10
	x := newIndex(2)
	angle := func(i int) []float32 {
		sin, cos := math.Sincos(float64(i))
		return []float32{float32(cos), float32(sin)}
	}
	for i := range n {
		x.add(record(fmt.Sprint(i), angle(i)))
	}
	c := x.collections[users]
	require.Len(t, c.rows.chunks, 3)
	order := seeded(6).Perm(n)
	for step, i := range order[:n-3] {
		x.remove(users, fmt.Sprint(i))
		if step%97 != 0 && step < n-50 {
			continue
		}
		for _, left := range order[step+1:] {
			u, ok := c.users.Get(fmt.Sprint(left))
			require.True(t, ok)
			require.Equal(t, angle(left), c.rows.vector(u.faces[0].row))
		}
		requireNothingBehind(t, &c.rows)
	}
	require.Len(t, c.rows.chunks, 2, "one spare chunk is kept")
	for _, i := range order[n-3:] {
		x.remove(users, fmt.Sprint(i))
	}
	require.Empty(t, x.collections)
}

// requireNothingBehind checks that memory behind the last row is blank.
func requireNothingBehind(t *testing.T, r *rows) {
	t.Helper()
	require.LessOrEqual(t, len(r.chunks), (r.n+chunkRows-1)/chunkRows+1)
	for row := r.n; row < len(r.chunks)*chunkRows; row++ {
		require.Nil(t, r.chunks[row/chunkRows].faces[row%chunkRows])
		require.Equal(t, []float32{0, 0}, r.vector(row))
	}
}

// Adding never moves what is there.
func TestRowsStayWhereTheyAre(t *testing.T) {
	x := newIndex(2)
	x.add(record("ada", []float32{1, 0}))
	rows := &x.collections[users].rows
	before := &rows.vector(0)[0]
	for i := range 3 * chunkRows {
		x.add(record(fmt.Sprint(i), []float32{0, 1}))
	}
	require.Same(t, before, &rows.vector(0)[0])
}

// A search of many rows looks at its context in between.
func TestSearchGivenUp(t *testing.T) {
	s := started(t, "", testSpace(16))
	enrol(t, s, crowd(5*chunkRows, 16))
	q := ports.Query{Collection: users, Vector: unitVector(seeded(7), 16), K: 10, MinScore: -1}
	ctx := &countdown{t.Context(), 4}
	found, err := s.Search(ctx, q)
	require.ErrorIs(t, err, ctx.Err())
	require.Empty(t, found)
	ctx = &countdown{t.Context(), 6}
	_, err = s.Search(ctx, q)
	require.NoError(t, err)
	require.Zero(t, ctx.looks, "the context was not looked at once a chunk")
}

// A scan ends with its context, also in the middle of a page.
func TestScanGivenUp(t *testing.T) {
	s := started(t, "", testSpace(16))
	enrol(t, s, crowd(20, 16))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Scan(ctx, users, "") {
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	require.Equal(t, 5, n)
	require.ErrorIs(t, last, context.Canceled)
}

// topK gives what sorting everything gives, with ties and users of many faces,
// in whatever order faces come.
func TestTopK(t *testing.T) {
	rng := seeded(8)
	for range 300 {
		people := make([]*user, 1+rng.IntN(30))
		for i := range people {
			people[i] = &user{id: fmt.Sprintf("%02d", i)}
		}
		best := map[*user]candidate{}
		top := newTopK(1+rng.IntN(12), float64(rng.IntN(8))/8)
		minimum := top.floor
		for i := range rng.IntN(200) {
			c := candidate{&face{user: people[rng.IntN(len(people))], id: fmt.Sprint(i)}, float64(rng.IntN(9)) / 8}
			if have, ok := best[c.face.user]; c.score >= minimum && (!ok || better(c, have)) {
				best[c.face.user] = c
			}
			if c.score >= top.floor {
				top.offer(c.face, c.score)
			}
		}
		require.Equal(t, sorted(best, top.k), top.matches())
	}
}

// sorted returns the best k users.
func sorted(best map[*user]candidate, k int) []ports.Match {
	matches := []ports.Match{}
	for _, c := range best {
		matches = append(matches, ports.Match{UserID: c.face.user.id, FaceID: c.face.id, Score: c.score})
	}
	slices.SortFunc(matches, func(a, b ports.Match) int {
		if a.Score != b.Score {
			return int(8 * (b.Score - a.Score))
		}
		return int(a.UserID[0])*256 + int(a.UserID[1]) - int(b.UserID[0])*256 - int(b.UserID[1])
	})
	return matches[:min(k, len(matches))]
}

// Of a user's equally good faces the one with the smallest ID is named, in
// whatever order they come.
func TestTopKEqualFaces(t *testing.T) {
	ada := &user{id: "ada"}
	for _, order := range []string{"abc", "cba", "bac"} {
		top := newTopK(2, 0)
		for _, id := range order {
			top.offer(&face{user: ada, id: string(id)}, 0.5)
		}
		require.Equal(t, []ports.Match{{UserID: "ada", FaceID: "a", Score: 0.5}}, top.matches())
	}
}

// A page ends at a number of records, also in the middle of a user, and the
// next begins behind it even if the last face has gone meanwhile.
func TestPages(t *testing.T) {
	x := newIndex(2)
	for _, key := range []string{"aa", "ab", "ac", "ba", "ca", "cb"} {
		r := record(key[:1], []float32{1, 0})
		r.FaceID = key[1:]
		x.add(r)
	}
	keys := func(records []ports.Record) (keys []string) {
		for _, r := range records {
			keys = append(keys, r.UserID+r.FaceID)
		}
		return keys
	}
	page, at := x.page(users, cursor{}, 2)
	require.Equal(t, []string{"aa", "ab"}, keys(page))
	page, at = x.page(users, at, 3)
	require.Equal(t, []string{"ac", "ba", "ca"}, keys(page))
	x.remove(users, "c")
	again := record("c", []float32{1, 0})
	again.FaceID = "c"
	x.add(again)
	page, at = x.page(users, at, 3)
	require.Equal(t, []string{"cc"}, keys(page))
	page, _ = x.page(users, at, 3)
	require.Empty(t, page)
}

// What the store keeps of an ID is a copy, not a piece of the caller's string.
func TestStringsAreCopied(t *testing.T) {
	x := newIndex(2)
	request := []byte("user-ID in a long request")
	r := record(string(request)[:7], []float32{1, 0})
	x.add(r)
	u, _ := x.collections[users].users.Get("user-ID")
	require.NotSame(t, unsafeData(r.UserID), unsafeData(u.id))
}

func unsafeData(s string) *byte { return unsafe.StringData(s) }
