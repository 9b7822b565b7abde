package certificate

import (
	"crypto/tls"
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
)

// Module provides a *Watcher that watches its files while the application runs,
// and its *tls.Config, which is nil where no certificate is configured. The
// application supplies config.TLS and *slog.Logger.
var Module = fx.Module("certificate", fx.Provide(provide))

func provide(lc fx.Lifecycle, cfg config.TLS, log *slog.Logger) (*Watcher, *tls.Config) {
	w := New(cfg, log)
	lc.Append(fx.StartStopHook(w.Start, w.Close))
	return w, w.TLS()
}
