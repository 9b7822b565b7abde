package onnx

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/draw"
	_ "image/jpeg"
	_ "image/png"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"

	"imago/config"
	"imago/core/alignment"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/onnxgraph"
)

// pair is one network, as its file has it and rewritten.
type pair[T any] struct{ unmodified, rewritten T }

func detectors(tb testing.TB, m Model) (p pair[*Detector]) {
	tb.Helper()
	fixed := m
	fixed.Manifest.Input.Size = 640 // which its file declares
	unmodified := NewDetector(startRuntime(tb), settings(tb), fixed)
	unmodified.net.unmodified = true
	return pair[*Detector]{startDetector(tb, unmodified), openDetector(tb, fixed)}
}

func embedders(tb testing.TB, m Model) (p pair[*Embedder]) {
	tb.Helper()
	unmodified := NewEmbedder(startRuntime(tb), settings(tb), m)
	unmodified.net.unmodified = true
	require.NoError(tb, unmodified.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, unmodified.Close(context.Background())) })
	return pair[*Embedder]{unmodified, openEmbedder(tb, m)}
}

// portraitImages returns the portraits that are small enough to be looked at whole in
// little time.
func portraitImages(tb testing.TB) map[string]*ports.Image {
	tb.Helper()
	all := map[string]*ports.Image{}
	for _, name := range []string{"obama.jpg", "obama2.jpg", "biden.jpg", "32bit.png"} {
		all[name] = toImage(tb, fixture.ReadPortrait(tb, name))
	}
	return all
}

// labelledImages returns the labelled pictures of that kind.
func labelledImages(tb testing.TB) map[string]*ports.Image {
	tb.Helper()
	folder, all := os.DirFS(fixture.Faces(tb)), map[string]*ports.Image{}
	for _, pattern := range []string{"*.jpg", "cast/*.png", "cast/*.jpg"} {
		names, err := fs.Glob(folder, pattern)
		require.NoError(tb, err)
		for _, name := range names {
			if img := toImage(tb, fixture.Read(tb, name)); img.Width < 2000 {
				all[name] = img
			}
		}
	}
	return all
}

