package evaluation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		name          string
		count, trials int
		low, high     float64
	}{
		{"nothing known", 0, 0, 0, 1},
		{"rule of three", 0, 300, 0, 0.01},
		{"its mirror", 300, 300, 0.99, 1},
		{"few trials", 0, 2, 0, 1},
		// 10 of 100: 0.0552 to 0.1744, as in any table of the score interval.
		{"Wilson", 10, 100, 0.05523, 0.17437},
		{"Wilson at one half", 50, 100, 0.40383, 0.59617},
	} {
		t.Run(c.name, func(t *testing.T) {
			low, high := evaluation.Proportion{Count: c.count, Trials: c.trials}.Interval()
			require.InDelta(t, c.low, low, 1e-5)
			require.InDelta(t, c.high, high, 1e-5)
		})
	}
}

func TestIntervalHoldsTheRate(t *testing.T) {
	for trials := 1; trials < 60; trials++ {
		for count := range trials + 1 {
			p := evaluation.Proportion{Count: count, Trials: trials}
			low, high := p.Interval()
			require.LessOrEqual(t, low, p.Rate())
			require.GreaterOrEqual(t, high, p.Rate())
			require.GreaterOrEqual(t, low, 0.0)
			require.LessOrEqual(t, high, 1.0)
		}
	}
}
