package memstore

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
	"imago/ports"
)

// Module provides the ports.StoreDriver. The application supplies
// config.MemoryStore, ports.Space and *slog.Logger.
var Module = fx.Module("memstore", fx.Provide(
	func(cfg config.MemoryStore, space ports.Space, log *slog.Logger) ports.StoreDriver {
		return New(cfg, space, log)
	},
))
