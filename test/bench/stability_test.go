package bench

import (
	"bytes"
	"image"
	"image/color"
	_ "image/jpeg" // the labelled pictures
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/pipeline"
)

// copies are how a labelled picture is copied: turned by degrees and enlarged.
var copies = []struct{ degrees, scale float64 }{{8, 1}, {20, 1}, {-13, 0.7}, {0, 0.4}, {0, 1.3}, {0, 2.5}}

// template is that of one copy of a picture of a person.
type template struct {
	person, picture string
	vector          []float32
}

// BenchmarkStability reports how well the shipped picture path tells people apart in
// turned and scaled copies of the labelled stills: d', the part of pairs of one person
// below the cosine of 80 % (FNMR), the highest cosine of strangers, and the mean cosine
// of two copies of one picture.
func BenchmarkStability(b *testing.B) {
	stills, err := fs.Glob(os.DirFS(fixture.Faces(b)), "cast/*[0-9].png")
	require.NoError(b, err)
	for _, pair := range pipeline.Pairs(b) {
		b.Run(pair.Detector+"+"+pair.Embedder, func(b *testing.B) {
			p := pipeline.With(b, pair)
			var all []template
			for b.Loop() {
				all = templatesOfCopies(b, p, append(stills, "007_B.jpg", "009_C.jpg"))
			}
			reportTemplates(b, all, p.Curve.Cosine(80))
		})
	}
}

func templatesOfCopies(b *testing.B, p *pipeline.Pipeline, pictures []string) (all []template) {
	x := p.Extractor()
	for _, name := range pictures {
		picture, _, err := image.Decode(bytes.NewReader(fixture.Read(b, name)))
		require.NoError(b, err)
		person := strings.TrimRight(strings.TrimSuffix(path.Base(name), path.Ext(name)), "0123456789")
		for _, c := range copies {
			vector, err := x.Probe(b.Context(), turned(b, picture, c.degrees, c.scale))
			require.NoError(b, err, "%s: %v", name, c)
			all = append(all, template{person, name, vector})
		}
	}
	return all
}

// reportTemplates compares all templates with each other.
func reportTemplates(b *testing.B, all []template, threshold float64) {
	var same, strangers, copied moments
	missed, highest := 0, -1.0
	for i, x := range all {
		for _, y := range all[:i] {
			switch c := cosine(x.vector, y.vector); {
			case x.picture == y.picture:
				copied.add(c)
			case x.person == y.person:
				same.add(c)
				if c < threshold {
					missed++
				}
			default:
				strangers.add(c)
				highest = max(highest, c)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((same.mean()-strangers.mean())/math.Sqrt((same.variance()+strangers.variance())/2), "d'")
	b.ReportMetric(float64(missed)/same.n, "FNMR")
	b.ReportMetric(highest, "strangers-max")
	b.ReportMetric(copied.mean(), "same-picture")
	b.ReportMetric(same.n, "pairs")
}

// moments adds up numbers and their squares.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(v float64) {
	m.n, m.sum, m.squares = m.n+1, m.sum+v, m.squares+v*v
}

func (m moments) mean() float64     { return m.sum / m.n }
func (m moments) variance() float64 { return m.squares/m.n - m.mean()*m.mean() }

// turned returns a copy of a picture as a PNG file, turned about its middle and
// enlarged, on black.
func turned(tb testing.TB, picture image.Image, degrees, scale float64) []byte {
	tb.Helper()
	size := picture.Bounds().Size()
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := float64(size.X), float64(size.Y)
	width := int(scale * (w*math.Abs(cos) + h*math.Abs(sin)))
	height := int(scale * (w*math.Abs(sin) + h*math.Abs(cos)))
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	parts := 1 // samples along a side of a pixel, so that nothing is passed over
	if scale < 1 {
		parts = int(math.Ceil(1/scale)) + 1
	}
	for y := range height {
		for x := range width {
			var sum [3]float64
			for i := range parts * parts {
				dx := (float64(x) + (float64(i%parts)+0.5)/float64(parts) - float64(width)/2) / scale
				dy := (float64(y) + (float64(i/parts)+0.5)/float64(parts) - float64(height)/2) / scale
				for c, v := range between(picture, cos*dx+sin*dy+w/2-0.5, -sin*dx+cos*dy+h/2-0.5) {
					sum[c] += v / float64(parts*parts)
				}
			}
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] + 0.5), uint8(sum[1] + 0.5), uint8(sum[2] + 0.5), 255})
		}
	}
	return fixture.PNG(tb, out)
}

// between returns the colour between four pixels, black outside of the picture.
func between(picture image.Image, x, y float64) (colour [3]float64) {
	size := picture.Bounds().Size()
	if x < -0.5 || y < -0.5 || x > float64(size.X)-0.5 || y > float64(size.Y)-0.5 {
		return colour
	}
	left, top := math.Floor(x), math.Floor(y)
	for i := range 4 {
		u, v := float64(i%2), float64(i/2)
		weight := (1 - math.Abs(x-left-u)) * (1 - math.Abs(y-top-v))
		r, g, b, _ := picture.At(
			picture.Bounds().Min.X+min(max(0, int(left+u)), size.X-1),
			picture.Bounds().Min.Y+min(max(0, int(top+v)), size.Y-1)).RGBA()
		for c, value := range []uint32{r, g, b} {
			colour[c] += weight * float64(value) / 257
		}
	}
	return colour
}
