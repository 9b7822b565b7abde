package pgstore

import (
	"log/slog"

	"go.uber.org/fx"

	"imago/adapters/replica"
	"imago/config"
	"imago/ports"
)

// Module provides the ports.StoreDriver, which searches in memory or in the database as
// configured. The application supplies config.PGVectorStore, ports.Space and *slog.Logger.
var Module = fx.Module("pgstore", fx.Provide(
	func(cfg config.PGVectorStore, space ports.Space, log *slog.Logger) ports.StoreDriver {
		return Searched(New(cfg, space, log))
	},
))

// Searched returns a driver that answers searches where its configuration says.
func Searched(d *Driver) ports.StoreDriver {
	if d.cfg.Search == config.SearchDatabase {
		return d
	}
	return replica.New(d, replica.Options{
		Dimension: d.space.Dimension, Threads: d.cfg.Replica.SearchThreads, MaxFaces: d.cfg.Replica.MaxFaces, Log: d.log,
	})
}
