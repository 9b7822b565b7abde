package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// A degradation makes a copy of a picture whose face has a width in pixels.
type degradation struct {
	name string
	copy func(img *ports.Image, width float64) *ports.Image
}

// degradations are the copies that the quality gate is measured with. Blur and movement
// are parts of the width of the face: 4 % are 5 pixels in a still of 150.
func degradations(tb testing.TB, p *pipeline.Pipeline) (all []degradation) {
	add := func(copy func(*ports.Image, float64) *ports.Image, format string, values ...any) {
		all = append(all, degradation{fmt.Sprintf(format, values...), copy})
	}
	add(func(img *ports.Image, _ float64) *ports.Image { return img }, "as it is")
	for _, part := range []float64{0.02, 0.03, 0.04, 0.05, 0.06} {
		add(blurredBy(part), "blurred by %g %%", 100*part)
	}
	for _, noise := range []float64{5, 10} {
		add(func(img *ports.Image, w float64) *ports.Image { return noisy(blurredBy(0.04)(img, w), noise) }, "blurred by 4 %%, noise %g", noise)
	}
	for _, part := range []float64{0.06, 0.1, 0.15} {
		add(func(img *ports.Image, w float64) *ports.Image { return convolved(img, box(part*w), []float64{1}) }, "moved across by %g %%", 100*part)
		add(func(img *ports.Image, w float64) *ports.Image { return convolved(img, []float64{1}, box(part*w)) }, "moved down by %g %%", 100*part)
	}
	for _, pixels := range []float64{48, 36, 30, 24} {
		add(func(img *ports.Image, w float64) *ports.Image { return resized(img, pixels/w) }, "%g pixels wide", pixels)
	}
	for _, pixels := range []float64{30, 20, 15} {
		add(func(img *ports.Image, w float64) *ports.Image { return resized(resized(img, pixels/w), w/pixels) }, "enlarged from %g pixels", pixels)
	}
	for _, quality := range []int{30, 10, 5} {
		add(func(img *ports.Image, _ float64) *ports.Image { return compressed(tb, p, img, quality) }, "JPEG quality %d", quality)
	}
	for _, noise := range []float64{10, 20, 40} {
		add(func(img *ports.Image, _ float64) *ports.Image { return noisy(img, noise) }, "noise %g", noise)
	}
	for _, factor := range []float64{0.3, 0.15, 0.1, 0.07, 1.5, 2, 3} {
		add(func(img *ports.Image, _ float64) *ports.Image { return light(img, factor, 0) }, "brightness times %g", factor)
	}
	for _, part := range []float64{0.3, 0.2, 0.15} {
		add(func(img *ports.Image, _ float64) *ports.Image { return light(img, part, 128*(1-part)) }, "grey, contrast times %g", part)
		add(func(img *ports.Image, _ float64) *ports.Image { return light(img, part, 255*(1-part)) }, "washed out, contrast times %g", part)
	}
	for _, part := range []float64{0.75, 0.56} {
		add(func(img *ports.Image, _ float64) *ports.Image { return squashed(img, 1, part) }, "height times %g", part)
		add(func(img *ports.Image, _ float64) *ports.Image { return squashed(img, part, 1) }, "width times %g", part)
	}
	return all
}

// blurredBy returns the Gaussian blur with a standard deviation that is a part of the
// face's width.
func blurredBy(part float64) func(*ports.Image, float64) *ports.Image {
	return func(img *ports.Image, width float64) *ports.Image { return gaussian(img, part*width) }
}

func gaussian(img *ports.Image, sigma float64) *ports.Image {
	kernel := make([]float64, 2*int(math.Ceil(3*sigma))+1)
	var sum float64
	for i := range kernel {
		d := float64(i-len(kernel)/2) / sigma
		kernel[i] = math.Exp(-d * d / 2)
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	return convolved(img, kernel, kernel)
}

// box is the kernel of a movement by a length in pixels.
func box(length float64) []float64 {
	kernel := make([]float64, 2*int(math.Ceil(max(0, length-1)/2))+1)
	for i := range kernel {
		kernel[i] = 1 / length
	}
	ends := (1 - float64(len(kernel)-2)/length) / 2
	if len(kernel) > 1 {
		kernel[0], kernel[len(kernel)-1] = ends, ends
	} else {
		kernel[0] = 1
	}
	return kernel
}

// convolved filters the rows of a picture with one kernel and its columns with another.
func convolved(img *ports.Image, across, down []float64) *ports.Image {
	pass := func(in *ports.Image, kernel []float64, dx, dy int) *ports.Image {
		out := ports.NewImage(in.Width, in.Height)
		for y := range in.Height {
			for x := range in.Width {
				var sum [3]float64
				for i, weight := range kernel {
					k := i - len(kernel)/2
					at := min(max(y+dy*k, 0), in.Height-1)*in.Stride + 3*min(max(x+dx*k, 0), in.Width-1)
					for c := range sum {
						sum[c] += weight * float64(in.Pix[at+c])
					}
				}
				for c := range sum {
					out.Pix[y*out.Stride+3*x+c] = byte(sum[c] + 0.5)
				}
			}
		}
		return out
	}
	return pass(pass(img, across, 1, 0), down, 0, 1)
}

// resized scales a picture without aliasing.
func resized(img *ports.Image, scale float64) *ports.Image {
	if scale < 1 {
		img = gaussian(img, 0.45/scale)
	}
	return squashed(img, scale, scale)
}

// noisy adds white noise, the same in every run.
func noisy(img *ports.Image, sigma float64) *ports.Image {
	rng := rand.New(rand.NewPCG(18, 4))
	out := ports.NewImage(img.Width, img.Height)
	for y := range img.Height {
		for x := range 3 * img.Width {
			v := float64(img.Pix[y*img.Stride+x]) + sigma*rng.NormFloat64()
			out.Pix[y*out.Stride+x] = byte(max(0, min(255, v+0.5)))
		}
	}
	return out
}

func compressed(tb testing.TB, p *pipeline.Pipeline, img *ports.Image, quality int) *ports.Image {
	tb.Helper()
	out, err := p.Decoder.Decode(tb.Context(), fixture.JPEG(tb, fixture.RGBA(img.Pix, img.Stride, img.Width, img.Height), quality), 0)
	require.NoError(tb, err)
	return out
}
