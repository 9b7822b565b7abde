package onnx

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// plain feeds pixel values as they are, in red, green, blue order.
func plain(stride int) config.ModelInput {
	return config.ModelInput{Colour: "RGB", Scale: 1, Std: [3]float64{1, 1, 1}, Stride: stride}
}

// fed returns what the network would see of a picture.
func fed(t *testing.T, in config.ModelInput, img *ports.Image, longSide int) ([]float32, letterbox) {
	t.Helper()
	box := place(in, img, longSide)
	dst := make([]float32, 3*box.gridWidth*box.gridHeight)
	fillValue(dst, -12345) // what an earlier picture left over
	var r resampler
	require.NoError(t, r.fill(t.Context(), dst, img, box, newFeeder(in)))
	return dst, box
}

// areaMean is the definition: the mean of channel c over the area of the
// picture that output pixel (x, y) covers.
func areaMean(img *ports.Image, box letterbox, x, y, c int) float64 {
	kx, ky := float64(img.Width)/float64(box.width), float64(img.Height)/float64(box.height)
	x0, x1, y0, y1 := float64(x)*kx, float64(x+1)*kx, float64(y)*ky, float64(y+1)*ky
	var sum, area float64
	for j := int(y0); j < img.Height && float64(j) < y1; j++ {
		for i := int(x0); i < img.Width && float64(i) < x1; i++ {
			a := (min(x1, float64(i+1)) - max(x0, float64(i))) * (min(y1, float64(j+1)) - max(y0, float64(j)))
			sum += a * float64(img.Pix[j*img.Stride+3*i+c])
			area += a
		}
	}
	return sum / area
}

func TestFillIsTheMeanOfTheArea(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	inputs := map[string]config.ModelInput{
		"plain":      plain(32),
		"bgr":        {Colour: "BGR", Scale: 1, Std: [3]float64{1, 1, 1}, Stride: 64},
		"normalised": {Colour: "RGB", Scale: 1.0 / 255, Mean: [3]float64{0.1, 0.2, 0.3}, Std: [3]float64{0.5, 0.25, 2}, Stride: 32},
		"fixed":      {Colour: "BGR", Scale: 0.5, Mean: [3]float64{3, 2, 1}, Std: [3]float64{2, 3, 4}, Size: 96},
	}
	for name, in := range inputs {
		t.Run(name, func(t *testing.T) {
			for range 12 {
				img := noise(1+rng.IntN(150), 1+rng.IntN(150))
				data, box := fed(t, in, img, 1+rng.IntN(160))
				requireFed(t, in, img, data, box)
			}
		})
	}
}

func requireFed(t *testing.T, in config.ModelInput, img *ports.Image, data []float32, box letterbox) {
	t.Helper()
	for p := range 3 { // plane, in Colour order
		c := p
		if in.Colour == "BGR" {
			c = 2 - p
		}
		for y := range box.gridHeight {
			for x := range box.gridWidth {
				var v float64
				if x < box.width && y < box.height {
					v = areaMean(img, box, x, y, c)
				}
				want := (v*in.Scale - in.Mean[p]) / in.Std[p]
				got := float64(data[(p*box.gridHeight+y)*box.gridWidth+x])
				require.InDelta(t, want, got, 1e-4*(1+math.Abs(want)), "%+v: plane %d at %d, %d", box, p, x, y)
			}
		}
	}
}

func TestFillKeepsUnscaledPixelsExact(t *testing.T) {
	img := noise(61, 47)
	data, box := fed(t, plain(32), img, 0)
	require.Equal(t, letterbox{61, 47, 61, 47, 64, 64}, box)
	for y := range img.Height {
		for x := range img.Width {
			for c := range 3 {
				require.Equal(t, float32(img.Pix[y*img.Stride+3*x+c]), data[(c*64+y)*64+x])
			}
		}
	}
}

// A bright square's centre of gravity must come back to where it was whatever
// the reduction: that is what landmarks are worth.
func TestFillKeepsPositions(t *testing.T) {
	img := ports.NewImage(1000, 700)
	for y := 300; y < 340; y++ {
		for x := 555; x < 605; x++ {
			img.Pix[y*img.Stride+3*x] = 200
		}
	}
	want := ports.Point{X: 579.5, Y: 319.5}
	for _, longSide := range []int{1000, 999, 777, 640, 333, 250, 160, 64} {
		data, box := fed(t, plain(32), img, longSide)
		var sum, sx, sy float64
		for y := range box.gridHeight {
			for x := range box.gridWidth {
				v := float64(data[y*box.gridWidth+x])
				// The centre of a pixel is half a pixel from its corner.
				sum, sx, sy = sum+v, sx+v*(float64(x)+0.5), sy+v*(float64(y)+0.5)
			}
		}
		got := box.point(sx/sum, sy/sum)
		limit := 0.02 * float64(img.Width) / float64(box.width)
		require.InDelta(t, want.X, got.X, limit, "longer side %d", longSide)
		require.InDelta(t, want.Y, got.Y, limit, "longer side %d", longSide)
	}
}

