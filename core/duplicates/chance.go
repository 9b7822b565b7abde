package duplicates

import (
	"math"

	"imago/core/calibration"
)

// modelRate is the false match rate of the network at a cosine. Beyond the last point the
// exponential fall between the last two goes on: the tail of strangers' scores falls faster than
// that where the scores are about normal, so the rate is a bound. Relatives and twins are not
// in it.
func modelRate(rates calibration.Rates, cosine float64) (calibration.Rate, bool) {
	rate, known := rates.At(cosine)
	if n := len(rates); known && rate.Bound == calibration.AtMost && n > 1 {
		a, b := rates[n-2], rates[n-1]
		steepness := math.Log(a.Rate/b.Rate) / (b.Cosine - a.Cosine)
		rate.Value *= math.Exp(-steepness * (cosine - b.Cosine))
	}
	return rate, known
}

// at returns the rate at a cosine from Level.Cosine on, by an exponential tail.
func (l Level) at(cosine float64) float64 {
	return l.Rate * math.Exp(-(cosine-l.Cosine)/l.Scale)
}

// bestRate is the rate by the gallery's level where that was measured, by the network's
// otherwise.
func (d *direction) bestRate(rates calibration.Rates, cosine float64) (float64, bool) {
	if d.level != nil && cosine >= d.level.Cosine {
		return d.level.at(cosine), true
	}
	rate, known := modelRate(rates, cosine)
	return rate.Value, known
}

// cosineOf returns the lowest cosine whose bestRate is at most rate, 1 if there is none, and -1
// if no rate is known.
func (d *direction) cosineOf(rates calibration.Rates, rate float64) float64 {
	if _, known := d.bestRate(rates, 1); !known {
		return -1
	}
	return bisect(-1, 1, func(cosine float64) bool {
		r, known := d.bestRate(rates, cosine)
		return known && r <= rate
	})
}

// bisect returns the lowest value between two from which on a condition is met, the high one if
// it never is.
func bisect(low, high float64, met func(float64) bool) float64 {
	for range 60 { // down to what a float64 tells apart
		middle := (low + high) / 2
		if met(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// expected returns how many users chance gives a face at a cosine, at most.
func (d *direction) expected(rates calibration.Rates, cosine float64) (float64, bool) {
	rate, known := d.bestRate(rates, cosine)
	return rate * float64(d.others), known
}

// chance is the number of pairs of strangers who reach a cosine. Each pair of faces counts: that of users
// is no higher.
func (f *finder) chance(cosine float64) (c Chance) {
	if rate, known := modelRate(f.options.Rates, cosine); known {
		rate.Value *= f.report.Comparisons
		c.Model = &rate
	}
	if l := f.report.Level; l != nil && cosine >= l.Cosine {
		c.Gallery = new(l.at(cosine) * f.report.Comparisons)
	}
	return c
}

// between is the chance of a score from one cosine to below another.
func (f *finder) between(from, to float64) Chance {
	c, above := f.chance(from), f.chance(to)
	if c.Model != nil && above.Model != nil {
		c.Model.Value -= above.Model.Value
	}
	if c.Gallery != nil && above.Gallery != nil {
		*c.Gallery -= *above.Gallery
	}
	return c
}

// poissonAtLeast returns the probability of n events or more where the mean is given. The sum
// of the upper terms keeps its digits where that of the lower ones is nearly 1.
func poissonAtLeast(n int, mean float64) float64 {
	if n <= 0 {
		return 1
	}
	if mean <= 0 {
		return 0
	}
	logGamma, _ := math.Lgamma(float64(n) + 1)
	term := math.Exp(float64(n)*math.Log(mean) - mean - logGamma)
	sum := 0.0
	for i := n; term > sum*1e-17; i++ {
		sum += term
		term *= mean / float64(i+1)
	}
	return min(1, sum)
}
