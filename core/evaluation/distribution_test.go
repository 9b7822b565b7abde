package evaluation_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

func TestThresholdsAreInclusive(t *testing.T) {
	d := of(0.1, 0.2, 0.2, 0.3, -1, 1)
	for _, c := range []struct {
		cosine float64
		want   int
	}{
		{-1, 6}, {-0.99999, 5}, {0.1, 5}, {0.10001, 4}, {0.19999, 4}, {0.2, 4}, {0.20001, 2}, {0.3, 2}, {0.30001, 1}, {1, 1},
	} {
		require.Equal(t, c.want, d.AtLeast(at(c.cosine)), "at %v", c.cosine)
		require.Equal(t, evaluation.Proportion{Count: 6 - c.want, Trials: 6}, d.Missing(at(c.cosine)))
	}
	require.Zero(t, d.AtLeast(evaluation.Unreachable))
	require.Equal(t, 6, d.AtLeast(evaluation.Lowest-1))
	require.Equal(t, 6, d.Count())
}

// Whatever the score, it reaches a threshold exactly if it is at least its
// cosine.
func TestCountsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		score := 2*r.Float64() - 1
		switch on := float64(r.IntN(200_001)-100_000) / 1e5; r.IntN(4) {
		case 0:
			score = on
		case 1:
			score = math.Nextafter(on, -1)
		case 2:
			score = math.Nextafter(on, 1)
		}
		th := evaluation.AtLeast(score)
		d := of(score)
		for u := th - 2; u <= th+2; u++ {
			want := 0
			if score >= u.Cosine() && u <= evaluation.Highest {
				want = 1
			}
			require.Equal(t, want, d.AtLeast(u), "score %v at %v", score, u.Cosine())
		}
		require.GreaterOrEqual(t, th.Cosine(), score)
		require.Less(t, (th - 1).Cosine(), score)
	}
}

func TestScoresBeyondOneCount(t *testing.T) {
	d := of(1.0000001, -1.0000001)
	require.Equal(t, 1, d.AtLeast(evaluation.Highest))
	require.Equal(t, 2, d.Count())
	require.Equal(t, evaluation.Unreachable, evaluation.AtLeast(1.5))
}

// The lowest threshold that at most so many of ten scores reach; equal scores
// are refused together.
func TestLimit(t *testing.T) {
	d := of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9)
	for _, c := range []struct {
		rate float64
		want evaluation.Threshold
	}{
		{1, evaluation.Lowest}, {0.95, at(0.10001)}, {0.9, at(0.10001)}, {0.3, at(0.70001)}, {0.29, at(0.80001)}, {0.2, at(0.80001)},
		{0.19, at(0.90001)}, {0.1, at(0.90001)}, {0, at(0.90001)},
	} {
		require.Equal(t, c.want, d.Limit(c.rate), "rate %v", c.rate)
	}
	require.Equal(t, evaluation.Unreachable, of(1, 1, 0).Limit(0.5), "strangers who look the same")
}

func TestEmptyDistribution(t *testing.T) {
	var d evaluation.Distribution
	require.Zero(t, d.Count())
	require.Zero(t, d.AtLeast(0))
	require.Zero(t, d.Reaching(0).Rate())
}

func TestRatesFallAndRise(t *testing.T) {
	tr := evaluation.Tradeoff{Mated: normal(5000, 0.7, 0.1), Strangers: normal(5000, 0.05, 0.12)}
	fmr, fnmr := 1.0, 0.0
	for th := evaluation.Lowest; th <= evaluation.Unreachable; th += 7 {
		require.LessOrEqual(t, tr.FalseMatch(th).Rate(), fmr)
		require.GreaterOrEqual(t, tr.FalseNonMatch(th).Rate(), fnmr)
		fmr, fnmr = tr.FalseMatch(th).Rate(), tr.FalseNonMatch(th).Rate()
	}
	require.Zero(t, tr.FalseMatch(evaluation.Unreachable).Rate())
	require.Equal(t, 1.0, tr.FalseNonMatch(evaluation.Unreachable).Rate())
}

func BenchmarkHistogram(b *testing.B) {
	var h evaluation.Histogram
	r := rand.New(rand.NewPCG(5, 6))
	scores := make([]float64, 4096)
	for i := range scores {
		scores[i] = 0.2 * r.NormFloat64()
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range scores {
			h.Add(s)
		}
	}
}
