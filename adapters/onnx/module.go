package onnx

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
	"imago/ports"
)

// Models are the two networks that the module runs.
type Models struct{ Detector, Embedder Model }

// Module provides ports.Detector and ports.Embedder given a config.Inference, Models and
// a *slog.Logger. The runtime starts before the networks and is closed after them.
var Module = fx.Module("onnx",
	fx.Provide(provideRuntime, fx.Private),
	fx.Provide(provideDetector, provideEmbedder),
)

func provideRuntime(lc fx.Lifecycle, cfg config.Inference, log *slog.Logger) *Runtime {
	rt := NewRuntime(cfg, log)
	lc.Append(fx.StartStopHook(rt.Start, rt.Close))
	return rt
}

func provideDetector(lc fx.Lifecycle, rt *Runtime, cfg config.Inference, models Models) ports.Detector {
	d := NewDetector(rt, cfg, models.Detector)
	lc.Append(fx.StartStopHook(d.Start, d.Close))
	return d
}

func provideEmbedder(lc fx.Lifecycle, rt *Runtime, cfg config.Inference, models Models) ports.Embedder {
	e := NewEmbedder(rt, cfg, models.Embedder)
	lc.Append(fx.StartStopHook(e.Start, e.Close))
	return e
}
