package evaluation

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"imago/core/calibration"
)

// The two points that the curve of every network goes through: the FMR at the default
// threshold of 80 %, and the similarity of a picture to itself, which is that of the
// reference API's sample.
const (
	// AnchorPercent is the similarity of strangers who are confused once in
	// 10,000 comparisons (AnchorRate).
	AnchorPercent = 80
	AnchorRate    = 1e-4
	selfPercent   = 99.9995
)

// Limits of a manifest.
const maxSteepness = 1000

// FewestStrangers is the fewest pairs of strangers from which a calibration is
// extrapolated, MeasuringStrangers the fewest that measure its anchor.
const (
	FewestStrangers    = int(minErrors / tailPart)
	MeasuringStrangers = int(minErrors / AnchorRate)
)

// ErrUnfit says that no calibration can be proposed.
var ErrUnfit = errors.New("no calibration can be proposed")

// Fit returns the logistic curve that reads 80 % at a cosine and 99.9995 % at 1.
// With logit p = ln(p/(1-p)) these are two equations in two unknowns:
//
//	k (cosine - m) = logit 0.8,  k (1 - m) = logit 0.999995
func Fit(cosine float64) (calibration.Curve, error) {
	anchor, self := logit(AnchorPercent), logit(selfPercent)
	k := (self - anchor) / (1 - cosine)
	m := 1 - self/k
	if cosine >= 1 || k > maxSteepness || m < -1 {
		return calibration.Curve{}, fmt.Errorf("%w: a curve cannot read %d %% at cosine %.5f and %v %% at 1", ErrUnfit, AnchorPercent, cosine, selfPercent)
	}
	// At the steepest this moves a percentage by 0.01, usually by 0.0003.
	return calibration.Curve{Midpoint: math.Round(m*1e6) / 1e6, Steepness: math.Round(k*1e4) / 1e4}, nil
}

func logit(percent float64) float64 { return math.Log(percent / (100 - percent)) }

// Proposal is a calibration fitted to a Tradeoff.
type Proposal struct {
	Curve calibration.Curve
	// Anchor is the threshold that reads 80 %.
	Anchor Point
	// Rates are the false match rates that were measured, and where the anchor
	// had to be extrapolated, it.
	Rates calibration.Rates
	// Provisional is set where the anchor is extrapolated.
	Provisional bool
}

// tableRates are the rates whose cosines a manifest lists.
var tableRates = []float64{0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7}

// Propose fits a calibration. The error is ErrUnfit with the reason.
func Propose(t Tradeoff) (Proposal, error) {
	p := Proposal{Anchor: t.At(AnchorRate)}
	n := t.Strangers.Count()
	if p.Anchor.Basis == Unknown {
		return p, fmt.Errorf("%w: %d pairs of strangers are too few, or too many of them score the same; it takes %d to measure a false match rate of 1 in 10,000 and %d to guess it",
			ErrUnfit, n, MeasuringStrangers, FewestStrangers)
	}
	var err error
	if p.Curve, err = Fit(p.Anchor.Threshold.Cosine()); err != nil {
		return p, err
	}
	for _, rate := range tableRates {
		if measurable(rate, n) {
			th := t.Strangers.Limit(rate)
			p.addRate(th, t.FalseMatch(th).Rate())
		}
	}
	if p.Anchor.Basis == Extrapolated {
		p.Provisional = true
		p.addRate(p.Anchor.Threshold, AnchorRate)
	}
	return p, nil
}

// addRate adds a rate to the table if its cosine is higher and the rate lower than the
// last one.
func (p *Proposal) addRate(th Threshold, rate float64) {
	point := calibration.Point{Cosine: th.Cosine(), Rate: significant(rate)}
	if point.Rate <= 0 || th > Highest {
		return
	}
	if n := len(p.Rates); n > 0 && (point.Cosine <= p.Rates[n-1].Cosine || point.Rate >= p.Rates[n-1].Rate) {
		return
	}
	p.Rates = append(p.Rates, point)
}

// significant rounds to three significant digits.
func significant(x float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
	return rounded
}
