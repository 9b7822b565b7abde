package evalreport

import (
	"bytes"
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

// Charts is what is drawn. All lists may be empty.
type Charts struct {
	// Bins are the scores of pairs, from low to high without gaps.
	Bins []Bin
	// Rates are the error rates of pairs, by threshold, ascending.
	Rates []Rate
	// Searches are those of searches among SearchGallery pictures, Identify
	// those expected among the gallery of the report.
	Searches []Rate
	Identify []Rate
	// Tail is the extrapolated FMR; its Missed is counted.
	Tail []Rate
	// Groups are the error rates within groups.
	Groups []Line
	// Marks are thresholds worth showing.
	Marks []Mark
}

// Bin is the part of the mated and of the non-mated scores between two cosines.
type Bin struct{ From, To, Mated, Strangers float64 }

// Rate is the error rates at a cosine.
type Rate struct {
	Cosine float64
	False  float64 // false matches, or false positives of searches
	Missed float64 // false non-matches, or false negatives
}

// Line is a named list of rates.
type Line struct {
	Name  string
	Rates []Rate
}

// Mark is a threshold with the rates there; False is 0 where it is not known.
type Mark struct {
	Name string
	Rate
}

// Chart is one of the charts of a report.
type Chart struct {
	Name    string // of the file, without its ending
	Caption string
	draw    func(r *Report, t theme) *plot.Plot
	both    bool // it shows errors of one kind against those of the other
}

// AllCharts returns the charts in the order in which they are shown.
func AllCharts() []Chart {
	return []Chart{
		{"scores", "How the cosine similarities of pairs are distributed: pairs of one person (mated) and pairs of strangers (non-mated), each as parts of their own number.", distributions, false},
		{"det", "Detection error trade-off (DET): what part of the right pairs or searches is missed, for each rate of false ones. Lower left is better. Dashed: extrapolated.", tradeoffs, true},
		{"rates", "Error rates at each threshold. Where false matches were too rare to be counted, the dashed line continues them.", byThreshold, false},
	}
}

// Shows reports whether there is anything to draw on a chart.
func (r *Report) Shows(c Chart) bool { return !c.both || r.MatedPairs > 0 && r.StrangerPairs > 0 }

// The size of a chart and the resolution of its picture.
const (
	chartWidth  = 8 * vg.Inch
	chartHeight = 5 * vg.Inch
	chartDPI    = 144
)

// PNG draws a chart in light colours.
func (r *Report) PNG(w io.Writer, c Chart) error {
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(chartDPI))
	c.onto(draw.New(canvas), r, light())
	return png.Encode(w, canvas.Image())
}

