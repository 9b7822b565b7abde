package evalreport

import (
	"bytes"
	"image/color"
	"image/png"
	"io"
	"math"
	"strconv"
	"strings"

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
}

// AllCharts returns the charts in the order in which they are shown.
func AllCharts() []Chart {
	return []Chart{
		{"scores", "How the cosine similarities of pairs are distributed: pairs of one person (mated) and pairs of strangers (non-mated), each as parts of their own number.", distributions},
		{"det", "Detection error trade-off (DET): what part of the right pairs or searches is missed, for each rate of false ones. Lower left is better. Dashed: extrapolated.", tradeoffs},
		{"rates", "Error rates at each threshold. Where false matches were too rare to be counted, the dashed line continues them.", byThreshold},
	}
}

// The size of a chart and the resolution of its picture.
const (
	chartWidth  = 8 * vg.Inch
	chartHeight = 5 * vg.Inch
	chartDPI    = 144
)

// PNG draws a chart in light colours.
func (r *Report) PNG(w io.Writer, c Chart) error {
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(chartDPI))
	c.draw(r, light()).Draw(draw.New(canvas))
	return (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(w, canvas.Image())
}

// svg draws a chart as a picture for the page.
func (r *Report) svg(c Chart, t theme) ([]byte, error) {
	canvas := vgsvg.New(chartWidth, chartHeight)
	c.draw(r, t).Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	// Readers who lack the typeface have one of the same widths.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

func distributions(r *Report, t theme) *plot.Plot {
	p := t.newPlot("Scores of pairs", "cosine similarity", "part of the pairs")
	highest := 0.01
	var mated, strangers []plotter.HistogramBin
	for _, b := range r.Charts.Bins {
		mated = append(mated, plotter.HistogramBin{Min: b.From, Max: b.To, Weight: b.Mated})
		strangers = append(strangers, plotter.HistogramBin{Min: b.From, Max: b.To, Weight: b.Strangers})
		highest = max(highest, b.Mated, b.Strangers)
	}
	p.Y.Tick.Marker = plot.TickerFunc(percentTicks)
	p.Add(t.grid())
	t.bars(p, "strangers, "+thousands(r.StrangerPairs)+" pairs", strangers, t.strangers)
	t.bars(p, "one person, "+thousands(r.MatedPairs)+" pairs", mated, t.mated)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lowest(r.Charts.Bins), 1, 0, 1.15*highest
	t.uprights(p, r.Charts.Marks)
	return p
}

// lowest returns where the first bin begins.
func lowest(bins []Bin) float64 {
	if len(bins) == 0 {
		return -1
	}
	return bins[0].From
}

func tradeoffs(r *Report, t theme) *plot.Plot {
	p := t.newPlot("Detection error trade-off", "false match rate (pairs), false positive identification rate (searches)", "false non-match rate, false negative identification rate")
	c := r.Charts
	p.X.Min, p.X.Max = floor(c.Rates, c.Tail, falseRate), 1
	p.Y.Min, p.Y.Max = floor(c.Rates, nil, missedRate), 1
	logarithmic(p)
	p.Add(t.grid())
	t.line(p, "pairs", trade(c.Rates), stroke(t.mated, 2))
	t.line(p, "", trade(c.Tail), stroke(t.mated, 1.5, vg.Points(5), vg.Points(3)))
	if len(c.Searches) > 0 {
		t.line(p, "searches among "+thousands(r.SearchGallery)+" pictures", trade(c.Searches), stroke(t.searches, 2))
	}
	if len(c.Identify) > 0 {
		t.line(p, "expected among "+thousands(r.Gallery)+" people", trade(c.Identify), stroke(t.gallery, 1.5, vg.Points(5), vg.Points(3)))
	}
	t.points(p, c.Marks)
	return p
}

func byThreshold(r *Report, t theme) *plot.Plot {
	p := t.newPlot("Error rates by threshold", "threshold (cosine similarity)", "error rate")
	c := r.Charts
	p.X.Min, p.X.Max = 0, 1
	p.Y.Min, p.Y.Max = min(floor(c.Rates, c.Tail, falseRate), floor(c.Rates, nil, missedRate)), 1
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
	p.Add(t.grid())
	for i, g := range shown(t, c.Groups) {
		t.line(p, "false matches within "+g.Name, against(g.Rates, falseRate), stroke(t.groups[i], 1))
	}
	t.line(p, "false matches", against(c.Rates, falseRate), stroke(t.strangers, 2))
	t.line(p, "", against(c.Tail, falseRate), stroke(t.strangers, 1.5, vg.Points(5), vg.Points(3)))
	t.line(p, "false non-matches", against(c.Rates, missedRate), stroke(t.mated, 2))
	t.uprights(p, c.Marks)
	return p
}

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

// uprights marks thresholds over the height of a plot whose range is set.
func (t theme) uprights(p *plot.Plot, marks []Mark) {
	for i, m := range marks {
		l := &plotter.Line{XYs: plotter.XYs{{X: m.Cosine, Y: p.Y.Min}, {X: m.Cosine, Y: p.Y.Max}}, LineStyle: t.mark(i)}
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

// points marks thresholds on the curve. What lies outside is left out.
func (t theme) points(p *plot.Plot, marks []Mark) {
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.RingGlyph{}}
	for i, m := range marks {
		if m.False < p.X.Min || m.Missed < p.Y.Min {
			continue
		}
		s := &plotter.Scatter{
			XYs:        plotter.XYs{{X: m.False, Y: m.Missed}},
			GlyphStyle: draw.GlyphStyle{Color: t.ink, Radius: vg.Points(4.5), Shape: shapes[min(i, len(shapes)-1)]},
		}
		p.Add(s)
		p.Legend.Add(m.Name, s)
	}
}

func falseRate(r Rate) float64  { return r.False }
func missedRate(r Rate) float64 { return r.Missed }

// trade returns the points of a DET curve that a logarithmic plot can show.
func trade(rates []Rate) (points plotter.XYs) {
	for _, r := range rates {
		if r.False > 0 && r.Missed > 0 {
			points = append(points, plotter.XY{X: r.False, Y: r.Missed})
		}
	}
	return points
}

// against returns a rate by threshold.
func against(rates []Rate, of func(Rate) float64) (points plotter.XYs) {
	for _, r := range rates {
		if of(r) > 0 {
			points = append(points, plotter.XY{X: r.Cosine, Y: of(r)})
		}
	}
	return points
}

// floor returns the power of ten below all rates that are above 0, at least
// 1e-7 and at most 0.01.
func floor(rates, more []Rate, of func(Rate) float64) float64 {
	smallest := 0.01
	for _, list := range [][]Rate{rates, more} {
		for _, r := range list {
			if v := of(r); v > 0 {
				smallest = min(smallest, v)
			}
		}
	}
	return math.Pow(10, max(-7, math.Floor(math.Log10(smallest)+1e-9)))
}

func logarithmic(p *plot.Plot) {
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = decades{}, decades{}
}

// decades are ticks at powers of ten, labelled as percentages, with small ones
// between.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for e := int(math.Floor(math.Log10(low) + 1e-9)); e <= int(math.Ceil(math.Log10(high)-1e-9)); e++ {
		unit := math.Pow(10, float64(e))
		ticks = append(ticks, plot.Tick{Value: unit, Label: strconv.FormatFloat(100*unit, 'f', max(0, -e-2), 64) + " %"})
		for i := 2; i < 10 && float64(i)*unit < high; i++ {
			ticks = append(ticks, plot.Tick{Value: float64(i) * unit})
		}
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
