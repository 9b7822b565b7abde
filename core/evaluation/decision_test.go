package evaluation_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

// repeated returns so many scores of a height.
func repeated(high, low int) evaluation.Distribution {
	var h evaluation.Histogram
	for range high {
		h.Add(0.9)
	}
	for range low {
		h.Add(0.2)
	}
	return h.Distribution()
}

// The decision follows what is missed at the threshold that 1 in 100 strangers reaches in
// the gallery, with its bounds.
func TestDecision(t *testing.T) {
	strangers := exponential(40_000, 0, 0.05)
	for _, tt := range []struct {
		name      string
		mated     evaluation.Distribution
		strangers evaluation.Distribution
		want      evaluation.Outcome
	}{
		{"nobody is missed of enough", repeated(evaluation.FewestMated, 0), strangers, evaluation.Usable},
		{"nobody is missed of too few", repeated(evaluation.FewestMated-1, 0), strangers, evaluation.Undecided},
		{"1 in 25 is missed of 100", repeated(96, 4), strangers, evaluation.Undecided},
		{"1 in 25 is missed of 2,000", repeated(1920, 80), strangers, evaluation.Usable},
		{"half are missed", repeated(50, 50), strangers, evaluation.NotUsable},
		{"one picture each", evaluation.Distribution{}, strangers, evaluation.CannotTell},
		{"one person", repeated(100, 0), evaluation.Distribution{}, evaluation.CannotTell},
		{"too few strangers", repeated(100, 0), exponential(200, 0, 0.05), evaluation.CannotTell},
		{"strangers who look the same", repeated(100, 0), repeated(2000, 0), evaluation.CannotTell},
		{"strangers whom no threshold keeps out", repeated(100, 0), exponential(40_000, 0, 0.2), evaluation.NotUsable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := evaluation.Tradeoff{Mated: tt.mated, Strangers: tt.strangers}.Decide(1000)
			require.Equal(t, tt.want, v.Outcome, "%+v", v)
		})
	}
}

// The largest gallery that is stated is usable by the same measure, and a larger one is not.
func TestLargestGallery(t *testing.T) {
	var mated evaluation.Histogram
	for i := range 4000 {
		mated.Add(0.2 + 0.6*float64(i)/4000)
	}
	tr := evaluation.Tradeoff{Mated: mated.Distribution(), Strangers: exponential(40_000, 0, 0.03)}
	v := tr.Decide(1_000_000)
	require.Equal(t, evaluation.NotUsable, v.Outcome)
	require.Positive(t, v.Largest)
	require.LessOrEqual(t, tr.Decide(v.Largest).Point.FalseNonMatch.Rate(), evaluation.MaxFNIR)
	require.Equal(t, evaluation.NotUsable, tr.Decide(v.Largest+1+v.Largest/50).Outcome)
	require.Less(t, v.Reviewed.Threshold, v.Point.Threshold)
}

// So many strangers measure the threshold, and a few less do not.
func TestStrangersToMeasure(t *testing.T) {
	v := evaluation.Tradeoff{Strangers: exponential(400, 0, 0.05)}.Decide(10)
	require.Equal(t, evaluation.Extrapolated, v.Point.Basis)
	pairs, people := v.StrangersToMeasure()
	require.GreaterOrEqual(t, people*(people-1)/2, pairs)
	require.Less(t, (people-1)*(people-2)/2, pairs)
	require.Equal(t, evaluation.Measured, evaluation.Tradeoff{Strangers: exponential(pairs, 0, 0.05)}.Decide(10).Point.Basis)
	require.Equal(t, evaluation.Extrapolated, evaluation.Tradeoff{Strangers: exponential(pairs-1, 0, 0.05)}.Decide(10).Point.Basis)
	pairs, people = evaluation.Tradeoff{}.Decide(math.MaxInt32).StrangersToMeasure()
	require.Positive(t, pairs)
	require.Positive(t, people)
}
