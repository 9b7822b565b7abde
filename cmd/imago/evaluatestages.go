package main

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/fx"

	"imago/adapters/evalreport"
	"imago/adapters/onnx"
	"imago/config"
	"imago/core/evaluation"
	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// stageTimer adds up, over all pictures, the time of the steps of an extraction.
// It is safe for concurrent use.
type stageTimer struct{ decode, detect, embed, whole, pictures atomic.Int64 }

// since adds the time since start, in nanoseconds.
func since(sum *atomic.Int64, start time.Time) { sum.Add(int64(time.Since(start))) }

// stages returns the mean times of a picture.
func (s *stageTimer) stages() []evalreport.Stage {
	n := max(1, s.pictures.Load())
	mean := func(name string, nanoseconds int64) evalreport.Stage {
		return evalreport.Stage{Name: name, Milliseconds: float64(nanoseconds) / float64(n) / float64(time.Millisecond)}
	}
	decode, detect, embed, whole := s.decode.Load(), s.detect.Load(), s.embed.Load(), s.whole.Load()
	return []evalreport.Stage{
		mean("decode", decode), mean("detect", detect), mean("align", max(0, whole-decode-detect-embed)), mean("embed", embed), mean("all", whole),
	}
}

// startExtractor starts the pipeline without a store, and measures its stages.
func startExtractor(ctx context.Context, cfg config.Config, models onnx.Models, timer *stageTimer) (evaluation.Examiner, *fx.App, error) {
	var x *extraction.Extractor
	app, err := start(ctx, fx.Options(
		extractor(cfg, models, quietLogger(cfg.Log)),
		fx.Decorate(
			func(next ports.Decoder) ports.Decoder { return timed{Decoder: next, timer: timer} },
			func(next ports.Detector) ports.Detector { return timed{Detector: next, timer: timer} },
			func(next ports.Embedder) ports.Embedder { return timed{Embedder: next, timer: timer} },
		),
		fx.Populate(&x),
	))
	raiseGOMAXPROCS()
	return timed{Examiner: x, timer: timer}, app, err
}

// timed measures one of these parts; the others are nil.
type timed struct {
	ports.Decoder
	ports.Detector
	ports.Embedder
	evaluation.Examiner
	timer *stageTimer
}

func (t timed) Decode(ctx context.Context, data []byte, longSide int) (*ports.Image, error) {
	defer since(&t.timer.decode, time.Now())
	return t.Decoder.Decode(ctx, data, longSide)
}

func (t timed) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	defer since(&t.timer.detect, time.Now())
	return t.Detector.Detect(ctx, img, longSide)
}

func (t timed) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	defer since(&t.timer.embed, time.Now())
	return t.Embedder.Embed(ctx, chips)
}

func (t timed) Examine(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, []string, error) {
	defer since(&t.timer.whole, time.Now())
	t.timer.pictures.Add(1)
	return t.Examiner.Examine(ctx, picture, gate)
}
