package evalreport

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

func accepted(r rates) float64 { return r.accepted }
func missed(r rates) float64   { return r.missed }

// The library places the label of a logarithmic axis wrongly, so rates are drawn
// by their decimal logarithm on even axes, and those of 0 not at all.

// detPoints returns the points of a DET curve.
func detPoints(all []rates) (points plotter.XYs) {
	for _, r := range all {
		if r.accepted > 0 && r.missed > 0 {
			points = append(points, plotter.XY{X: math.Log10(r.accepted), Y: math.Log10(r.missed)})
		}
	}
	return points
}

// ratePoints returns a rate by threshold.
func ratePoints(all []rates, of func(rates) float64) (points plotter.XYs) {
	for _, r := range all {
		if of(r) > 0 {
			points = append(points, plotter.XY{X: r.cosine, Y: math.Log10(of(r))})
		}
	}
	return points
}

// floor returns the logarithm of the power of ten below all rates that are above
// 0, at least that of 1e-7 and at most that of 0.01.
func floor(all, more []rates, of func(rates) float64) float64 {
	smallest := 0.01
	for _, list := range [][]rates{all, more} {
		for _, r := range list {
			if v := of(r); v > 0 {
				smallest = min(smallest, v)
			}
		}
	}
	return max(-7, math.Floor(math.Log10(smallest)+1e-9))
}

// decadeTicks are ticks at powers of ten, labelled as percentages, with small
// ones between.
func decadeTicks(low, high float64) (ticks []plot.Tick) {
	for e := int(math.Floor(low)); e <= int(math.Ceil(high)); e++ {
		label := strconv.FormatFloat(100*math.Pow(10, float64(e)), 'f', max(0, -e-2), 64)
		ticks = append(ticks, plot.Tick{Value: float64(e), Label: label + " %"})
		for i := 2; i < 10 && float64(e) < high; i++ {
			ticks = append(ticks, plot.Tick{Value: float64(e) + math.Log10(float64(i))})
		}
	}
	return ticks
}

// cosineTicks are ticks at tenths.
func cosineTicks(low, high float64) (ticks []plot.Tick) {
	for i := int(math.Ceil(10*low - 1e-9)); i <= int(math.Floor(10*high+1e-9)); i++ {
		ticks = append(ticks, plot.Tick{Value: float64(i) / 10, Label: strconv.FormatFloat(float64(i)/10, 'f', 1, 64)})
	}
	return ticks
}

// percentTicks are the library's ticks, labelled as percentages.
func percentTicks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(100*low, 100*high)
	for i := range ticks {
		ticks[i].Value /= 100
		if ticks[i].Label != "" {
			ticks[i].Label = strings.TrimSuffix(ticks[i].Label, ".0") + " %"
		}
	}
	return ticks
}
