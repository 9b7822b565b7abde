package main

import (
	"imago/adapters/evalreport"
	"imago/core/calibration"
	"imago/core/evaluation"
	"imago/ports"
)

// The steps in which charts show thresholds, and the lowest rate that a
// continued tail is drawn to.
const (
	chartStep   = 200  // 0.002
	barStep     = 2000 // 0.02
	fineBarStep = 1000
	manyPairs   = 100_000 // from which bars are fine
	lowestDrawn = 1e-6
)

func (d described) addCharts(r *evalreport.Report) {
	pairs := d.compared.Pairs
	c := evalreport.Charts{Bins: bars(pairs), Rates: rates(pairs), Searches: rates(d.compared.Searches), Tail: tail(pairs)}
	for _, list := range [][]evalreport.Rate{upTo(c.Rates, c.Tail), c.Tail} {
		for _, rate := range list {
			among := calibration.Among(d.asked.gallery, ports.Rate{Value: rate.False})
			rate.False = among.Value
			c.Identify = append(c.Identify, rate)
		}
	}
	for _, g := range d.compared.Groups {
		c.Groups = append(c.Groups, evalreport.Line{Name: g.Name, Rates: rates(g.Pairs)})
	}
	c.Marks = append(c.Marks, mark("80 % today", r.Present))
	if r.Proposal != nil {
		c.Marks = append(c.Marks, mark("80 % as proposed", r.Proposal.At80))
	}
	r.Charts = c
}

func mark(name string, r evalreport.Row) evalreport.Mark {
	return evalreport.Mark{Name: name, Rate: evalreport.Rate{Cosine: r.Cosine, False: r.Estimate, Missed: r.Missed.Rate}}
}

// rates returns the rates around each change of one of them.
func rates(t evaluation.Tradeoff) (all []evalreport.Rate) {
	same := false
	for th := evaluation.Lowest; th <= evaluation.Highest; th += chartStep {
		r := evalreport.Rate{Cosine: th.Cosine(), False: t.FalseMatch(th).Rate(), Missed: t.FalseNonMatch(th).Rate()}
		n := len(all)
		unchanged := n > 0 && all[n-1].False == r.False && all[n-1].Missed == r.Missed
		if unchanged && same {
			all[n-1] = r // the end of a stretch is kept, so that it is drawn level
			continue
		}
		all, same = append(all, r), unchanged
	}
	return all
}

// tail continues the FMR from where it is no longer measured.
func tail(t evaluation.Tradeoff) (all []evalreport.Rate) {
	fitted, ok := evaluation.FitTail(t.Strangers)
	if !ok {
		return nil
	}
	for th := fitted.From; th <= evaluation.Highest; th += chartStep {
		rate, basis := t.Estimate(th)
		if rate < lowestDrawn {
			break
		}
		if basis == evaluation.Extrapolated {
			all = append(all, evalreport.Rate{Cosine: th.Cosine(), False: rate, Missed: t.FalseNonMatch(th).Rate()})
		}
	}
	return all
}

// upTo returns the rates below the first of a list.
func upTo(rates, list []evalreport.Rate) []evalreport.Rate {
	for i, r := range rates {
		if len(list) > 0 && r.Cosine >= list[0].Cosine {
			return rates[:i]
		}
	}
	return rates
}

// bars returns the scores of pairs from the lowest on.
func bars(t evaluation.Tradeoff) (all []evalreport.Bin) {
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
		b := evalreport.Bin{From: from.Cosine(), To: (from + step).Cosine(), Mated: part(t.Mated, from, to), Strangers: part(t.Strangers, from, to)}
		if len(all) > 0 || b.Mated > 0 || b.Strangers > 0 {
			all = append(all, b)
		}
	}
	return all
}