// svg draws a chart as a picture for the page.
func (r *Report) svg(c Chart, t theme) ([]byte, error) {
	canvas := vgsvg.New(chartWidth, chartHeight)
	c.onto(draw.New(canvas), r, t)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	// Readers who lack the typeface have one of the same widths.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

// onto draws the chart with a margin.
func (c Chart) onto(canvas draw.Canvas, r *Report, t theme) {
	const margin = 10 // points
	canvas.SetColor(t.paper)
	canvas.Fill(canvas.Rectangle.Path())
	c.draw(r, t).Draw(draw.Crop(canvas, vg.Points(margin), -vg.Points(margin), vg.Points(margin), -vg.Points(margin)))
}

func distributions(r *Report, t theme) *plot.Plot {
	p := t.newPlot("Scores of pairs", "cosine similarity", "part of the pairs")
	highest := 0.01
	var mated, strangers []plotter.HistogramBin
	for _, b := range r.Charts.Bins {
		mated, strangers = stack(mated, b, b.Mated), stack(strangers, b, b.Strangers)
		highest = max(highest, b.Mated, b.Strangers)
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(cosineTicks), plot.TickerFunc(percentTicks)
	p.Add(t.grid())
	t.bars(p, "strangers, "+thousands(r.StrangerPairs)+" pairs", strangers, t.strangers)
	t.bars(p, "one person, "+thousands(r.MatedPairs)+" pairs", mated, t.mated)
	a := area{lowest(r.Charts.Bins), 1, 0, 1.35 * highest} // with room for the legend
	t.uprights(p, a, r.Charts.Marks)
	a.limit(p)
	return p
}

// stack adds a bar unless it has no height.
func stack(bars []plotter.HistogramBin, b Bin, weight float64) []plotter.HistogramBin {
	if weight == 0 {
		return bars
	}
	return append(bars, plotter.HistogramBin{Min: b.From, Max: b.To, Weight: weight})
}

// lowest returns where the first bin begins.
func lowest(bins []Bin) float64 {
	if len(bins) == 0 {
		return -1
	}
	return bins[0].From
}

func tradeoffs(r *Report, t theme) *plot.Plot {
	p := t.newPlot("Detection error trade-off", "false matches of pairs (FMR), false positives of searches (FPIR)", "false non-matches (FNMR, FNIR)")
	c := r.Charts
	a := area{floor(c.Rates, c.Tail, falseRate), 0, floor(c.Rates, nil, missedRate), 0}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(decadeTicks), plot.TickerFunc(decadeTicks)
	legendBelow(p)
	p.Add(t.grid())
	t.line(p, "pairs", trade(c.Rates), stroke(t.mated, 2))
	t.line(p, "pairs, extrapolated", trade(c.Tail), stroke(t.mated, 1.5, dashes()...))
	t.line(p, "searches among "+thousands(r.SearchGallery)+" pictures", trade(c.Searches), stroke(t.searches, 2))
	t.line(p, "expected of searches among "+thousands(r.Gallery)+" people", trade(c.Identify), stroke(t.gallery, 1.5, dashes()...))
	t.points(p, a, c.Marks)
	a.limit(p)
	return p
}

func byThreshold(r *Report, t theme) *plot.Plot {
	p := t.newPlot("Error rates by threshold", "threshold (cosine similarity)", "error rate")
	c := r.Charts
	a := area{lowest(c.Bins), 1, min(floor(c.Rates, c.Tail, falseRate), floor(c.Rates, nil, missedRate)), 0}
	p.X.Tick.Marker = plot.TickerFunc(cosineTicks)
	p.Y.Tick.Marker = plot.TickerFunc(decadeTicks)
	legendBelow(p)
	p.Add(t.grid())
	for i, g := range shown(t, c.Groups) {
		t.line(p, "false matches within "+g.Name, against(g.Rates, falseRate), stroke(t.groups[i], 1))
	}
	t.line(p, "false matches (FMR)", against(c.Rates, falseRate), stroke(t.strangers, 2))
	t.line(p, "FMR, extrapolated", against(c.Tail, falseRate), stroke(t.strangers, 1.5, dashes()...))
	t.line(p, "false non-matches (FNMR)", against(c.Rates, missedRate), stroke(t.mated, 2))
	t.uprights(p, a, c.Marks)
	a.limit(p)
	return p
}

// legendBelow moves the legend to the lower left, which rates leave free.
func legendBelow(p *plot.Plot) {
	p.Legend.Top, p.Legend.Left = false, true
	p.Legend.XOffs, p.Legend.YOffs = -p.Legend.XOffs, -p.Legend.YOffs
}

// area is the part of the plane that a plot shows.
type area struct{ left, right, bottom, top float64 }

// limit has a plot show the area. It comes last: what is added to a plot widens
// it.
func (a area) limit(p *plot.Plot) {
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = a.left, a.right, a.bottom, a.top
}

func dashes() []vg.Length { return []vg.Length{vg.Points(5), vg.Points(3)} }

// shown returns as many groups as there are colours.
func shown(t theme, groups []Line) []Line { return groups[:min(len(groups), len(t.groups))] }

func (t theme) grid() *plotter.Grid {
	return &plotter.Grid{Vertical: stroke(t.faint, 0.5), Horizontal: stroke(t.faint, 0.5)}
}

func (t theme) bars(p *plot.Plot, name string, bins []plotter.HistogramBin, c color.NRGBA) {
	h := &plotter.Histogram{Bins: bins, FillColor: faded(c, 110), LineStyle: stroke(c, 0.6)}
	p.Add(h)
	p.Legend.Add(name, h)
}

// line adds a line, named in the legend unless the name is empty.
func (t theme) line(p *plot.Plot, name string, points plotter.XYs, style draw.LineStyle) {
	if len(points) == 0 {
		return
	}
	l := &plotter.Line{XYs: points, LineStyle: style}
	p.Add(l)
	if name != "" {
		p.Legend.Add(shorten(name), l)
	}
}

// shorten keeps names that come from folders out of each other's way.
func shorten(name string) string {
	const longest = 40
	if r := []rune(name); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return name
}

// uprights marks thresholds over the height of the area.
func (t theme) uprights(p *plot.Plot, a area, marks []Mark) {
	for i, m := range marks {
		l := &plotter.Line{XYs: plotter.XYs{{X: m.Cosine, Y: a.bottom}, {X: m.Cosine, Y: a.top}}, LineStyle: t.mark(i)}
		p.Add(l)
		p.Legend.Add(m.Name+" at "+cosine(m.Cosine), l)
	}
}

func (t theme) mark(i int) draw.LineStyle {
	if i == 0 {
		return stroke(t.ink, 1.2)
	}
	return stroke(t.ink, 1.2, vg.Points(2), vg.Points(2))
}

// points marks thresholds on a DET curve. What lies outside is left out.
func (t theme) points(p *plot.Plot, a area, marks []Mark) {
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.RingGlyph{}}
	for i, m := range marks {
		at := trade([]Rate{m.Rate})
		if len(at) == 0 || at[0].X < a.left || at[0].Y < a.bottom {
			continue
		}
		s := &plotter.Scatter{XYs: at, GlyphStyle: draw.GlyphStyle{Color: t.ink, Radius: vg.Points(4.5), Shape: shapes[min(i, len(shapes)-1)]}}
		p.Add(s)
		p.Legend.Add(m.Name, s)
	}
}
