package telemetry

import (
	"log/slog"

	"go.uber.org/fx"
)

// Version is the version of imago that runs.
type Version string

// Module provides the *Metrics and the *Tracing, which is started and closed with
// the application. The application supplies Version and *slog.Logger, decorates
// the ports with WrapDecoder, WrapDetector, WrapEmbedder and WrapVectorStore, and
// hands Handler, Instrument and Request to whatever serves HTTP.
var Module = fx.Module("telemetry", fx.Provide(
	func(v Version) *Metrics { return New(string(v)) },
	provideTracing,
))

func provideTracing(lc fx.Lifecycle, v Version, log *slog.Logger) *Tracing {
	t := NewTracing(string(v), log)
	lc.Append(fx.StartStopHook(t.Start, t.Close))
	return t
}
