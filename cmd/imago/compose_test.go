package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/config"
	"imago/ports"
)

// Whoever sets GOMAXPROCS has what was set.
func TestRaiseGOMAXPROCS(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "3")
	raiseGOMAXPROCS()
	require.Equal(t, before, runtime.GOMAXPROCS(0))
	require.NoError(t, os.Unsetenv("GOMAXPROCS"))
	raiseGOMAXPROCS()
	require.Equal(t, 2*before, runtime.GOMAXPROCS(0))
}

// The store of every driver is a guarded one that starts and stops with the
// application; making it touches nothing.
func TestStoreModules(t *testing.T) {
	all := config.Default()
	defaults := all.Store
	defaults.Memory.Path = filepath.Join(t.TempDir(), "imago.db")
	defaults.PGVector.DSN = "postgres://imago@127.0.0.1:1/imago?sslmode=disable"
	defaults.Milvus.Address, defaults.Milvus.ConnectTimeout = "127.0.0.1:1", time.Millisecond
	for _, driver := range []string{"memory", "pgvector", "milvus"} {
		cfg := defaults
		cfg.Driver = driver
		var store ports.VectorStore
		all.Store = cfg
		app := fxtest.New(t, fx.NopLogger, storeModule(all), fx.Populate(&store),
			fx.Supply(ports.Space{Model: "tiny", Dimension: 2}, slog.New(slog.DiscardHandler)))
		require.Implements(t, (*ports.HealthChecker)(nil), store)
		require.NoFileExists(t, cfg.Memory.Path)
		if driver != "memory" {
			require.ErrorIs(t, app.Start(t.Context()), ports.ErrUnavailable, driver)
			continue
		}
		app.RequireStart()
		require.NoError(t, store.(ports.HealthChecker).CheckHealth(t.Context()))
		app.RequireStop()
		_, err := store.Count(t.Context(), "users")
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.FileExists(t, cfg.Memory.Path)
		require.NoError(t, os.Remove(cfg.Memory.Path))
	}
	require.Error(t, fx.New(fx.NopLogger, storeModule(config.Config{Store: config.Store{Driver: "other"}})).Err())
}
