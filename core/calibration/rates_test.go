package calibration_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
)

// measured are the rates of the manifest of mobilefacenet.
var measured = calibration.Rates{{0.35, 0.004}, {0.40, 0.0012}, {0.45, 0.00035}, {0.48, 0.0001}}

func TestRatesAt(t *testing.T) {
	for _, c := range []struct {
		cosine, rate float64
		bound        calibration.Bound
	}{
		{-1, 0.004, calibration.AtLeast},
		{0.3499, 0.004, calibration.AtLeast},
		{0.35, 0.004, calibration.Estimated},
		{0.375, 0.00219089, calibration.Estimated}, // the geometric mean of 0.004 and 0.0012
		{0.40, 0.0012, calibration.Estimated},
		{0.46, 0.000230521, calibration.Estimated}, // 0.00035^(2/3) * 0.0001^(1/3)
		{0.48, 0.0001, calibration.Estimated},
		{0.4801, 0.0001, calibration.AtMost},
		{1, 0.0001, calibration.AtMost},
	} {
		got, known := measured.At(c.cosine)
		require.True(t, known)
		require.Equal(t, c.bound, got.Bound, "at %v", c.cosine)
		require.InEpsilon(t, c.rate, got.Value, 1e-5, "at %v", c.cosine)
	}
}

func TestRatesFallAsTheCosineRises(t *testing.T) {
	before := 1.0
	for cosine := -1.0; cosine <= 1; cosine += 0.0007 {
		got, _ := measured.At(cosine)
		require.LessOrEqual(t, got.Value, before)
		before = got.Value
	}
}

func TestRatesUnknown(t *testing.T) {
	_, known := calibration.Rates(nil).At(0.4)
	require.False(t, known)
	one := calibration.Rates{{0.4, 0.001}}
	for cosine, bound := range map[float64]calibration.Bound{0.3: calibration.AtLeast, 0.4: calibration.Estimated, 0.5: calibration.AtMost} {
		got, known := one.At(cosine)
		require.True(t, known)
		require.Equal(t, calibration.Rate{Value: 0.001, Bound: bound}, got)
	}
}

func TestAmong(t *testing.T) {
	at := func(rate float64) calibration.Rate { return calibration.Rate{Value: rate, Bound: calibration.AtMost} }
	require.Equal(t, 0.0, calibration.Among(0, at(0.5)).Value, "nobody to confuse with")
	require.InDelta(t, 0.25, calibration.Among(1, at(0.25)).Value, 1e-15)
	require.InDelta(t, 0.4375, calibration.Among(2, at(0.25)).Value, 1e-15)
	require.InDelta(t, 1-1/math.E, calibration.Among(10_000, at(1e-4)).Value, 1e-4)
	require.InEpsilon(t, 1e-12, calibration.Among(1000, at(1e-15)).Value, 1e-9, "small rates keep their digits")
	require.Equal(t, 1.0, calibration.Among(3, at(1)).Value)
	require.Equal(t, calibration.AtMost, calibration.Among(7, at(0.5)).Bound)
}
