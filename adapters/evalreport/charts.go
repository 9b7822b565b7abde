package evalreport

import (
	"bytes"
	"encoding/base64"
	"image/color"
	"image/png"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one of the charts of a report.
type chart struct {
	name    string // of the file, without its ending
	caption string
	draw    func(r *Report, t theme) *drawing
	both    bool // it shows errors of one kind against those of the other
}

// charts returns the charts in the order in which they are shown.
func charts() []chart {
	return []chart{
		{"scores", "How the cosine similarities of pairs are distributed: pairs of one person (mated) and pairs of strangers (non-mated), each as parts of their own number.", distributions, false},
		{"det", "Detection error trade-off (DET): what part of the right pairs or searches is missed, for each rate of false ones. Lower left is better. Dashed: extrapolated.", tradeoffs, true},
		{"rates", "Error rates at each threshold. Where false matches were too rare to be counted, the dashed line continues them.", byThreshold, false},
	}
}

// shows reports whether there is anything to draw on a chart.
func (r *Report) shows(c chart) bool { return !c.both || r.MatedPairs > 0 && r.StrangerPairs > 0 }

// The size of a chart and the resolution of its picture.
const (
	chartWidth  = 8 * vg.Inch
	chartHeight = 5 * vg.Inch
	chartDPI    = 144
)

// png draws a chart in light colours.
func (r *Report) png(w io.Writer, c chart) error {
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(chartDPI))
	drawOn(draw.New(canvas), func(t theme) *drawing { return c.draw(r, t) }, light())
	return png.Encode(w, canvas.Image())
}

// svg draws a chart for the page, as a data URL.
func svg(of func(theme) *drawing, t theme) (string, error) {
	canvas := vgsvg.New(chartWidth, chartHeight)
	drawOn(draw.New(canvas), of, t)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", err
	}
	// Fonts of the same widths, for readers without this one.
	svg := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg), nil
}

// drawOn draws a chart with a margin.
func drawOn(canvas draw.Canvas, of func(theme) *drawing, t theme) {
	const margin = 10 // points
	canvas.SetColor(t.paper)
	canvas.Fill(canvas.Rectangle.Path())
	of(t).drawOn(draw.Crop(canvas, vg.Points(margin), -vg.Points(margin), vg.Points(margin), -vg.Points(margin)))
}

