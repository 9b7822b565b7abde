package evalreport

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// theme is a set of colours.
type theme struct {
	paper, ink, faint color.NRGBA
	mated, strangers  color.NRGBA
	searches, gallery color.NRGBA
	groups            []color.NRGBA
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

func faded(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

// The colours of data can be told apart with any kind of colour vision (Okabe
// and Ito, "Color universal design", 2008), lightened for the dark.
func light() theme {
	return theme{
		paper: rgb(0xffffff), ink: rgb(0x1f2328), faint: rgb(0xd8dee4),
		mated: rgb(0x0072b2), strangers: rgb(0xd55e00), searches: rgb(0x009e73), gallery: rgb(0xb0578d),
		groups: []color.NRGBA{rgb(0xe69f00), rgb(0x56b4e9), rgb(0x009e73), rgb(0xb0578d), rgb(0x8c7a00), rgb(0x6e6e6e)},
	}
}

func dark() theme {
	return theme{
		paper: rgb(0x16191d), ink: rgb(0xd7dce2), faint: rgb(0x363c44),
		mated: rgb(0x56b4e9), strangers: rgb(0xff8a3c), searches: rgb(0x2fd0a3), gallery: rgb(0xe095c4),
		groups: []color.NRGBA{rgb(0xf0b840), rgb(0x8ccdf2), rgb(0x2fd0a3), rgb(0xe095c4), rgb(0xd9c84a), rgb(0xa8a8a8)},
	}
}

// typeface is carried by the plotting library.
func typeface(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// drawing is a plot with its legend below it, in columns, where it hides no data.
type drawing struct {
	*plot.Plot
	legend [2]plot.Legend
	named  int // items in the legend
}

// layout divides a canvas into the part of the plot and those of the legend's columns.
func (d *drawing) layout(c draw.Canvas) (graph draw.Canvas, columns [2]draw.Canvas) {
	height := vg.Length(0)
	for i := range d.legend {
		height = max(height, d.legend[i].Rectangle(c).Size().Y)
	}
	const gap = 10 // points
	graph = draw.Crop(c, 0, 0, height+vg.Points(gap), 0)
	half := c.Size().X / 2
	columns[0] = draw.Crop(c, vg.Points(gap), -half, 0, height-c.Size().Y)
	columns[1] = draw.Crop(c, half, 0, 0, height-c.Size().Y)
	return graph, columns
}

func (d *drawing) drawOn(c draw.Canvas) {
	graph, columns := d.layout(c)
	d.Draw(graph)
	for i := range d.legend {
		d.legend[i].Draw(columns[i])
	}
}

// newPlot returns an empty plot in the colours of the theme.
func (t theme) newPlot(title, x, y string) *drawing {
	p := &drawing{Plot: plot.New()}
	p.BackgroundColor = t.paper
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(8)
	p.Title.TextStyle.Color, p.Title.TextStyle.Font = t.ink, typeface(13)
	for i := range p.legend {
		p.legend[i] = plot.NewLegend()
		p.legend[i].TextStyle.Color, p.legend[i].TextStyle.Font = t.ink, typeface(10)
		p.legend[i].Top, p.legend[i].Left = true, true
		p.legend[i].ThumbnailWidth, p.legend[i].Padding = vg.Points(22), vg.Points(3)
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Label.TextStyle.Color, axis.Tick.Label.Color = t.ink, t.ink, t.ink, t.ink
		axis.Label.TextStyle.Font, axis.Tick.Label.Font = typeface(11), typeface(10)
		axis.Label.Padding, axis.Padding = vg.Points(4), 0
	}
	return p
}

func stroke(c color.Color, width float64, dashes ...vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: vg.Points(width), Dashes: dashes}
}
