package bench

import (
	"context"
	"imago/adapters/onnx/rewrite"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/bench/bare"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// yardstick is what the libraries alone need for one picture: everything that
// imago asks of them, with all memory and tensors ready.
type yardstick struct {
	decodes []*bare.Picture
	finding []*bare.Run // the detections that look for faces
	looking []*bare.Run // those that measure the landmarks again
	embed   *bare.Run
}

// spent is how long the parts of a yardstick took.
type spent struct{ decode, find, look, embed time.Duration }

func (s spent) all() time.Duration { return s.decode + s.find + s.look + s.embed }

// once is all without the detections that measure landmarks again.
func (s spent) once() time.Duration { return s.decode + s.find + s.embed }

// measure does it once.
func (y *yardstick) measure() (s spent, err error) {
	start := time.Now()
	lap := func(sum *time.Duration) {
		now := time.Now()
		*sum, start = now.Sub(start), now
	}
	for _, p := range y.decodes {
		if err := p.Decode(); err != nil {
			return s, err
		}
	}
	lap(&s.decode)
	for _, part := range []struct {
		runs []*bare.Run
		sum  *time.Duration
	}{{y.finding, &s.find}, {y.looking, &s.look}, {[]*bare.Run{y.embed}, &s.embed}} {
		for _, r := range part.runs {
			if err := r.Do(); err != nil {
				return s, err
			}
		}
		lap(part.sum)
	}
	return s, nil
}

// watched notes what an extraction asks of its ports.
type watched struct {
	ports.Decoder
	ports.Detector
	decoded []*ports.Image
	inputs  [][2]int // height and width of each detection
	finding int      // how many of them looked at a decoded picture
}

func (w *watched) Decode(ctx context.Context, data []byte, longSide int) (*ports.Image, error) {
	img, err := w.Decoder.Decode(ctx, data, longSide)
	w.decoded = append(w.decoded, img)
	return img, err
}

func (w *watched) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	w.inputs = append(w.inputs, inputSides(img, longSide))
	if slices.Contains(w.decoded, img) {
		w.finding++
	}
	return w.Detector.Detect(ctx, img, longSide)
}

// inputSides is the input that a detector over any size makes of a picture: no
// larger than asked for, padded to whole cells of 32 pixels.
func inputSides(img *ports.Image, longSide int) [2]int {
	scale := min(1, float64(longSide)/float64(max(img.Width, img.Height)))
	side := func(n int) int { return (int(float64(n)*scale+0.5) + 31) / 32 * 32 }
	return [2]int{side(img.Height), side(img.Width)}
}

// networks are the bare networks and the runs that are ready, by input.
type networks struct {
	detector, embedder *bare.Network
	runs               map[[2]int]*bare.Run
	embed              *bare.Run
}

func openNetworks(tb testing.TB, p *pipeline.Pipeline) *networks {
	tb.Helper()
	open := func(model string) *bare.Network {
		m, err := config.LoadManifest(config.BuiltinModels, model)
		require.NoError(tb, err)
		n, err := bare.Open(rewritten(tb, filepath.Join(fixture.Models(tb), m.File)), 1)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, n.Close()) })
		return n
	}
	return &networks{detector: open(p.Config.Models.Detector), embedder: open(p.Config.Models.Embedder)}
}

// rewritten returns the path of a network as imago runs it.
func rewritten(tb testing.TB, path string) string {
	tb.Helper()
	file, err := os.ReadFile(path)
	require.NoError(tb, err)
	n, err := rewrite.Network(file)
	require.NoError(tb, err)
	path = filepath.Join(tb.TempDir(), filepath.Base(path))
	require.NoError(tb, os.WriteFile(path, n.Bytes(), 0o600))
	return path
}

// fresh returns the networks with tensors of its own, for one goroutine.
func (n *networks) fresh(tb testing.TB) *networks {
	tb.Helper()
	own := &networks{detector: n.detector, embedder: n.embedder, runs: map[[2]int]*bare.Run{}}
	own.embed = own.prepare(tb, n.embedder, [2]int{ports.ChipSize, ports.ChipSize})
	return own
}

func (n *networks) prepare(tb testing.TB, net *bare.Network, sides [2]int) *bare.Run {
	tb.Helper()
	r, err := net.Prepare(1, sides[0], sides[1])
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, r.Close()) })
	return r
}

// detection returns the run of the detector over an input of these sides.
func (n *networks) detection(tb testing.TB, sides [2]int) *bare.Run {
	tb.Helper()
	if n.runs[sides] == nil {
		n.runs[sides] = n.prepare(tb, n.detector, sides)
	}
	return n.runs[sides]
}

// yardstickOf has imago extract the template of a picture once and prepares what
// it asked of the libraries.
func (n *networks) yardstickOf(tb testing.TB, p *pipeline.Pipeline, picture []byte) *yardstick {
	tb.Helper()
	w := &watched{Decoder: p.Decoder, Detector: p.Detector}
	watchedPipeline := *p
	watchedPipeline.Decoder, watchedPipeline.Detector = w, w
	_, err := watchedPipeline.Extractor().Probe(tb.Context(), picture)
	require.NoError(tb, err)
	y := &yardstick{embed: n.embed}
	for _, img := range w.decoded {
		bareDecode := bare.NewPicture(picture, 8/int(img.Reduction()), img.Width, img.Height)
		require.NoError(tb, bareDecode.Decode())
		y.decodes = append(y.decodes, bareDecode)
	}
	for i, sides := range w.inputs {
		if i < w.finding {
			y.finding = append(y.finding, n.detection(tb, sides))
		} else {
			y.looking = append(y.looking, n.detection(tb, sides))
		}
	}
	return y
}