func distributions(r *Report, t theme) *drawing {
	p := t.newPlot("Scores of pairs", "cosine similarity", "part of the pairs")
	highest := 0.01
	var mated, strangers []plotter.HistogramBin
	for _, b := range r.curves.bins {
		mated, strangers = appendBin(mated, b, b.mated), appendBin(strangers, b, b.strangers)
		highest = max(highest, b.mated, b.strangers)
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(cosineTicks), plot.TickerFunc(percentTicks)
	p.Add(t.grid())
	t.bars(p, "strangers, "+thousands(r.StrangerPairs)+" pairs", strangers, t.strangers)
	t.bars(p, "one person, "+thousands(r.MatedPairs)+" pairs", mated, t.mated)
	a := area{lowest(r.curves.bins), 1, 0, 1.05 * highest}
	t.drawThresholds(p, a, r.curves.marks)
	a.limit(p)
	return p
}

// appendBin adds a bar unless it has no height.
func appendBin(bars []plotter.HistogramBin, b bin, weight float64) []plotter.HistogramBin {
	if weight == 0 {
		return bars
	}
	return append(bars, plotter.HistogramBin{Min: b.from, Max: b.to, Weight: weight})
}

// lowest returns where the first bin begins.
func lowest(bins []bin) float64 {
	if len(bins) == 0 {
		return -1
	}
	return bins[0].from
}

func tradeoffs(r *Report, t theme) *drawing {
	p := t.newPlot("Detection error trade-off", "false matches of pairs (FMR), false positives of searches (FPIR)", "false non-matches (FNMR, FNIR)")
	c := r.curves
	a := area{floor(c.pairs, c.tail, accepted), 0, floor(c.pairs, nil, missed), 0}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(decadeTicks), plot.TickerFunc(decadeTicks)
	p.Add(t.grid())
	t.line(p, "pairs", detPoints(c.pairs), stroke(t.mated, 2))
	t.line(p, "pairs, extrapolated", detPoints(c.tail), stroke(t.mated, 1.5, dashes()...))
	t.line(p, "searches among "+thousands(r.SearchGallery)+" pictures", detPoints(c.searches), stroke(t.searches, 2))
	t.line(p, "expected of searches among "+thousands(r.Gallery)+" people", detPoints(c.expected), stroke(t.gallery, 1.5, dashes()...))
	t.points(p, a, c.marks)
	a.limit(p)
	return p
}

func byThreshold(r *Report, t theme) *drawing {
	p := t.newPlot("Error rates by threshold", "threshold (cosine similarity)", "error rate")
	c := r.curves
	a := area{lowest(c.bins), 1, min(floor(c.pairs, c.tail, accepted), floor(c.pairs, nil, missed)), 0}
	p.X.Tick.Marker = plot.TickerFunc(cosineTicks)
	p.Y.Tick.Marker = plot.TickerFunc(decadeTicks)
	p.Add(t.grid())
	for i, g := range shown(t, c.groups) {
		t.line(p, "false matches within "+g.name, ratePoints(g.rates, accepted), stroke(t.groups[i], 1))
	}
	t.line(p, "false matches (FMR)", ratePoints(c.pairs, accepted), stroke(t.strangers, 2))
	t.line(p, "FMR, extrapolated", ratePoints(c.tail, accepted), stroke(t.strangers, 1.5, dashes()...))
	t.line(p, "false non-matches (FNMR)", ratePoints(c.pairs, missed), stroke(t.mated, 2))
	t.drawThresholds(p, a, c.marks)
	a.limit(p)
	return p
}

// area is the part of the plane that a plot shows.
type area struct{ left, right, bottom, top float64 }

// limit sets the area of a plot. It comes last: whatever is added to a plot widens it.
func (a area) limit(p *drawing) {
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = a.left, a.right, a.bottom, a.top
}

func dashes() []vg.Length { return []vg.Length{vg.Points(5), vg.Points(3)} }

// shown returns as many groups as there are colours.
func shown(t theme, groups []groupRates) []groupRates {
	return groups[:min(len(groups), len(t.groups))]
}

func (t theme) grid() *plotter.Grid {
	return &plotter.Grid{Vertical: stroke(t.faint, 0.5), Horizontal: stroke(t.faint, 0.5)}
}

func (t theme) bars(p *drawing, name string, bins []plotter.HistogramBin, c color.NRGBA) {
	h := &plotter.Histogram{Bins: bins, FillColor: faded(c, 110), LineStyle: stroke(c, 0.6)}
	add(p, name, h)
}

// line adds a line, unless it has no points.
func (t theme) line(p *drawing, name string, points plotter.XYs, style draw.LineStyle) {
	if len(points) == 0 {
		return
	}
	add(p, shorten(name), &plotter.Line{XYs: points, LineStyle: style})
}

// add adds what is drawn, with its name in the legend.
func add(p *drawing, name string, item interface {
	plot.Plotter
	plot.Thumbnailer
}) {
	p.Add(item)
	p.legend[p.named%len(p.legend)].Add(name, item)
	p.named++
}

// shorten limits the names of folders in legends.
func shorten(name string) string {
	const longest = 40
	if r := []rune(name); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return name
}

// drawThresholds marks thresholds over the height of the area.
func (t theme) drawThresholds(p *drawing, a area, marks []mark) {
	for i, m := range marks {
		add(p, m.name+" at "+cosine(m.cosine), &plotter.Line{XYs: plotter.XYs{{X: m.cosine, Y: a.bottom}, {X: m.cosine, Y: a.top}}, LineStyle: t.mark(i)})
	}
}

func (t theme) mark(i int) draw.LineStyle {
	if i == 0 {
		return stroke(t.ink, 1.2)
	}
	return stroke(t.ink, 1.2, vg.Points(2), vg.Points(2))
}

// points marks thresholds on a DET curve. What lies outside is left out.
func (t theme) points(p *drawing, a area, marks []mark) {
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.RingGlyph{}}
	for i, m := range marks {
		at := detPoints([]rates{m.rates})
		if len(at) == 0 || at[0].X < a.left || at[0].Y < a.bottom {
			continue
		}
		add(p, m.name, &plotter.Scatter{XYs: at, GlyphStyle: draw.GlyphStyle{Color: t.ink, Radius: vg.Points(4.5), Shape: shapes[min(i, len(shapes)-1)]}})
	}
}
