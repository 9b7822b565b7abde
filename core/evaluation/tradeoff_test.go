package evaluation_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

// A hundred strangers at 0.001, 0.002, … 0.1: at a false match rate of 0.3 the
// thirty above 0.07 match; of four mated pairs, one lies below.
func TestMeasuredPoint(t *testing.T) {
	var strangers []float64
	for i := 1; i <= 100; i++ {
		strangers = append(strangers, float64(i)/1000)
	}
	tr := evaluation.Tradeoff{Mated: of(0.05, 0.0701, 0.5, 0.9), Strangers: of(strangers...)}
	p := tr.At(0.3)
	require.Equal(t, evaluation.Measured, p.Basis)
	require.Equal(t, at(0.07001), p.Threshold)
	require.Equal(t, evaluation.Proportion{Count: 30, Trials: 100}, p.FalseMatch)
	require.Equal(t, evaluation.Proportion{Count: 1, Trials: 4}, p.FalseNonMatch)
	require.Equal(t, evaluation.Unknown, tr.At(0.29).Basis, "29 false matches measure nothing, and 100 pairs carry no tail")

	few := tr.Counted(0.29)
	require.Equal(t, evaluation.Few, few.Basis)
	require.Equal(t, at(0.07101), few.Threshold)
	require.Equal(t, evaluation.Measured, tr.Counted(0.3).Basis)
	require.Equal(t, evaluation.Few, tr.Counted(0.01).Basis)
	require.Equal(t, evaluation.Unknown, tr.Counted(0.009).Basis, "not even one search")
}

// Where the tail is exponential, extrapolation finds the true quantile
// ln(1/rate) scales above the start, a tenth of it already among the excesses.
func TestExtrapolation(t *testing.T) {
	tr := evaluation.Tradeoff{Strangers: exponential(2000, 0.1, 0.03)}
	p := tr.At(1e-4)
	require.Equal(t, evaluation.Extrapolated, p.Basis)
	truth := 0.1 + 0.03*math.Log(1e4)
	require.InDelta(t, truth, p.Threshold.Cosine(), 0.003)
	require.Less(t, p.Low, p.Threshold)
	require.Greater(t, p.High, p.Threshold)
	// 200 excesses: the scale is known to 14 %.
	require.InDelta(t, 0.03*math.Log(1e3)*1.96/math.Sqrt(200), p.High.Cosine()-p.Threshold.Cosine(), 0.001)
	require.Zero(t, p.FalseMatch.Count, "nobody was seen there")

	tail, ok := evaluation.FitTail(tr.Strangers)
	require.True(t, ok)
	require.InEpsilon(t, 1e-4, tail.At(p.Threshold), 0.001)
}

// A normal tail falls faster than an exponential one: the threshold lies above
// the true one.
func TestExtrapolationErrsOnTheSafeSide(t *testing.T) {
	truth := 0.05 + 0.1*3.719 // the quantile of the normal distribution at 1e-4
	p := evaluation.Tradeoff{Strangers: normal(3000, 0.05, 0.1)}.At(1e-4)
	require.Equal(t, evaluation.Extrapolated, p.Basis)
	require.Greater(t, p.Threshold.Cosine(), truth)
	require.InDelta(t, truth, p.Threshold.Cosine(), 0.1)
}

// Thresholds rise as the wanted rate falls, across the border of what was
// measured too.
func TestThresholdsRiseAsRatesFall(t *testing.T) {
	var split evaluation.Histogram // its tail lies below what was counted
	for i := range 1000 {
		split.Add(0.0001 * float64(i))
	}
	for range 40 {
		split.Add(0.9)
	}
	for _, strangers := range []evaluation.Distribution{normal(700, 0.05, 0.1), exponential(4000, 0, 0.05), normal(50_000, 0, 0.1), split.Distribution()} {
		tr := evaluation.Tradeoff{Strangers: strangers}
		before := evaluation.Lowest
		for rate := 0.5; rate > 1e-7; rate *= 0.93 {
			p := tr.At(rate)
			require.NotEqual(t, evaluation.Unknown, p.Basis)
			require.GreaterOrEqual(t, p.Threshold, before, "rate %v, %s", rate, p.Basis)
			require.LessOrEqual(t, p.Low, p.Threshold)
			require.GreaterOrEqual(t, p.High, p.Threshold)
			before = p.Threshold
		}
	}
}

