package evaluation

import "math"

// Proportion is how often something happened in a number of trials.
type Proportion struct{ Count, Trials int }

// Rate returns the observed rate, 0 without a trial.
func (p Proportion) Rate() float64 {
	if p.Trials == 0 {
		return 0
	}
	return float64(p.Count) / float64(p.Trials)
}

// z975 is the 97.5 % quantile of the standard normal distribution.
const z975 = 1.959963984540054

// Interval returns bounds that hold the true rate with a confidence of about
// 95 %: those of Wilson ("Probable inference, the law of succession, and
// statistical inference", JASA 22, 1927), and where the count is 0 the rule of
// three, 3/trials (Jovanovic and Levy, "A look at the rule of three", The
// American Statistician 51, 1997), which ISO/IEC 19795-1 names; where every
// trial counts, its mirror. Both take trials to be independent; pairs that share
// a person are not, so the truth is less certain than the bounds say.
func (p Proportion) Interval() (low, high float64) {
	n := float64(p.Trials)
	switch {
	case p.Trials == 0:
		return 0, 1
	case p.Count == 0:
		return 0, min(1, 3/n)
	case p.Count == p.Trials:
		return max(0, 1-3/n), 1
	}
	const z2 = z975 * z975
	r := p.Rate()
	centre := r + z2/(2*n)
	half := z975 * math.Sqrt(r*(1-r)/n+z2/(4*n*n))
	return (centre - half) / (1 + z2/n), (centre + half) / (1 + z2/n)
}

// minErrors is the number of the rule of thirty: with 30 errors the true rate lies within 30 % of
// the observed one with a confidence of 90 % (Doddington et al., "The NIST
// speaker recognition evaluation - overview, methodology, systems, results,
// perspective", Speech Communication 31, 2000).
const minErrors = 30

// measurable reports whether so many trials measure a rate by the rule of
// thirty.
func measurable(rate float64, trials int) bool { return rate*float64(trials) >= minErrors }
