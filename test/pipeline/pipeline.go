package pipeline

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"imago/adapters/imaging"
	"imago/adapters/onnx"
	"imago/config"
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
}

// New starts a pipeline with the default settings; it is closed with the test.
func New(tb testing.TB) *Pipeline {
	tb.Helper()
	cfg := config.Default()
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
	return &Pipeline{imaging.New(cfg.Server.Limits), detector, embedder, cfg}
}

func model(tb testing.TB, name string) onnx.Model {
	tb.Helper()
	m, err := config.LoadManifest(config.BuiltinModels, name)
	if err != nil {
		tb.Fatal(err)
	}
	return onnx.Model{Manifest: m, FS: os.DirFS(fixture.Models(tb))}
}

// Extractor returns the extractor over the parts as they are now, with a single
// worker.
func (p *Pipeline) Extractor() *extraction.Extractor {
	i := p.Config.Inference
	return extraction.New(p.Decoder, p.Detector, p.Embedder, extraction.Options{
		Workers: 1, Queue: 1, DetectSizes: i.DetectSizes, Refine: i.Refine,
	})
}
