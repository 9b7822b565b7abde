package pipeline

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"imago/adapters/imaging"
	"imago/adapters/onnx"
	"imago/config"
	"imago/core/calibration"
	"imago/core/extraction"
	"imago/ports"
	"imago/test/fixture"
)

// Pipeline holds the parts, started.
type Pipeline struct {
	Decoder  ports.Decoder
	Detector ports.Detector
	Embedder ports.Embedder
	Config   config.Config
	Curve    calibration.Curve // of the embedder
}

// Pairs returns the pairs of models that are there: the default one, and the fast one
// where its files are.
func Pairs(tb testing.TB) []config.Models {
	tb.Helper()
	pairs := []config.Models{config.Default().Models}
	fast := config.Models{Detector: "yunet", Embedder: "mobilefacenet"}
	for _, name := range []string{fast.Detector, fast.Embedder} {
		if _, found := fixture.FastModel(tb, manifest(tb, name).File); !found {
			return pairs
		}
	}
	return append(pairs, fast)
}

// New starts a pipeline with the default settings; it is closed with the test.
func New(tb testing.TB) *Pipeline {
	tb.Helper()
	return With(tb, config.Default().Models)
}

// With is New with a pair of models.
func With(tb testing.TB, pair config.Models) *Pipeline {
	tb.Helper()
	cfg := config.Default()
	cfg.Models.Detector, cfg.Models.Embedder = pair.Detector, pair.Embedder
	cfg.Inference.Library = fixture.ONNXRuntime(tb)
	rt := onnx.NewRuntime(cfg.Inference, slog.New(slog.DiscardHandler))
	detector := onnx.NewDetector(rt, cfg.Inference, model(tb, cfg.Models.Detector))
	embedder := onnx.NewEmbedder(rt, cfg.Inference, model(tb, cfg.Models.Embedder))
	for _, part := range []interface {
		Start(context.Context) error
		Close(context.Context) error
	}{rt, detector, embedder} {
		if err := part.Start(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := part.Close(context.Background()); err != nil {
				tb.Error(err)
			}
		})
	}
	c := manifest(tb, cfg.Models.Embedder).Calibration
	return &Pipeline{imaging.New(cfg.Server.Limits), detector, embedder, cfg, calibration.Curve{Midpoint: c.Midpoint, Steepness: c.Steepness}}
}

func model(tb testing.TB, name string) onnx.Model {
	tb.Helper()
	m, dir := manifest(tb, name), fixture.Models(tb)
	if path, found := fixture.FastModel(tb, m.File); found {
		dir = filepath.Dir(path)
	}
	return onnx.Model{Manifest: m, FS: os.DirFS(dir)}
}

func manifest(tb testing.TB, name string) config.Manifest {
	tb.Helper()
	m, err := config.LoadManifest(config.BuiltinModels, name)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// Extractor returns the extractor over the parts as they are now, with a single
// worker.
func (p *Pipeline) Extractor() *extraction.Extractor {
	i := p.Config.Inference
	return extraction.New(p.Decoder, p.Detector, p.Embedder, extraction.Options{
		Workers: 1, Queue: 1, DetectSizes: i.DetectSizes, Refine: i.Refine,
		SmallestFace: float64(p.Config.Quality.MinFaceWidth),
	})
}
