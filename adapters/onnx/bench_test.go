package onnx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// noise returns a picture that no shortcut can profit from.
func noise(width, height int) *ports.Image {
	rng := rand.New(rand.NewPCG(7, 7))
	img := ports.NewImage(width, height)
	for i := range img.Pix {
		img.Pix[i] = byte(rng.Uint32())
	}
	return img
}

// feed fills an input with noise: on zeros operations that branch are faster than on
// pictures.
func feed(input []float32) []float32 {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range input {
		input[i] = 255 * rng.Float32()
	}
	return input
}

// BenchmarkDetect measures a whole call on a 4:3 picture twice as large as what
// the network sees: the worst that decoding at a JPEG scale leaves over.
func BenchmarkDetect(b *testing.B) {
	for _, name := range realModels(b, config.KindDetector) {
		d := openDetector(b, realModel(b, name))
		for _, longSide := range []int{160, 320, 640, 1280} {
			img := noise(2*longSide, 2*longSide*3/4)
			b.Run(fmt.Sprintf("%s/%d", name, longSide), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, err := d.Detect(b.Context(), img, longSide)
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkDetectRun measures what ONNX Runtime takes for square inputs.
func BenchmarkDetectRun(b *testing.B) {
	for _, name := range realModels(b, config.KindDetector) {
		d := openDetector(b, realModel(b, name))
		for _, side := range []int{128, 160, 320, 640} {
			input := feed(make([]float32, 3*side*side))
			b.Run(fmt.Sprintf("%s/%d", name, side), func(b *testing.B) {
				for b.Loop() {
					_, err := d.net.run(b.Context(), ort.NewShape(1, 3, int64(side), int64(side)), input)
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkLetterbox measures the part of BenchmarkDetect that makes network
// input, for several reductions to 640 pixels.
func BenchmarkLetterbox(b *testing.B) {
	in := shipped(b, config.Default().Models.Detector).Input
	for _, longSide := range []int{640, 960, 1280, 2560, 5120} {
		img := noise(longSide, longSide*3/4)
		b.Run(fmt.Sprintf("%d to 640", longSide), func(b *testing.B) {
			var r resampler
			box := place(in, img, 640)
			dst := make([]float32, 3*box.gridWidth*box.gridHeight)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, r.fill(context.Background(), dst, img, box, newFeeder(in)))
			}
		})
	}
}

// BenchmarkEmbed measures a whole call; the embedders take one chip a run.
func BenchmarkEmbed(b *testing.B) {
	for _, name := range realModels(b, config.KindEmbedder) {
		e := openEmbedder(b, realModel(b, name))
		for _, n := range []int{1, 4} {
			batch := chips(n)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, err := e.Embed(b.Context(), batch)
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkEmbedRun measures the part of one chip that ONNX Runtime takes, with each
// network rewritten and as its file has it.
func BenchmarkEmbedRun(b *testing.B) {
	for _, name := range realModels(b, config.KindEmbedder) {
		for _, unmodified := range []bool{false, true} {
			e := NewEmbedder(startRuntime(b), settings(b), realModel(b, name))
			e.net.unmodified = unmodified
			require.NoError(b, e.Start(b.Context()))
			b.Cleanup(func() { require.NoError(b, e.Close(context.Background())) })
			input := feed(make([]float32, chipFloats))
			b.Run(fmt.Sprintf("%s/%s", name, map[bool]string{false: "rewritten", true: "as it is"}[unmodified]), func(b *testing.B) {
				for b.Loop() {
					_, err := e.net.run(b.Context(), ort.NewShape(1, 3, ports.ChipSize, ports.ChipSize), input)
					require.NoError(b, err)
				}
			})
		}
	}
}
