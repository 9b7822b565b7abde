package evaluation

import "math"

// The bounds of what is called usable. Strangers: 1 search in 100 may find somebody, or 1
// in 10 where a person checks every match. The enrolled: 1 search in 20 may miss them. They
// are imago's choice, not a standard's.
const (
	MaxFPIR         = 0.01
	MaxFPIRReviewed = 0.1
	MaxFNIR         = 0.05
)

// Outcome is what an evaluation says about the use of a gallery.
type Outcome string

// The outcomes.
const (
	// Usable is where the bound of what is missed (95 %) is at most MaxFNIR.
	Usable Outcome = "usable"
	// NotUsable is where more is missed, or no threshold keeps the rate of strangers.
	NotUsable Outcome = "not_usable"
	// Undecided is where as much was missed as may be, in too few comparisons to rely on.
	Undecided Outcome = "undecided"
	// CannotTell is where the pictures do not show one of the two errors.
	CannotTell Outcome = "cannot_tell"
)

// Decision says whether a search among so many people is usable.
type Decision struct {
	Outcome Outcome
	Gallery int
	// Point is the threshold at which MaxFPIR of strangers are taken for somebody in the
	// gallery, Reviewed the one of MaxFPIRReviewed.
	Point, Reviewed Point
	// Largest is the largest gallery in which MaxFPIR and MaxFNIR are kept at one
	// threshold, at most the one asked for; 0 where there is none or it is unknown.
	Largest int
}

// Decide returns the decision on a gallery of so many people.
func (t Tradeoff) Decide(gallery int) Decision {
	v := Decision{
		Gallery: gallery,
		Point:   t.At(PerComparison(MaxFPIR, gallery)), Reviewed: t.At(PerComparison(MaxFPIRReviewed, gallery)),
	}
	v.Outcome = v.Point.outcome()
	if v.Outcome == NotUsable {
		v.Largest = min(t.largest(), gallery)
	}
	return v
}

// outcome says whether a threshold that keeps the rate of strangers is usable.
func (p Point) outcome() Outcome {
	_, high := p.FalseNonMatch.Interval()
	switch {
	case p.Basis == Unknown || p.FalseNonMatch.Trials == 0:
		return CannotTell
	case p.Threshold > Highest || p.FalseNonMatch.Rate() > MaxFNIR:
		return NotUsable
	case high > MaxFNIR:
		return Undecided
	}
	return Usable
}

// UsableReviewed reports whether the gallery is usable where a person checks every match.
func (v Decision) UsableReviewed() bool { return v.Reviewed.outcome() == Usable }

// largest returns in how large a gallery MaxFPIR is kept at the highest threshold at which
// no more than MaxFNIR is missed.
func (t Tradeoff) largest() int {
	if t.Mated.Count() == 0 {
		return 0
	}
	th := t.Mated.Limit(1 - MaxFNIR) // the lowest threshold that at most so many reach
	for th > Lowest && t.Mated.Missing(th).Rate() > MaxFNIR {
		th--
	}
	rate, basis := t.Estimate(th)
	if basis == Unknown || rate <= 0 {
		return 0
	}
	return int(min(math.Log1p(-MaxFPIR)/math.Log1p(-min(rate, 1-1e-9)), math.MaxInt32))
}

// StrangersToMeasure returns how many pairs of strangers measure the threshold of a
// decision, and how many people with a picture each have so many.
func (v Decision) StrangersToMeasure() (pairs, people int) {
	p := min(math.Ceil(minErrors/PerComparison(MaxFPIR, v.Gallery)), math.MaxInt64/2)
	return int(p), int(math.Ceil((1 + math.Sqrt(1+8*p)) / 2))
}

// FewestMated is the fewest pairs of one person that can show, by the rule of three, that
// no more than MaxFNIR is missed.
const FewestMated = int(3 / MaxFNIR)
