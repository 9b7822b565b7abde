package audit

import (
	"go.uber.org/fx"

	"imago/config"
)

// Module provides a *Log that is open while the application runs. The
// application supplies config.Audit.
var Module = fx.Module("audit", fx.Provide(provide))

func provide(lc fx.Lifecycle, cfg config.Audit) *Log {
	l := New(cfg)
	lc.Append(fx.StartStopHook(l.Start, l.Close))
	return l
}
