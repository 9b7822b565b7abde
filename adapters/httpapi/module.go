package httpapi

import (
	"crypto/tls"
	"log/slog"
	"net/http"

	"go.uber.org/fx"

	"imago/config"
)

// Telemetry is what observes the API.
type Telemetry struct {
	Metrics       http.Handler
	PublicMetrics http.Handler // without a key
	Instrument    Instrument
	Trace         Trace
	Refused       func(reason string)
	Searched      func(collection string, found bool)
	Codes         ReasonCodes
}

// Console is the page that the API serves, with its parts, by the name below
// /console.
type Console map[string]http.Handler

// Module provides a *Server that is closed with the application. Whoever runs the
// application starts the server when everything else has started, so that no signal
// can break off a start in which requests are served already. The application
// supplies config.Server, config.Search, []config.Collection, Gallery, ReserveFunc, ChargeFunc, Tokens, DetectFunc, Authenticator, Console,
// Checks, Telemetry, Audit, *tls.Config (nil for plain HTTP) and *slog.Logger. When a listener breaks the application is shut down with exit code 1.
var Module = fx.Module("httpapi", fx.Provide(provide))

func provide(
	lc fx.Lifecycle, shutdowner fx.Shutdowner, server config.Server, search config.Search, lists []config.Collection,
	gallery Gallery, reserve ReserveFunc, charge ChargeFunc, tokens Tokens, detect DetectFunc, auth Authenticator, console Console, checks Checks, telemetry Telemetry, audit Audit, secure *tls.Config, log *slog.Logger,
) *Server {
	s := New(Options{
		Server: server, TLS: secure, Search: search, Lists: lists, Gallery: gallery, Reserve: reserve, Charge: charge, Tokens: tokens, Detect: detect, Auth: auth, Checks: checks,
		Console: console, Metrics: telemetry.Metrics, PublicMetrics: telemetry.PublicMetrics, Instrument: telemetry.Instrument, Log: log,
		Trace: telemetry.Trace, Refused: telemetry.Refused, Searched: telemetry.Searched, Codes: telemetry.Codes, Audit: audit,
		Fail: func(error) { _ = shutdowner.Shutdown(fx.ExitCode(1)) },
	})
	lc.Append(fx.StopHook(s.Close))
	return s
}
