package apikey

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
)

// EnvironmentKey is the key with full access; empty for none. IMAGO_API_KEY is
// where it is meant to come from.
type EnvironmentKey string

// Module provides a *Keyring that is started and closed with the application.
// The application supplies config.Auth, EnvironmentKey and *slog.Logger.
var Module = fx.Module("apikey", fx.Provide(provide))

func provide(lc fx.Lifecycle, cfg config.Auth, environment EnvironmentKey, log *slog.Logger) *Keyring {
	k := New(cfg, string(environment), log)
	lc.Append(fx.StartStopHook(k.Start, k.Close))
	return k
}
