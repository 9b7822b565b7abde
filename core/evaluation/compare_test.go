package evaluation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
	"imago/ports"
)

// Two pictures each of two people and one of a third, by their angles: 0 and 30,
// 90 and 100, 60 degrees.
func few() []evaluation.Template {
	return []evaluation.Template{
		angle("", "a", "a/1", 0), angle("", "a", "a/2", 30),
		angle("", "b", "b/1", 90), angle("", "b", "b/2", 100), angle("", "c", "c/1", 60),
	}
}

func TestCompare(t *testing.T) {
	c := compare(t, few()...)
	require.Equal(t, 3, c.People)
	require.Equal(t, 5, c.Templates)
	require.Equal(t, 2, c.Pairs.Mated.Count())
	require.Equal(t, 8, c.Pairs.Strangers.Count())
	// Mated: cos 30 and cos 10. Strangers above cos 35: cos 30 twice, between 30
	// and 60 and between 60 and 90.
	require.Equal(t, 2, c.Pairs.FalseMatch(at(0.82)).Count)
	require.Equal(t, 0, c.Pairs.FalseMatch(at(0.87)).Count)
	require.Equal(t, 1, c.Pairs.FalseNonMatch(at(0.87)).Count)
	require.Empty(t, c.Groups)

	// Searches: a/1 finds a/2 (30) before c (60). a/2 has a/1 and c at 30 each: a
	// tie. b/1 finds b/2 (10), b/2 finds b/1. c has no other picture.
	require.Equal(t, evaluation.Proportion{Count: 3, Trials: 4}, c.RankOne)
	require.Equal(t, 4, c.Searches.Mated.Count())
	require.Equal(t, 5, c.Searches.Strangers.Count())
	// Best strangers: c for a/1 (60), c for a/2 (30), c for b/1 (30), c for b/2
	// (40), and 30 for c.
	require.Equal(t, 3, c.Searches.FalseMatch(at(0.8)).Count)
	require.Equal(t, 4, c.Searches.FalseMatch(at(0.7)).Count)
	require.Equal(t, 5, c.Searches.FalseMatch(at(0.49)).Count)
	require.Equal(t, 2, c.Searches.FalseNonMatch(at(0.9)).Count)

	require.Equal(t, "a/2", c.Closest[0].A.Path)
	require.Equal(t, "c/1", c.Closest[0].B.Path)
	require.InDelta(t, 0.866, c.Closest[0].Score, 0.001)
	require.Len(t, c.Closest, 8)
	require.Equal(t, "a/1", c.Farthest[0].A.Path)
	require.Len(t, c.Farthest, 2)
}

// Within a group, only its own pairs count; the same name in two groups is two
// people.
func TestCompareGroups(t *testing.T) {
	c := compare(t,
		angle("g", "a", "g/a/1", 0), angle("g", "a", "g/a/2", 10), angle("g", "b", "g/b/1", 50),
		angle("h", "a", "h/a/1", 2), angle("h", "c", "h/c/1", 180),
	)
	require.Equal(t, 4, c.People)
	require.Len(t, c.Groups, 2)
	g, h := c.Groups[0], c.Groups[1]
	require.Equal(t, "g", g.Name)
	require.Equal(t, []int{2, 3, 2, 2}, []int{g.People, g.Templates, h.People, h.Templates})
	require.Equal(t, []int{1, 2}, []int{g.Pairs.Mated.Count(), g.Pairs.Strangers.Count()})
	require.Equal(t, []int{0, 1}, []int{h.Pairs.Mated.Count(), h.Pairs.Strangers.Count()})
	require.Equal(t, 9, c.Pairs.Strangers.Count())
	require.Equal(t, evaluation.Proportion{Count: 0, Trials: 2}, g.RankOne, "h/a/1 comes before each other")
	require.Equal(t, evaluation.Proportion{}, h.RankOne)
}

// The outcome does not depend on how the work is shared.
func TestCompareInParallel(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var templates []evaluation.Template
	for i := range 120 {
		templates = append(templates, angle(fmt.Sprint(i%3), fmt.Sprint(i%40), fmt.Sprint(i), 360*r.Float64()))
	}
	templates = append(templates, templates[0], templates[1]) // ties
	var done []int
	one, err := evaluation.Compare(t.Context(), templates, 1, func(pairs int) { done = append(done, pairs) })
	require.NoError(t, err)
	require.True(t, slices.IsSorted(done))
	require.Equal(t, 122*121/2, done[len(done)-1])
	require.Equal(t, 122*121/2, one.Pairs.Mated.Count()+one.Pairs.Strangers.Count())
	many, err := evaluation.Compare(t.Context(), templates, 7, nil)
	require.NoError(t, err)
	require.Equal(t, one, many)
	require.Len(t, one.Closest, 10)
}

func TestCompareNothing(t *testing.T) {
	c := compare(t)
	require.Zero(t, c.Pairs.Strangers.Count())
	c = compare(t, angle("", "a", "a/1", 0))
	require.Equal(t, 1, c.People)
	require.Equal(t, evaluation.Proportion{}, c.RankOne)
	require.Zero(t, c.Searches.Strangers.Count(), "there is nobody else")
}

func TestCompareStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := evaluation.Compare(ctx, few(), 2, nil)
	require.ErrorIs(t, err, context.Canceled)
	odd := append(few(), evaluation.Template{Vector: []float32{1}})
	_, err = evaluation.Compare(t.Context(), odd, 2, nil)
	require.ErrorIs(t, err, ports.ErrInvalid)
}

func BenchmarkCompare(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	templates := make([]evaluation.Template, 1000)
	for i := range templates {
		templates[i].Person = fmt.Sprint(i / 2)
		templates[i].Vector = make([]float32, 128)
		for j := range templates[i].Vector {
			templates[i].Vector[j] = float32(r.NormFloat64() / 11.3)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := evaluation.Compare(b.Context(), templates, 1, nil)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1000*999/2), "ns/pair")
}
