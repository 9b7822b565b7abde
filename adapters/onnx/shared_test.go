package onnx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

// The pairs of detector and embedder whose manifests ship.
var (
	defaultPair = [2]string{"opencv-yunet", "opencv-sface"}
	fastPair    = [2]string{"yunet", "mobilefacenet"}
)

// manifest returns one that ships.
func manifest(tb testing.TB, name string) config.Manifest {
	tb.Helper()
	m, err := config.LoadManifest(config.BuiltinModels, name)
	require.NoError(tb, err)
	return m
}

// realModel returns a model whose manifest ships and whose file is in the models
// folder.
func realModel(tb testing.TB, name string) Model {
	tb.Helper()
	return Model{Manifest: manifest(tb, name), FS: os.DirFS(fixture.Models(tb))}
}

// benchModels returns both pairs as far as their files are there: the fast one is in no
// package registry.
func benchModels(tb testing.TB, i int) (models []Model) {
	tb.Helper()
	for _, pair := range [][2]string{defaultPair, fastPair} {
		m := realModel(tb, pair[i])
		if _, err := os.Stat(filepath.Join(fixture.Models(tb), m.Manifest.File)); err == nil {
			models = append(models, m)
		}
	}
	require.NotEmpty(tb, models)
	return models
}
