package evalreport

import (
	"fmt"
	"math"
	"strconv"

	"imago/core/evaluation"
)

// percentage writes a rate as a percentage of three significant digits.
func percentage(rate float64) string { return number(100*rate) + " %" }

// number writes three significant digits without an exponent where that is
// short.
func number(x float64) string {
	if x != 0 && math.Abs(x) < 1e-4 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// oneIn writes a rate the way people say it, to two digits.
func oneIn(rate float64) string {
	if rate <= 0 {
		return "–"
	}
	n, _ := strconv.ParseFloat(strconv.FormatFloat(1/rate, 'g', 2, 64), 64)
	return "1 in " + thousands(int(math.Round(n)))
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rateWithBounds writes a share as "2.5 % (0.69 – 8.7 %)".
func rateWithBounds(s Share) string {
	if s.Trials == 0 {
		return "–"
	}
	low, high := s.interval()
	return fmt.Sprintf("%s (%s – %s)", percentage(s.rate()), number(100*low), percentage(high))
}

// countText writes a share as "2 of 80".
func countText(s Share) string {
	if s.Trials == 0 {
		return "–"
	}
	return thousands(s.Count) + " of " + thousands(s.Trials)
}

// rateText writes the rate of a share.
func rateText(s Share) string {
	if s.Trials == 0 {
		return "–"
	}
	return percentage(s.rate())
}

func cosine(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }

// threshold writes the cosine of a row, upwards, so that what is written keeps
// the rate.
func threshold(r Row) string {
	if r.None {
		return "none"
	}
	if !r.Known() {
		return "–"
	}
	return strconv.FormatFloat(r.Cosine, 'f', 5, 64)
}

// similarity writes a percentage of the API.
func similarity(p float64) string { return strconv.FormatFloat(p, 'f', 2, 64) + " %" }

// basisText says in words where a threshold comes from.
func basisText(r Row) string {
	switch {
	case r.None:
		return "no threshold keeps this rate"
	case r.Target == 0 && r.Basis == evaluation.Unknown:
		return "FMR unknown: too few comparisons"
	case r.Target == 0:
		return fmt.Sprintf("FMR %s, %s", oneIn(r.Estimate), r.Basis)
	case r.Basis == evaluation.Extrapolated:
		return fmt.Sprintf("extrapolated, %s – %s", cosine(r.Low), cosine(r.High))
	case r.Basis == evaluation.Few:
		return "counted, uncertain"
	case r.Basis == evaluation.Unknown:
		return "too few comparisons"
	}
	return string(r.Basis)
}

// printable keeps a terminal safe from names with control characters.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
