package alignment_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/alignment"
	"imago/ports"
)

// place returns the template's landmarks as a camera would see them: scaled,
// turned by degrees and shifted.
func place(scale, degrees, dx, dy float64) ports.Landmarks {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	var l ports.Landmarks
	for i, p := range alignment.Template {
		l[i] = ports.Point{X: scale*(cos*p.X-sin*p.Y) + dx, Y: scale*(sin*p.X+cos*p.Y) + dy}
	}
	return l
}

func TestFitCarriesLandmarksOntoTheTemplate(t *testing.T) {
	for _, c := range []struct{ scale, degrees, dx, dy float64 }{
		{1, 0, 0, 0}, {3.7, 0, 120, -40}, {0.4, 33, 5, 6}, {12, -90, 3000, 900}, {2, 180, 0, 0},
	} {
		l := place(c.scale, c.degrees, c.dx, c.dy)
		tr, err := alignment.Fit(l)
		require.NoError(t, err)
		require.InDelta(t, 1/c.scale, tr.Scale(), 1e-9)
		for i := range l {
			got := tr.Apply(l[i])
			require.InDelta(t, alignment.Template[i].X, got.X, 1e-6)
			require.InDelta(t, alignment.Template[i].Y, got.Y, 1e-6)
			back := tr.Inverse().Apply(got)
			require.InDelta(t, l[i].X, back.X, 1e-6)
			require.InDelta(t, l[i].Y, back.Y, 1e-6)
		}
	}
}

// The fit is the least-squares one: no small change of the transform brings
// noisy landmarks nearer to the template.
func TestFitIsLeastSquares(t *testing.T) {
	l := place(2, 10, 50, 60)
	for i := range l {
		l[i].X += float64(i*i%5) - 2
		l[i].Y += float64(i*7%3) - 1
	}
	best, err := alignment.Fit(l)
	require.NoError(t, err)
	for _, d := range []alignment.Transform{{A: 1e-3}, {B: 1e-3}, {TX: 0.05}, {TY: 0.05}} {
		for _, sign := range []float64{1, -1} {
			other := alignment.Transform{A: best.A + sign*d.A, B: best.B + sign*d.B, TX: best.TX + sign*d.TX, TY: best.TY + sign*d.TY}
			require.Less(t, squares(best, l), squares(other, l))
		}
	}
}

func squares(tr alignment.Transform, l ports.Landmarks) (sum float64) {
	for i := range l {
		p := tr.Apply(l[i])
		sum += math.Pow(p.X-alignment.Template[i].X, 2) + math.Pow(p.Y-alignment.Template[i].Y, 2)
	}
	return sum
}

func TestFitRefusesDegenerateLandmarks(t *testing.T) {
	nan := place(1, 0, 0, 0)
	nan[2].X = math.NaN()
	inf := place(1, 0, 0, 0)
	inf[0].Y = math.Inf(1)
	var one ports.Landmarks
	for name, l := range map[string]ports.Landmarks{"one point": one, "NaN": nan, "Inf": inf} {
		_, err := alignment.Fit(l)
		require.ErrorIs(t, err, ports.ErrInvalid, name)
	}
}

// Each landmark is drawn as a soft disc into a synthetic picture; the centre of
// mass of its image in the chip must be the template's point within a tenth of a
// pixel, whatever the size, rotation and place of the face.
func TestChipGeometry(t *testing.T) {
	for _, c := range []struct {
		name           string
		scale, degrees float64
	}{
		{"enlarged", 0.6, 0}, {"as it is", 1, 0}, {"slightly reduced", 1.4, 7}, {"reduced", 2.5, -20},
		{"upside down", 3, 180}, {"by whole factors", 4, 0}, {"large", 9.3, 45},
	} {
		t.Run(c.name, func(t *testing.T) {
			size := int(300*c.scale) + 40
			l := place(c.scale, c.degrees, 0, 0)
			l = shift(l, float64(size)/2-l[ports.Nose].X+0.3, float64(size)/2-l[ports.Nose].Y-0.2)
			tr, err := alignment.Fit(l)
			require.NoError(t, err)
			for i := range l {
				img := ports.NewImage(size, size)
				drawDisc(img, l[i], 5*c.scale)
				got := centreOfMass(warp(img, tr))
				require.InDelta(t, alignment.Template[i].X, got.X, 0.1, "landmark %d", i)
				require.InDelta(t, alignment.Template[i].Y, got.Y, 0.1, "landmark %d", i)
			}
		})
	}
}

