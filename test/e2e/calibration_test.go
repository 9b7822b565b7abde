package e2e

import (
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a threshold means grows with the collection, and a search says so when it
// means too little.
func TestCalibration(t *testing.T) {
	t.Parallel()
	type rate struct {
		Value float64
		Bound string
	}
	type assessment struct {
		Collection                       string
		Cosine                           float64
		Users                            int
		FalseMatchRate, FalseMatchChance rate
		Calibration                      struct{ Model, Basis string }
	}
	s := start(t, "IMAGO_SEARCH_MAX_FALSE_MATCH=0.0002")
	a := read[assessment](t, s.must("GET", "/calibration?threshold=75", ""))
	require.Equal(t, "opencv-sface", a.Calibration.Model)
	require.Contains(t, a.Calibration.Basis, "58,725,652 pairs")
	require.InDelta(t, 0.4354, a.Cosine, 1e-4)
	require.InEpsilon(t, 1.4025e-4, a.FalseMatchRate.Value, 1e-3)
	require.Equal(t, rate{0, "estimate"}, a.FalseMatchChance, "there is nobody to be confused with")

	search := func() answer { return s.must("POST", "/users/search", `{"threshold":75,`+faceJSON(portrait(t))[1:]) }
	for i, id := range []string{"u1", "u2"} {
		require.Empty(t, search().header.Get("X-Imago-Warning"))
		require.Equal(t, http.StatusOK, s.enrol(id, portrait(t)).status)
		a = read[assessment](t, s.must("GET", "/calibration?threshold=75", ""))
		require.Equal(t, i+1, a.Users)
		require.InEpsilon(t, 1-math.Pow(1-a.FalseMatchRate.Value, float64(i+1)), a.FalseMatchChance.Value, 1e-9)
	}
	require.Equal(t, `false-match;chance="0.00028";bound=estimate;limit="0.0002";users=2`, search().header.Get("X-Imago-Warning"))
	require.Equal(t, http.StatusNotFound, s.must("GET", "/calibration/nobody", "").status)
}
