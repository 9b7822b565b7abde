package calibration

import "math"

// Curve is the logistic curve percent = 100 / (1 + exp(-k*(cosine - m))) of one
// network, fitted to measured error rates: 80 % lies where strangers are
// confused once in 10,000 comparisons.
type Curve struct {
	// Midpoint m is the cosine that reads 50 %.
	Midpoint float64
	// Steepness k is how fast the percentage rises, above 0.
	Steepness float64
}

// steps is how many steps a percentage point is reported in: five decimals, as
// in the sample answers of the reference API.
const steps = 1e5

// Percent returns the similarity of a cosine, 0 to 100, rounded to five
// decimals: what a client is shown and what its threshold is compared with, so
// that a similarity read from one answer is met when sent as the next threshold.
func (c Curve) Percent(cosine float64) float64 {
	p := 100 / (1 + math.Exp(-c.Steepness*(cosine-c.Midpoint)))
	// Dividing, unlike multiplying by 1e-5, gives the very number that the
	// decimal in a client's JSON parses to.
	return math.Round(p*steps) / steps
}

// Cosine returns a cosine, -1 to 1, such that everything that reads at least
// percent (0 to 100) after rounding has at least this cosine.
func (c Curve) Cosine(percent float64) float64 {
	p := (percent - 1/steps) / 100
	if p <= 0 {
		return -1
	}
	cosine := c.Midpoint + math.Log(p/(1-p))/c.Steepness
	return math.Max(-1, math.Min(1, cosine))
}
