package httpapi

import (
	"log/slog"
	"net/http"

	"go.uber.org/fx"

	"imago/config"
)

// Telemetry is what observes the API.
type Telemetry struct {
	Metrics    http.Handler
	Instrument Instrument
}

// Module provides a *Server that listens while the application runs. The
// application supplies config.Server, config.Search, []config.Collection, Gallery, Authenticator,
// Checks, Telemetry and *slog.Logger, and asks for the *Server to have it
// started. When a listener breaks the application is shut down with exit code 1.
var Module = fx.Module("httpapi", fx.Provide(provide))

func provide(
	lc fx.Lifecycle, shutdowner fx.Shutdowner, server config.Server, search config.Search, lists []config.Collection,
	gallery Gallery, auth Authenticator, checks Checks, telemetry Telemetry, log *slog.Logger,
) *Server {
	var names []string
	for _, c := range lists {
		names = append(names, c.Name)
	}
	s := New(Options{
		Server: server, Search: search, Lists: names, Gallery: gallery, Auth: auth, Checks: checks,
		Metrics: telemetry.Metrics, Instrument: telemetry.Instrument, Log: log,
		Fail: func(error) { _ = shutdowner.Shutdown(fx.ExitCode(1)) },
	})
	lc.Append(fx.StartStopHook(s.Start, s.Close))
	return s
}
