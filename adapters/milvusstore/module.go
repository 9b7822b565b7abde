package milvusstore

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
	"imago/ports"
)

// Module provides the ports.StoreDriver. The application supplies
// config.MilvusStore, ports.Space and *slog.Logger.
var Module = fx.Module("milvusstore", fx.Provide(
	func(cfg config.MilvusStore, space ports.Space, log *slog.Logger) ports.StoreDriver {
		return New(cfg, space, log)
	},
))
