package milvusstore

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/config"
	"imago/ports"
)

// Module provides the ports.VectorStore, which is a ports.HealthChecker too,
// opened and closed with the application. The application supplies
// config.MilvusStore, ports.Space and *slog.Logger.
var Module = fx.Module("milvusstore", fx.Provide(provide))

func provide(lc fx.Lifecycle, cfg config.MilvusStore, space ports.Space, log *slog.Logger) ports.VectorStore {
	s := New(cfg, space, log)
	lc.Append(fx.StartStopHook(s.Start, s.Close))
	return s
}
