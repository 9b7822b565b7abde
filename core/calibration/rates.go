package calibration

import (
	"math"

	"imago/ports"
)

// Point is the part of pairs of strangers, above 0, that were measured to be at
// least as similar as a cosine.
type Point struct{ Cosine, Rate float64 }

// Rates is what was measured of a network: cosines ascending, rates descending.
type Rates []Point

// At returns the false match rate at a cosine. Between two points the logarithm
// of the rate is taken to be linear in the cosine, as the tail of strangers'
// scores falls about exponentially. Outside it is the bound that the nearest
// point sets. It reports false where nothing was measured.
func (r Rates) At(cosine float64) (ports.Rate, bool) {
	if len(r) == 0 {
		return ports.Rate{}, false
	}
	first, last := r[0], r[len(r)-1]
	switch {
	case cosine < first.Cosine:
		return ports.Rate{Value: first.Rate, Bound: ports.AtLeast}, true
	case cosine > last.Cosine:
		return ports.Rate{Value: last.Rate, Bound: ports.AtMost}, true
	}
	i := 0
	for cosine > r[i].Cosine {
		i++
	}
	if cosine == r[i].Cosine {
		return ports.Rate{Value: r[i].Rate, Bound: ports.Estimated}, true
	}
	a, b := r[i-1], r[i]
	part := (cosine - a.Cosine) / (b.Cosine - a.Cosine)
	rate := math.Exp((1-part)*math.Log(a.Rate) + part*math.Log(b.Rate))
	return ports.Rate{Value: rate, Bound: ports.Estimated}, true
}

// Among returns the probability that at least one of n independent comparisons
// with strangers is a false match: 1 - (1 - rate)^n, computed without the loss
// of digits that the formula as written has at small rates.
func Among(n int, rate ports.Rate) ports.Rate {
	if n < 1 {
		return ports.Rate{Bound: ports.Estimated}
	}
	rate.Value = -math.Expm1(float64(n) * math.Log1p(-rate.Value))
	return rate
}
