package certificate

import (
	"crypto/tls"
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
)

// Module provides a *Keeper that watches its files while the application runs,
// and its *tls.Config, which is nil where no certificate is configured. The
// application supplies config.TLS and *slog.Logger.
var Module = fx.Module("certificate", fx.Provide(provide))

func provide(lc fx.Lifecycle, cfg config.TLS, log *slog.Logger) (*Keeper, *tls.Config) {
	k := New(cfg, log)
	lc.Append(fx.StartStopHook(k.Start, k.Close))
	return k, k.TLS()
}
