package main

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"imago/adapters/evalreport"
	"imago/adapters/imaging"
	"imago/adapters/onnx"
	"imago/config"
	"imago/core/evaluation"
	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// stopwatch adds up, over all pictures, the time of the steps of an extraction.
// It is safe for concurrent use.
type stopwatch struct{ decode, detect, embed, whole, pictures atomic.Int64 }

// since adds the time since start, in nanoseconds.
func since(sum *atomic.Int64, start time.Time) { sum.Add(int64(time.Since(start))) }

// stages returns the mean times of a picture.
func (s *stopwatch) stages() []evalreport.Stage {
	n := max(1, s.pictures.Load())
	mean := func(name string, nanoseconds int64) evalreport.Stage {
		return evalreport.Stage{Name: name, Milliseconds: float64(nanoseconds) / float64(n) / float64(time.Millisecond)}
	}
	decode, detect, embed, whole := s.decode.Load(), s.detect.Load(), s.embed.Load(), s.whole.Load()
	return []evalreport.Stage{
		mean("decode", decode), mean("detect", detect), mean("align", max(0, whole-decode-detect-embed)), mean("embed", embed), mean("all", whole),
	}
}

// openExtractor starts the part of the pipeline that needs no store, under the
// stopwatch.
func openExtractor(ctx context.Context, cfg config.Config, models onnx.Models, watch *stopwatch) (evaluation.Examiner, func() error, error) {
	var x *extraction.Extractor
	app := fx.New(
		fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger }),
		fx.Supply(cfg.Server.Limits, cfg.Inference, cfg.Quality, models, quietLogger(cfg.Log)),
		imaging.Module, onnx.Module,
		fx.Provide(newExtractor),
		fx.Decorate(
			func(next ports.Decoder) ports.Decoder { return timedDecoder{next, watch} },
			func(next ports.Detector) ports.Detector { return timedDetector{next, watch} },
			func(next ports.Embedder) ports.Embedder { return timedEmbedder{next, watch} },
		),
		fx.Populate(&x),
	)
	stop, err := startApp(ctx, app)
	allowOverlap()
	return timedExaminer{x, watch}, stop, err
}

type timedDecoder struct {
	ports.Decoder
	watch *stopwatch
}

func (d timedDecoder) Decode(ctx context.Context, data []byte, longSide int) (*ports.Image, error) {
	defer since(&d.watch.decode, time.Now())
	return d.Decoder.Decode(ctx, data, longSide)
}

type timedDetector struct {
	ports.Detector
	watch *stopwatch
}

func (d timedDetector) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	defer since(&d.watch.detect, time.Now())
	return d.Detector.Detect(ctx, img, longSide)
}

type timedEmbedder struct {
	ports.Embedder
	watch *stopwatch
}

func (e timedEmbedder) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	defer since(&e.watch.embed, time.Now())
	return e.Embedder.Embed(ctx, chips)
}

type timedExaminer struct {
	evaluation.Examiner
	watch *stopwatch
}

func (e timedExaminer) Examine(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, []string, error) {
	defer since(&e.watch.whole, time.Now())
	e.watch.pictures.Add(1)
	return e.Examiner.Examine(ctx, picture, gate)
}
