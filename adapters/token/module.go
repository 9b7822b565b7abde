package token

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
)

// Module provides an *Opener that is started and closed with the application.
// The application supplies config.Token, config.Limits and *slog.Logger.
var Module = fx.Module("token", fx.Provide(provide))

func provide(lc fx.Lifecycle, cfg config.Token, limits config.Limits, log *slog.Logger) *Opener {
	o := New(cfg, limits.ImageBytes, log)
	lc.Append(fx.StartStopHook(o.Start, o.Close))
	return o
}
