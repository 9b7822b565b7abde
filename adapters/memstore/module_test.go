package memstore

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/config"
	"imago/ports"
)

func TestModule(t *testing.T) {
	var store ports.VectorStore
	path := filepath.Join(t.TempDir(), "imago.db")
	app := fxtest.New(t, Module,
		fx.Supply(config.MemoryStore{Path: path}, testSpace(2), slog.New(slog.DiscardHandler)),
		fx.Populate(&store),
	)
	require.NoFileExists(t, path, "building must not touch the disk")
	app.RequireStart()
	require.NoError(t, store.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
	require.NoError(t, store.(ports.HealthChecker).CheckHealth(t.Context()))
	app.RequireStop()
	_, err := store.Count(t.Context(), users)
	require.ErrorIs(t, err, ports.ErrUnavailable)
}