func TestEstimate(t *testing.T) {
	tr := evaluation.Tradeoff{Strangers: exponential(2000, 0.1, 0.03)}
	for _, c := range []struct {
		cosine, rate float64
		basis        evaluation.Basis
	}{
		{0, 1, evaluation.Measured},
		{0.1 + 0.03*math.Log(10), 0.1, evaluation.Measured},
		{0.1 + 0.03*math.Log(50), 0.02, evaluation.Measured},
		{0.1 + 0.03*math.Log(100), 0.01, evaluation.Extrapolated},
		{0.1 + 0.03*math.Log(1e5), 1e-5, evaluation.Extrapolated},
	} {
		rate, basis := tr.Estimate(at(c.cosine))
		require.Equal(t, c.basis, basis, "at %v", c.cosine)
		require.InEpsilon(t, c.rate, rate, 0.1)
	}
	few := evaluation.Tradeoff{Strangers: of(0.1, 0.2, 0.3, 0.4)}
	rate, basis := few.Estimate(at(0.3))
	require.Equal(t, evaluation.Few, basis)
	require.Equal(t, 0.5, rate)
	_, basis = few.Estimate(at(0.5))
	require.Equal(t, evaluation.Unknown, basis)
}

func TestNoTail(t *testing.T) {
	_, ok := evaluation.FitTail(normal(290, 0, 0.1))
	require.False(t, ok, "29 excesses")
	_, ok = evaluation.FitTail(normal(300, 0, 0.1))
	require.True(t, ok)
	_, ok = evaluation.FitTail(evaluation.Distribution{})
	require.False(t, ok)
	same := make([]float64, 1000)
	_, ok = evaluation.FitTail(of(same...))
	require.False(t, ok, "a tenth of them cannot be told from the rest")
}

func TestPerComparison(t *testing.T) {
	require.InDelta(t, 0.5, evaluation.PerComparison(0.75, 2), 1e-15)
	require.InEpsilon(t, 1e-6, evaluation.PerComparison(1-math.Pow(1-1e-6, 10_000), 10_000), 1e-9)
	require.InEpsilon(t, 1e-10, evaluation.PerComparison(1e-4, 1_000_000), 1e-4)
	require.InDelta(t, 0.01, evaluation.PerComparison(0.01, 1), 1e-15)
}

// Five pairs of a mislabelled person among 2,000 are no tail; 2,000 clean ones
// are one.
func TestWrongLabelsContradictTheTail(t *testing.T) {
	clean := normal(2000, 0.05, 0.1)
	_, _, contradicted := evaluation.Tradeoff{Strangers: clean}.Contradicted()
	require.False(t, contradicted)
	_, _, contradicted = evaluation.Tradeoff{Strangers: exponential(2000, 0, 0.05)}.Contradicted()
	require.False(t, contradicted)
	var h evaluation.Histogram
	for i := range 2000 {
		h.Add(0.05 - 0.04*math.Log((float64(i)+0.5)/2000))
	}
	for i := range 5 {
		h.Add(0.7 + 0.02*float64(i))
	}
	th, expected, contradicted := evaluation.Tradeoff{Strangers: h.Distribution()}.Contradicted()
	require.True(t, contradicted)
	require.LessOrEqual(t, th, at(0.7))
	require.Less(t, expected, 1.0)
	_, _, contradicted = evaluation.Tradeoff{Strangers: of(0.9, 0.1)}.Contradicted()
	require.False(t, contradicted, "no tail, no doubt")
}