// warp samples with a Sampler of its own.
func warp(img *ports.Image, t alignment.Transform) *ports.Chip {
	return new(alignment.Sampler).Warp(img, t)
}

func shift(l ports.Landmarks, dx, dy float64) ports.Landmarks {
	for i := range l {
		l[i].X, l[i].Y = l[i].X+dx, l[i].Y+dy
	}
	return l
}

// drawDisc draws a white disc whose edge falls off smoothly.
func drawDisc(img *ports.Image, centre ports.Point, radius float64) {
	for y := range img.Height {
		for x := range img.Width {
			d := math.Hypot(float64(x)-centre.X, float64(y)-centre.Y)
			v := byte(255 * math.Max(0, math.Min(1, 2-2*d/radius)))
			for c := range 3 {
				img.Pix[y*img.Stride+3*x+c] = v
			}
		}
	}
}

func centreOfMass(chip *ports.Chip) (p ports.Point) {
	var mass float64
	for i := range ports.ChipSize * ports.ChipSize {
		m := float64(chip[3*i])
		mass += m
		p.X += m * float64(i%ports.ChipSize)
		p.Y += m * float64(i/ports.ChipSize)
	}
	return ports.Point{X: p.X / mass, Y: p.Y / mass}
}

// Stripes finer than a chip pixel must become grey, not a coarser pattern.
func TestWarpDoesNotAlias(t *testing.T) {
	for _, scale := range []float64{1.5, 2, 3.3, 6, 11} {
		img := ports.NewImage(1400, 1400)
		for y := range img.Height {
			for x := range img.Width {
				if x%2 == 0 {
					copy(img.Pix[y*img.Stride+3*x:], []byte{255, 255, 255})
				}
			}
		}
		tr, err := alignment.Fit(place(scale, 0, 10, 10))
		require.NoError(t, err)
		chip := warp(img, tr)
		low, high := byte(255), byte(0)
		for _, v := range chip {
			low, high = min(low, v), max(high, v)
		}
		require.Less(t, int(high)-int(low), 135, "contrast left at reduction %v", scale)
		if scale >= 2 {
			require.Less(t, int(high)-int(low), 90, "contrast left at reduction %v", scale)
		}
	}
}

func TestWarpIsBlackOutsideThePicture(t *testing.T) {
	img := ports.NewImage(60, 60)
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	for _, scale := range []float64{0.3, 1, 5, 5000} {
		for _, far := range []float64{1000 * scale, 1e12} {
			tr, err := alignment.Fit(place(scale, 0, far, -far))
			require.NoError(t, err)
			require.Equal(t, ports.Chip{}, *warp(img, tr))
		}
	}
}

func TestWarpHonoursStride(t *testing.T) {
	img := ports.NewImage(120, 120)
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7 % 251)
	}
	padded := &ports.Image{Pix: make([]byte, 120*400), Stride: 400, Width: 120, Height: 120, FullWidth: 120, FullHeight: 120}
	for y := range 120 {
		copy(padded.Pix[y*400:], img.Pix[y*img.Stride:(y+1)*img.Stride])
	}
	for _, scale := range []float64{0.5, 2.5} {
		tr, err := alignment.Fit(place(scale, 12, 4, 4))
		require.NoError(t, err)
		require.Equal(t, warp(img, tr), warp(padded, tr))
	}
}

func BenchmarkWarp(b *testing.B) {
	img := ports.NewImage(1280, 1280)
	for i := range img.Pix {
		img.Pix[i] = byte(i * 31)
	}
	for _, c := range []struct {
		name  string
		scale float64
	}{{"face 110px", 1}, {"face 200px", 1.8}, {"face 500px", 4.5}} {
		tr, err := alignment.Fit(place(c.scale, 5, 100, 100))
		require.NoError(b, err)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var s alignment.Sampler
			for b.Loop() {
				s.Warp(img, tr)
			}
		})
	}
}
