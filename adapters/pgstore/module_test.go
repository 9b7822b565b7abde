package pgstore_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/adapters/pgstore"
	"imago/config"
	"imago/ports"
)

// The module starts the store with the application: one without a server does
// not start.
func TestModule(t *testing.T) {
	cfg := config.Default().Store.PGVector
	cfg.DSN = "postgres://imago@127.0.0.1:1/imago?sslmode=disable"
	var store ports.VectorStore
	app := fxtest.New(t, pgstore.Module, fx.NopLogger,
		fx.Supply(cfg, ports.Space{Dimension: 2}, slog.New(slog.DiscardHandler)), fx.Populate(&store))
	require.Implements(t, (*ports.HealthChecker)(nil), store)
	require.ErrorIs(t, app.Start(t.Context()), ports.ErrUnavailable)
}