// toImage decodes with the standard library, so that these tests depend on no other
// adapter.
func toImage(tb testing.TB, data []byte) *ports.Image {
	tb.Helper()
	decoded, _, err := image.Decode(bytes.NewReader(data))
	require.NoError(tb, err)
	size := decoded.Bounds().Size()
	rgba := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(rgba, rgba.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
	img := ports.NewImage(size.X, size.Y)
	for from, to := rgba.Pix, img.Pix; len(to) > 0; from, to = from[4:], to[3:] {
		copy(to[:3], from)
	}
	return img
}

// A rewritten network answers what its file does: on pictures of people, whose faces are
// the same to a hundredth of a pixel and whose vectors to a cosine of 0.99999, and on
// noise.
func TestRewrittenNetworksAnswerTheSame(t *testing.T) {
	detectors, embedders := defaultNetworks(t)
	require.GreaterOrEqual(t, requireSameAnswers(t, detectors, embedders, portraitImages(t)), 4)
	t.Run("labelled", func(t *testing.T) {
		require.Greater(t, requireSameAnswers(t, detectors, embedders, labelledImages(t)), 40)
	})
}

func defaultNetworks(tb testing.TB) (pair[*Detector], pair[*Embedder]) {
	tb.Helper()
	models := config.Default().Models
	return detectors(tb, realModel(tb, models.Detector)), embedders(tb, realModel(tb, models.Embedder))
}

// requireSameAnswers compares the faces of pictures and the vectors of the largest of
// them, and returns how many faces there are.
func requireSameAnswers(t *testing.T, detectors pair[*Detector], embedders pair[*Embedder], pictures map[string]*ports.Image) (faces int) {
	t.Helper()
	for name, img := range pictures {
		want, err := detectors.unmodified.Detect(t.Context(), img, 640)
		require.NoError(t, err)
		got, err := detectors.rewritten.Detect(t.Context(), img, 640)
		require.NoError(t, err)
		requireSameFaces(t, name, want, got)
		faces += len(want)
		if len(want) == 0 {
			continue
		}
		largest := slices.MaxFunc(want, func(a, b ports.Face) int { return cmp.Compare(a.Box.Area(), b.Box.Area()) })
		transform, err := alignment.Fit(largest.Landmarks)
		require.NoError(t, err)
		var sampler alignment.Sampler
		requireSameVector(t, name, embedders, sampler.Warp(img, transform))
	}
	return faces
}

func TestRewrittenNetworksAnswerTheSameToNoise(t *testing.T) {
	detectors, embedders := defaultNetworks(t)
	img, rng := noise(640, 640), rand.New(rand.NewPCG(3, 1))
	input := make([]float32, 3*640*640)
	for i := range input {
		input[i] = float32(img.Pix[i])
	}
	shape := ort.NewShape(1, 3, 640, 640)
	want, err := detectors.unmodified.net.run(t.Context(), shape, input)
	require.NoError(t, err)
	got, err := detectors.rewritten.net.run(t.Context(), shape, input)
	require.NoError(t, err)
	for i := range want {
		require.Len(t, got[i].data, len(want[i].data))
		for j, v := range want[i].data {
			require.InDelta(t, v, got[i].data[j], 1e-4, "output %d", i)
		}
	}
	for range 8 {
		chip := new(ports.Chip)
		for i := range chip {
			chip[i] = byte(rng.Uint32())
		}
		requireSameVector(t, "noise", embedders, chip)
	}
}

func requireSameFaces(t *testing.T, name string, want, got []ports.Face) {
	t.Helper()
	require.Len(t, got, len(want), name)
	for i, w := range want {
		require.InDelta(t, w.Score, got[i].Score, 1e-4, name)
		a, b := w.Box, got[i].Box
		for _, d := range []float64{a.X0 - b.X0, a.Y0 - b.Y0, a.X1 - b.X1, a.Y1 - b.Y1} {
			require.LessOrEqual(t, math.Abs(d), 0.01, name)
		}
		for k, p := range w.Landmarks {
			require.LessOrEqual(t, math.Hypot(p.X-got[i].Landmarks[k].X, p.Y-got[i].Landmarks[k].Y), 0.01, name)
		}
	}
}

func requireSameVector(t *testing.T, name string, embedders pair[*Embedder], chip *ports.Chip) {
	t.Helper()
	want, err := embedders.unmodified.Embed(t.Context(), []*ports.Chip{chip})
	require.NoError(t, err)
	got, err := embedders.rewritten.Embed(t.Context(), []*ports.Chip{chip})
	require.NoError(t, err)
	var cosine float64
	for i, v := range want[0] {
		cosine += float64(v) * float64(got[0][i])
	}
	require.GreaterOrEqual(t, cosine, 0.99999, name)
}

// A network with open sides sees in a picture of any size what a network sees that is
// shown the same pixels: there is nothing left of the size that its file declares.
func TestFreedSidesFindTheSameFace(t *testing.T) {
	d := openDetector(t, realModel(t, config.Default().Models.Detector))
	img := toImage(t, fixture.ReadPortrait(t, "obama2.jpg"))
	var widths []float64
	for _, side := range []int{128, 160, 320, 640} {
		faces, err := d.Detect(t.Context(), img, side)
		require.NoError(t, err)
		require.Len(t, faces, 1, "at %d", side)
		widths = append(widths, faces[0].Box.Width())
	}
	for _, w := range widths {
		require.InEpsilon(t, widths[len(widths)-1], w, 0.1)
	}
}

// bytesOf returns the file of a model.
func bytesOf(tb testing.TB, m Model) []byte {
	tb.Helper()
	data, err := m.read()
	require.NoError(tb, err)
	return data
}

// A network that is not understood is loaded as it is.
func TestNetworkThatIsNotUnderstood(t *testing.T) {
	e := NewEmbedder(startRuntime(t), settings(t), generated(onnxgraph.Embedder(0, onnxgraph.Endless)))
	require.Nil(t, e.net.rewrite(bytesOf(t, e.net.model)), "it holds a network of its own")
	require.NoError(t, e.Start(t.Context()))
	_, err := e.Embed(t.Context(), chips(2))
	require.NoError(t, err)
	require.NoError(t, e.Close(t.Context()))
}
