package evaluation

import "math"

// Tail is the upper end of the scores of strangers, continued beyond what was
// measured: above From, which the part Rate of the scores reaches, the rate falls
// as exp(-excess/Scale). This is the generalised Pareto distribution of extreme
// value theory with shape 0 (Pickands, "Statistical inference using extreme
// order statistics", Annals of Statistics 3, 1975), whose maximum likelihood
// scale is the mean excess. Scores of strangers that are about normal fall faster
// than that, so its thresholds err on the safe side; twins or mislabelled pictures that
// are not in the data would make the true tail heavier.
type Tail struct {
	From     Threshold
	Rate     float64
	Scale    float64
	Excesses int // scores that the fit is made from
}

// The part of the scores that a tail is fitted to, and at most how many.
const (
	tailPart = 0.1
	tailMost = 1000
)

// FitTail returns the tail of the scores of strangers. It reports false if fewer than 30
// scores are in it: with fewer than 300 scores, or with many equal ones.
func FitTail(strangers Distribution) (Tail, bool) {
	n := strangers.Count()
	if n == 0 {
		return Tail{}, false
	}
	wanted := min(tailPart*float64(n), tailMost)
	from := strangers.Limit(wanted / float64(n))
	k := strangers.AtLeast(from)
	if k < minErrors {
		return Tail{}, false
	}
	return Tail{From: from, Rate: float64(k) / float64(n), Scale: strangers.meanExcess(from), Excesses: k}, true
}

// Limit returns the lowest threshold that at most the part rate of strangers
// reach, for a rate of at most Tail.Rate, Unreachable beyond 1.
func (t Tail) Limit(rate float64) Threshold { return t.limit(rate, t.Scale) }

// LimitInterval returns bounds of the limit with a confidence of about 95 %, if the form
// of the tail is right: the standard error of the scale
// is scale/sqrt(excesses).
func (t Tail) LimitInterval(rate float64) (low, high Threshold) {
	spread := z975 / math.Sqrt(float64(t.Excesses))
	return t.limit(rate, t.Scale*max(0, 1-spread)), t.limit(rate, t.Scale*(1+spread))
}

func (t Tail) limit(rate, scale float64) Threshold {
	if rate <= 0 {
		return Unreachable
	}
	return AtLeast(t.From.Cosine() + scale*max(0, math.Log(t.Rate/rate)))
}

// At returns the rate at a threshold from Tail.From on.
func (t Tail) At(th Threshold) float64 {
	return t.Rate * math.Exp(-(th-t.From).Cosine()/t.Scale)
}

// significance is the probability under a tail below which counts contradict it.
const significance = 1e-3

// Contradicted returns the lowest threshold that significantly more strangers reach than
// the tail predicts, with the number that it predicts. Fewer than 30 do not measure a
// rate, but may still be too many for chance. Wrong labels and twins have this effect.
func (t Tradeoff) Contradicted() (th Threshold, expected float64, contradicted bool) {
	tail, ok := FitTail(t.Strangers)
	if !ok {
		return 0, 0, false
	}
	for th := tail.From; t.Strangers.AtLeast(th) > 0; th++ {
		count := t.Strangers.AtLeast(th)
		expected := tail.At(th) * float64(t.Strangers.Count())
		if count < minErrors && poissonAtLeast(count, expected) < significance {
			return th, expected, true
		}
	}
	return 0, 0, false
}

// poissonAtLeast returns the probability of at least n events, n above 0, where
// the mean is given.
func poissonAtLeast(n int, mean float64) float64 {
	term, below := math.Exp(-mean), 0.0
	for i := range n {
		below += term
		term *= mean / float64(i+1)
	}
	return 1 - below
}
