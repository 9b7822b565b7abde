package exactindex

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// topK gives what sorting everything gives, with ties and groups of many items, in
// whatever order they come.
func TestTopK(t *testing.T) {
	rng := seeded(8)
	for range 300 {
		best := map[string]Hit[*thing]{}
		var top topK[*thing]
		minimum := float64(rng.IntN(8)) / 8
		top.reset(1+rng.IntN(12), minimum)
		for i := range rng.IntN(200) {
			h := Hit[*thing]{&thing{group: fmt.Sprint(rng.IntN(30)), id: fmt.Sprint(i)}, float64(rng.IntN(9)) / 8}
			if have, ok := best[h.Item.group]; h.Score >= minimum && (!ok || better(h, have)) {
				best[h.Item.group] = h
			}
			if h.Score >= top.floor {
				top.offer(h.Item, h.Score)
			}
		}
		var want []Hit[*thing]
		for _, h := range best {
			want = append(want, h)
		}
		slices.SortFunc(want, Hit[*thing].compare)
		require.Equal(t, want[:min(top.k, len(want))], top.hits())
	}
}

// Of a group's equally good items the one with the smallest ID is named, in whatever
// order they come.
func TestTopKEqualItems(t *testing.T) {
	for _, order := range []string{"abc", "cba", "bac"} {
		var top topK[*thing]
		top.reset(2, 0)
		for _, id := range order {
			top.offer(&thing{group: "ada", id: string(id)}, 0.5)
		}
		hits := top.hits()
		require.Len(t, hits, 1)
		require.Equal(t, "a", hits[0].Item.id)
	}
}

func TestDot(t *testing.T) {
	rng := seeded(5)
	for dimension := range 70 {
		a, b := fixture.UnitVector(rng, dimension), fixture.UnitVector(rng, dimension)
		var want float64
		for i := range a {
			want += float64(a[i]) * float64(b[i])
		}
		require.InDelta(t, want, dot(a, b), 1e-6, "dimension %d", dimension)
	}
}

// The order of summation shows in numbers whose sum depends on it: large ones that
// cancel out before a small one is added.
func TestDotOrder(t *testing.T) {
	ones := slices.Repeat([]float32{1}, 33)
	a := make([]float32, 33)
	a[0], a[16], a[32] = 1e8, -1e8, 1 // in one lane, one after the other
	require.Equal(t, float32(1), dot(a, ones))
	a[16] = 0
	a[0], a[1], a[2] = 1e8, 1, -1e8 // in different lanes, and 1e8 + 1 is 1e8
	require.Equal(t, float32(1), dot(a, ones))
}
