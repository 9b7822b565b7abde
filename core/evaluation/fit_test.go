package evaluation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

// The shipped curve of mobilefacenet is the fit at its measured cosine.
func TestFitOfTheShippedModel(t *testing.T) {
	c, err := evaluation.Fit(0.48)
	require.NoError(t, err)
	require.InDelta(t, 0.41337, c.Midpoint, 1e-5)
	require.InDelta(t, 20.807, c.Steepness, 1e-3)
}

// Both points of the fit are on the curve, wherever the anchor lies.
func TestFitInverted(t *testing.T) {
	for cosine := -0.2; cosine < 0.97; cosine += 0.0113 {
		c, err := evaluation.Fit(cosine)
		require.NoError(t, err)
		require.InDelta(t, 80, c.Percent(cosine), 0.02)
		require.InDelta(t, 99.9995, c.Percent(1), 1e-4)
		require.InDelta(t, cosine, c.Cosine(80), 1e-4)
	}
}

func TestNoFit(t *testing.T) {
	for _, cosine := range []float64{0.99, 1, evaluation.Unreachable.Cosine(), -0.9} {
		_, err := evaluation.Fit(cosine)
		require.ErrorIs(t, err, evaluation.ErrUnfit, "at %v", cosine)
	}
}

// With 400,000 pairs of strangers 1 in 10,000 is 40 of them: it is counted.
func TestProposalThatIsMeasured(t *testing.T) {
	p, err := evaluation.Propose(evaluation.Tradeoff{Strangers: exponential(400_000, 0, 0.05)})
	require.NoError(t, err)
	require.False(t, p.Provisional)
	require.Equal(t, evaluation.Measured, p.Anchor.Basis)
	require.InDelta(t, 0.4605, p.Anchor.Threshold.Cosine(), 0.002) // 0.05 ln 10000
	require.InDelta(t, 80, p.Curve.Percent(p.Anchor.Threshold.Cosine()), 0.02)
	require.Len(t, p.Rates, 7, "0.1 to 1e-4")
	for i, r := range p.Rates[1:] {
		require.Greater(t, r.Cosine, p.Rates[i].Cosine)
		require.Less(t, r.Rate, p.Rates[i].Rate)
	}
	require.Equal(t, 1e-4, p.Rates[6].Rate)
	require.Equal(t, p.Anchor.Threshold.Cosine(), p.Rates[6].Cosine)
}

func TestProposalThatIsProvisional(t *testing.T) {
	p, err := evaluation.Propose(evaluation.Tradeoff{Strangers: exponential(700, 0, 0.05)})
	require.NoError(t, err)
	require.True(t, p.Provisional)
	require.Equal(t, evaluation.Extrapolated, p.Anchor.Basis)
	require.Len(t, p.Rates, 2, "one that was measured, and the anchor")
	require.Equal(t, 0.1, p.Rates[0].Rate)
	require.Equal(t, 1e-4, p.Rates[1].Rate)
	require.Equal(t, p.Anchor.Threshold.Cosine(), p.Rates[1].Cosine)
}

func TestNoProposal(t *testing.T) {
	p, err := evaluation.Propose(evaluation.Tradeoff{Strangers: normal(200, 0, 0.1)})
	require.ErrorIs(t, err, evaluation.ErrUnfit)
	require.ErrorContains(t, err, "200 pairs")
	require.Zero(t, p.Curve)
	_, err = evaluation.Propose(evaluation.Tradeoff{})
	require.ErrorIs(t, err, evaluation.ErrUnfit)
}
