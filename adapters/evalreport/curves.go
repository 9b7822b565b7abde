package evalreport

import (
	"cmp"
	"slices"

	"imago/core/calibration"
	"imago/core/evaluation"
)

// curves is what the charts show. All lists may be empty.
type curves struct {
	bins     []bin
	pairs    []rates // by threshold, ascending
	searches []rates // counted among SearchGallery pictures
	expected []rates // of searches among the gallery of the report
	tail     []rates // the extrapolated FMR; what is missed is counted
	groups   []groupRates
	marks    []mark
}

// bin is the part of the mated and of the non-mated scores between two cosines. Bins
// go from low to high without gaps.
type bin struct{ from, to, mated, strangers float64 }

// rates are the error rates at a cosine.
type rates struct {
	cosine   float64
	accepted float64 // false matches, or false positives of searches
	missed   float64 // false non-matches, or false negatives
}

type groupRates struct {
	name  string
	rates []rates
}

// mark is a threshold worth showing.
type mark struct {
	name string
	rates
}

// The steps in which charts show thresholds, and the lowest rate that a
// continued tail is drawn to.
const (
	curveStep   = 200  // 0.002
	barStep     = 2000 // 0.02
	fineBarStep = 1000
	manyPairs   = 100_000 // from which bars are fine
	lowestDrawn = 1e-6
)

// newCurves takes the curves of a comparison and the marks of a report.
func newCurves(compared evaluation.Comparison, r *Report) curves {
	pairs := compared.Pairs
	c := curves{bins: bins(pairs), pairs: ratesOf(pairs), searches: ratesOf(compared.Searches), tail: tail(pairs)}
	c.expected = slices.Concat(below(c.pairs, c.tail), c.tail)
	for i := range c.expected {
		c.expected[i].accepted = calibration.Among(r.Gallery, calibration.Rate{Value: c.expected[i].accepted}).Value
	}
	for _, g := range compared.Groups {
		c.groups = append(c.groups, groupRates{g.Name, ratesOf(g.Pairs)})
	}
	c.marks = append(c.marks, markOf("80 % today", r.Present))
	if r.Proposal != nil {
		c.marks = append(c.marks, markOf("80 % as proposed", r.Proposal.At80))
	}
	return c
}

func markOf(name string, r Row) mark {
	return mark{name, rates{r.Cosine, r.Estimate, r.Missed.rate()}}
}

// ratesOf returns the rates around each change of one of them.
func ratesOf(t evaluation.Tradeoff) (all []rates) {
	same := false
	for th := evaluation.Lowest; th <= evaluation.Highest; th += curveStep {
		r := rates{th.Cosine(), t.FalseMatch(th).Rate(), t.FalseNonMatch(th).Rate()}
		n := len(all)
		unchanged := n > 0 && all[n-1].accepted == r.accepted && all[n-1].missed == r.missed
		if unchanged && same {
			all[n-1] = r // the end of a stretch is kept, so that it is drawn level
			continue
		}
		all, same = append(all, r), unchanged
	}
	return all
}

// tail continues the FMR from where it is no longer measured.
func tail(t evaluation.Tradeoff) (all []rates) {
	fitted, ok := evaluation.FitTail(t.Strangers)
	if !ok {
		return nil
	}
	for th := fitted.From; th <= evaluation.Highest; th += curveStep {
		rate, basis := t.Estimate(th)
		if rate < lowestDrawn {
			break
		}
		if basis == evaluation.Extrapolated {
			all = append(all, rates{th.Cosine(), rate, t.FalseNonMatch(th).Rate()})
		}
	}
	return all
}

// below returns the rates at lower cosines than the first of others.
func below(all, others []rates) []rates {
	if len(others) == 0 {
		return all
	}
	n, _ := slices.BinarySearchFunc(all, others[0].cosine, func(r rates, cosine float64) int { return cmp.Compare(r.cosine, cosine) })
	return all[:n]
}

// bins returns the scores of pairs from the lowest on.
func bins(t evaluation.Tradeoff) (all []bin) {
	step := evaluation.Threshold(barStep)
	if t.Strangers.Count() >= manyPairs {
		step = fineBarStep
	}
	part := func(d evaluation.Distribution, from, to evaluation.Threshold) float64 {
		return float64(d.AtLeast(from)-d.AtLeast(to)) / float64(max(1, d.Count()))
	}
	for from := evaluation.Lowest; from < evaluation.Highest; from += step {
		to := from + step
		if to == evaluation.Highest {
			to = evaluation.Unreachable
		}
		b := bin{from.Cosine(), (from + step).Cosine(), part(t.Mated, from, to), part(t.Strangers, from, to)}
		if len(all) > 0 || b.mated > 0 || b.strangers > 0 {
			all = append(all, b)
		}
	}
	return all
}
