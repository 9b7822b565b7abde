package telemetry

import "go.uber.org/fx"

// Version is the version of imago that runs.
type Version string

// Module provides the *Metrics. The application supplies Version, decorates the
// ports with WrapDecoder, WrapDetector, WrapEmbedder and WrapVectorStore, and
// hands Handler and Instrument to whatever serves HTTP.
var Module = fx.Module("telemetry", fx.Provide(func(v Version) *Metrics { return New(string(v)) }))
