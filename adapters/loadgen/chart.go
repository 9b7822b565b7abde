package loadgen

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The size of a chart and the resolution of its picture.
const (
	chartWidth  = 8 * vg.Inch
	chartHeight = 5 * vg.Inch
	chartDPI    = 144
	chartMargin = 10 // points
)

// palette can be told apart with any kind of colour vision (Okabe and Ito,
// "Color universal design", 2008).
var palette = [...]color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xb0, 0x57, 0x8d, 0xff},
	{0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x6e, 0x6e, 0x6e, 0xff},
}

// WriteChart draws the latencies of what was served by percentile, a line for
// each run, as a PNG.
func WriteChart(out io.Writer, title string, runs []Report) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "percentile", "milliseconds"
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Points(3)
	p.Legend.XOffs, p.Title.Padding = vg.Points(8), vg.Points(8)
	p.X.Tick.Marker = plot.TickerFunc(nineTicks)
	face := font.Font{Typeface: "Liberation", Variant: "Sans"}
	for style, size := range map[*draw.TextStyle]vg.Length{
		&p.Title.TextStyle: 13, &p.Legend.TextStyle: 10,
		&p.X.Label.TextStyle: 11, &p.Y.Label.TextStyle: 11, &p.X.Tick.Label: 10, &p.Y.Tick.Label: 10,
	} {
		style.Font = font.From(face, size)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xdd}, color.Gray{0xdd}
	p.Add(grid)
	if err := addCurves(p, runs); err != nil {
		return err
	}
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, p.Y.Max*1.1
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(chartDPI))
	p.Draw(draw.Crop(draw.New(canvas), chartMargin, -2*chartMargin, chartMargin, -chartMargin))
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(out)
	return err
}

func addCurves(p *plot.Plot, runs []Report) error {
	curves := 0
	for i, r := range runs {
		if len(r.curve) == 0 {
			continue
		}
		line, err := plotter.NewLine(r.curve)
		if err != nil {
			return err
		}
		line.Color, line.Width = palette[i%len(palette)], vg.Points(2)
		p.Add(line)
		p.Legend.Add(r.legend(), line)
		curves++
	}
	if curves == 0 {
		return errors.New("no request was served: there is nothing to draw")
	}
	return nil
}

func (r Report) legend() string {
	words := fmt.Sprintf("%d at once: %.1f/s", r.Concurrency, r.Throughput)
	if r.Rate > 0 {
		words += fmt.Sprintf(" of %g/s", r.Rate)
	}
	return words
}

// nineTicks marks 0, 90, 99, 99.9 % and so on along an axis that counts nines, and
// 50 % between the first two.
func nineTicks(_, last float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 0, Label: "0 %"}, {Value: math.Log10(2), Label: "50 %"}}
	for n := 1; float64(n) <= last; n++ {
		percentile := strconv.FormatFloat(100*(1-math.Pow(10, -float64(n))), 'f', max(0, n-2), 64)
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: percentile + " %"})
	}
	return ticks
}
