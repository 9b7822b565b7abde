package httpapi

import (
	"crypto/tls"
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
)

// Module provides a *Server that is closed with the application. The code that runs the
// application starts the server when everything else has started, so that no signal
// interrupts a start in which requests are served already. The application supplies
// the fields of parameters. When a listener breaks the application is shut down with exit
// code 1.
var Module = fx.Module("httpapi", fx.Provide(provide))

type parameters struct {
	fx.In

	Lifecycle  fx.Lifecycle
	Shutdowner fx.Shutdowner
	Server     config.Server
	Search     config.Search
	Lists      []config.Collection
	TLS        *tls.Config // nil for plain HTTP
	Gallery    Gallery
	Detect     DetectFunc
	Reserve    ReserveFunc
	Tokens     Tokens
	Keys       Keys
	Checks     Checks
	Console    Console
	Telemetry  Telemetry
	Audit      Audit
	Log        *slog.Logger
}

func provide(p parameters) *Server {
	s := New(Options{
		Server: p.Server, Search: p.Search, Lists: p.Lists, TLS: p.TLS, Gallery: p.Gallery, Detect: p.Detect,
		Reserve: p.Reserve, Tokens: p.Tokens, Keys: p.Keys, Checks: p.Checks, Console: p.Console,
		Telemetry: p.Telemetry, Audit: p.Audit, Log: p.Log,
		Fail: func(error) { _ = p.Shutdowner.Shutdown(fx.ExitCode(1)) },
	})
	p.Lifecycle.Append(fx.StopHook(s.Close))
	return s
}
