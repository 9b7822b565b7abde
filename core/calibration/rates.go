package calibration

import (
	"math"
)

// Rate is a probability, or a bound of it.
type Rate struct {
	Value float64 // 0 to 1
	Bound Bound
}

// Bound says how a Rate's value relates to the true probability.
type Bound string

// The bounds of a Rate. Outside the measured range all that is known is that a higher
// threshold is reached by fewer strangers.
const (
	Estimated Bound = "estimate" // between two measurements
	AtMost    Bound = "at_most"  // the threshold is above all measurements
	AtLeast   Bound = "at_least" // the threshold is below all measurements
)

// FalseMatches are the error rates at a threshold in a collection.
type FalseMatches struct {
	// Rate is the part of strangers that reach the threshold.
	Rate Rate
	// Chance is the probability that a search for somebody who is not in the
	// collection finds somebody nevertheless.
	Chance Rate
}

// Point is the part of pairs of strangers, above 0, that were measured to be at
// least as similar as a cosine.
type Point struct{ Cosine, Rate float64 }

// Rates is what was measured of a network: cosines ascending, rates descending.
type Rates []Point

// At returns the false match rate at a cosine. Between two points the logarithm
// of the rate is taken to be linear in the cosine, because the tail of strangers'
// scores falls about exponentially. Outside the points the rate of the nearest one is a
// bound. It reports false where nothing was measured.
func (r Rates) At(cosine float64) (Rate, bool) {
	if len(r) == 0 {
		return Rate{}, false
	}
	first, last := r[0], r[len(r)-1]
	switch {
	case cosine < first.Cosine:
		return Rate{Value: first.Rate, Bound: AtLeast}, true
	case cosine > last.Cosine:
		return Rate{Value: last.Rate, Bound: AtMost}, true
	}
	i := 0
	for cosine > r[i].Cosine {
		i++
	}
	if cosine == r[i].Cosine {
		return Rate{Value: r[i].Rate, Bound: Estimated}, true
	}
	a, b := r[i-1], r[i]
	part := (cosine - a.Cosine) / (b.Cosine - a.Cosine)
	rate := math.Exp((1-part)*math.Log(a.Rate) + part*math.Log(b.Rate))
	return Rate{Value: rate, Bound: Estimated}, true
}

// Among returns the probability that at least one of n independent comparisons
// with strangers is a false match: 1 - (1 - rate)^n, computed without the loss
// of digits that the formula as written has at small rates.
func Among(n int, rate Rate) Rate {
	if n < 1 {
		return Rate{Bound: Estimated}
	}
	rate.Value = -math.Expm1(float64(n) * math.Log1p(-rate.Value))
	return rate
}