// A pattern too fine for the reduced picture must turn grey, not into stripes.
func TestFillDoesNotAlias(t *testing.T) {
	img := ports.NewImage(960, 960)
	for y := range img.Height {
		for x := range img.Width {
			if (x+y)%2 == 0 {
				copy(img.Pix[y*img.Stride+3*x:], []byte{255, 255, 255})
			}
		}
	}
	for _, longSide := range []int{100, 96, 240, 300} {
		data, box := fed(t, plain(1), img, longSide)
		for _, v := range data[:box.gridWidth*box.gridHeight] {
			require.InDelta(t, 127.5, v, 15)
		}
	}
}

func TestFillStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	img := noise(64, 64)
	box := place(plain(32), img, 0)
	var r resampler
	require.ErrorIs(t, r.fill(ctx, make([]float32, 3*64*64), img, box, newFeeder(plain(32))), context.Canceled)
}

func TestPlace(t *testing.T) {
	fixed := plain(0)
	fixed.Size = 640
	for _, c := range []struct {
		name          string
		in            config.ModelInput
		width, height int
		longSide      int
		want          letterbox
	}{
		{"as it is", plain(32), 100, 50, 0, letterbox{100, 50, 100, 50, 128, 64}},
		{"never larger", plain(32), 100, 50, 640, letterbox{100, 50, 100, 50, 128, 64}},
		{"landscape", plain(32), 1000, 500, 320, letterbox{1000, 500, 320, 160, 320, 160}},
		{"portrait", plain(32), 500, 1000, 320, letterbox{500, 1000, 160, 320, 160, 320}},
		{"rounded", plain(32), 1000, 333, 640, letterbox{1000, 333, 640, 213, 640, 224}},
		{"thread", plain(32), 3000, 1, 320, letterbox{3000, 1, 320, 1, 320, 32}},
		{"other stride", plain(64), 100, 50, 0, letterbox{100, 50, 100, 50, 128, 64}},
		{"never more than 4096", plain(32), 8192, 4096, 0, letterbox{8192, 4096, 4096, 2048, 4096, 2048}},
		{"never more than asked for", plain(32), 8192, 4096, 100000, letterbox{8192, 4096, 4096, 2048, 4096, 2048}},
		{"negative", plain(32), 100, 50, -1, letterbox{100, 50, 100, 50, 128, 64}},
		{"fixed", fixed, 1280, 960, 320, letterbox{1280, 960, 640, 480, 640, 640}},
		{"fixed and small", fixed, 300, 200, 320, letterbox{300, 200, 300, 200, 640, 640}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := &ports.Image{Width: c.width, Height: c.height}
			require.Equal(t, c.want, place(c.in, img, c.longSide))
		})
	}
}

func TestPointMapsCornersToCorners(t *testing.T) {
	box := letterbox{srcWidth: 1000, srcHeight: 500, width: 250, height: 100, gridWidth: 256, gridHeight: 128}
	require.Equal(t, ports.Point{X: -0.5, Y: -0.5}, box.point(0, 0))
	require.Equal(t, ports.Point{X: 999.5, Y: 499.5}, box.point(250, 100))
	// The centre of the network's first pixel covers four by five pixels.
	require.Equal(t, ports.Point{X: 1.5, Y: 2}, box.point(0.5, 0.5))
}

func TestCoverageWeightsSumToOne(t *testing.T) {
	var c coverage
	for _, size := range [][2]int{{1, 1}, {7, 7}, {7, 1}, {1000, 999}, {640, 639}, {8000, 3}, {4097, 640}} {
		c.reset(size[0], size[1])
		require.Len(t, c.first, size[1])
		end := 0
		for i := range size[1] {
			var sum float64
			for _, w := range c.weights(i) {
				require.Positive(t, w)
				sum += float64(w)
			}
			require.InDelta(t, 1, sum, 1e-4)
			end = int(c.first[i]) + len(c.weights(i))
		}
		require.Equal(t, size[0], end, "the last output reaches the last pixel")
	}
}
