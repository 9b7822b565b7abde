package evaluation

import "math"

// Tradeoff holds the scores of mated and non-mated comparisons: a higher threshold has
// fewer false matches and more false non-matches.
type Tradeoff struct{ Mated, Strangers Distribution }

// FalseMatch returns the false match rate (FMR) at a threshold: the part of
// strangers who reach it.
func (t Tradeoff) FalseMatch(th Threshold) Proportion { return t.Strangers.Reaching(th) }

// FalseNonMatch returns the false non-match rate (FNMR) at a threshold: the part
// of mated comparisons that do not reach it.
func (t Tradeoff) FalseNonMatch(th Threshold) Proportion { return t.Mated.Missing(th) }

// Basis says where a threshold comes from.
type Basis string

// The bases of a threshold.
const (
	// Measured is where at least 30 false matches were to be expected.
	Measured Basis = "measured"
	// Few is where fewer are to be expected: the threshold is uncertain.
	Few Basis = "few"
	// Extrapolated is where the threshold comes from the Tail.
	Extrapolated Basis = "extrapolated"
	// Unknown is where there is no threshold.
	Unknown Basis = "unknown"
)

// Point is the threshold for a target rate of false matches, with the counts at it.
type Point struct {
	Target    float64
	Basis     Basis
	Threshold Threshold
	// Low and High bound an extrapolated threshold, see Tail.LimitInterval;
	// they equal it otherwise.
	Low, High                 Threshold
	FalseMatch, FalseNonMatch Proportion
}

// At returns the threshold at which the FMR is at most target, above 0 and below
// 1. It is counted where the pairs of strangers measure such a rate, and
// extrapolated where they do not.
func (t Tradeoff) At(target float64) Point {
	n := t.Strangers.Count()
	if measurable(target, n) {
		return t.Counted(target)
	}
	tail, ok := FitTail(t.Strangers)
	if !ok {
		return Point{Target: target, Basis: Unknown}
	}
	p := Point{Target: target, Basis: Extrapolated}
	// The threshold of a lower rate is not below the measured one of a higher rate.
	measured := t.Strangers.Limit(min(1, minErrors/float64(n)))
	p.Threshold = max(measured, tail.Limit(target))
	low, high := tail.LimitInterval(target)
	p.Low, p.High = max(measured, low), max(measured, high)
	return t.count(p)
}

// Counted is At without extrapolation: the threshold is the lowest that keeps
// the rate, on however few false matches, and unknown where not even one is to
// be expected.
func (t Tradeoff) Counted(target float64) Point {
	n := t.Strangers.Count()
	if target*float64(n) < 1 {
		return Point{Target: target, Basis: Unknown}
	}
	p := Point{Target: target, Basis: Few, Threshold: t.Strangers.Limit(target)}
	if measurable(target, n) {
		p.Basis = Measured
	}
	p.Low, p.High = p.Threshold, p.Threshold
	return t.count(p)
}

func (t Tradeoff) count(p Point) Point {
	p.FalseMatch, p.FalseNonMatch = t.FalseMatch(p.Threshold), t.FalseNonMatch(p.Threshold)
	return p
}

// Estimate returns the FMR at a threshold: as it was counted where at least 30
// strangers reach it, by the Tail above that, and on what there is where no tail
// can be fitted.
func (t Tradeoff) Estimate(th Threshold) (float64, Basis) {
	counted := t.FalseMatch(th)
	if counted.Count >= minErrors {
		return counted.Rate(), Measured
	}
	if tail, ok := FitTail(t.Strangers); ok {
		return min(minErrors/float64(counted.Trials), tail.At(th)), Extrapolated
	}
	if counted.Count > 0 {
		return counted.Rate(), Few
	}
	return 0, Unknown
}

// PerComparison returns the FMR at which a search among n strangers gives a
// false positive with the probability fpir (the false positive identification
// rate, FPIR), n independent comparisons assumed: the inverse of
// fpir = 1 - (1-fmr)^n.
func PerComparison(fpir float64, n int) float64 {
	return -math.Expm1(math.Log1p(-fpir) / float64(n))
}
