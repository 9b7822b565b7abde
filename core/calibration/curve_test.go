package calibration_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
)

// mobilefacenet is the curve of the network that imago is developed with.
var mobilefacenet = calibration.Curve{Midpoint: 0.414, Steepness: 20.9}

func TestPercentReadsLikeTheReference(t *testing.T) {
	require.InDelta(t, 99.99953, mobilefacenet.Percent(1), 2e-5, "a picture against itself")
	require.Equal(t, 50.0, mobilefacenet.Percent(0.414))
	require.InDelta(t, 80, mobilefacenet.Percent(0.4803), 0.02, "false match rate 1 in 10,000")
	require.Less(t, mobilefacenet.Percent(0.2), 2.0, "strangers read near zero")
}

func TestPercentHasFiveDecimals(t *testing.T) {
	for cosine := -1.0; cosine <= 1; cosine += 0.00731 {
		p := mobilefacenet.Percent(cosine)
		require.Equal(t, math.Round(p*1e5)/1e5, p)
		require.GreaterOrEqual(t, p, 0.0)
		require.LessOrEqual(t, p, 100.0)
	}
}

// A similarity that a client read must be met when it is sent back as the
// threshold: the store may not drop the match before it is compared.
func TestCosineNeverDropsWhatReadsTheThreshold(t *testing.T) {
	for cosine := -1.0; cosine <= 1; cosine += 0.00037 {
		p := mobilefacenet.Percent(cosine)
		require.LessOrEqual(t, mobilefacenet.Cosine(p), cosine, "cosine %v reads %v", cosine, p)
	}
}

func TestCosineIsTight(t *testing.T) {
	for _, percent := range []float64{1, 50, 75.5, 80, 99, 99.9} {
		c := mobilefacenet.Cosine(percent)
		require.InDelta(t, percent, mobilefacenet.Percent(c), 3e-5)
	}
}

func TestCosineStaysInRange(t *testing.T) {
	require.Equal(t, -1.0, mobilefacenet.Cosine(0))
	require.Equal(t, 1.0, mobilefacenet.Cosine(100))
}
