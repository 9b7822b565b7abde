package evaluation_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

// of returns the distribution of some scores.
func of(scores ...float64) evaluation.Distribution {
	var h evaluation.Histogram
	for _, s := range scores {
		h.Add(s)
	}
	return h.Distribution()
}

// exponential returns n scores that stand for an exponential distribution from a
// cosine on: its quantiles at equal distances.
func exponential(n int, from, scale float64) evaluation.Distribution {
	var h evaluation.Histogram
	for i := range n {
		h.Add(from - scale*math.Log((float64(i)+0.5)/float64(n)))
	}
	return h.Distribution()
}

// normal returns n scores drawn from a normal distribution.
func normal(n int, mean, deviation float64) evaluation.Distribution {
	r := rand.New(rand.NewPCG(1, 2))
	var h evaluation.Histogram
	for range n {
		h.Add(mean + deviation*r.NormFloat64())
	}
	return h.Distribution()
}

// at is the threshold of a cosine of few decimals.
func at(cosine float64) evaluation.Threshold {
	return evaluation.Threshold(math.Round(cosine * 1e5))
}

// angle is a template whose score with angle(b) is the cosine of the difference.
func angle(group, person, path string, degrees float64) evaluation.Template {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return evaluation.Template{
		Picture: evaluation.Picture{Group: group, Person: person, Path: path},
		Vector:  []float32{float32(cos), float32(sin), 0, 0, 0},
	}
}

func compare(t *testing.T, templates ...evaluation.Template) evaluation.Comparison {
	t.Helper()
	c, err := evaluation.Compare(context.Background(), templates, 2, nil)
	require.NoError(t, err)
	return c
}
