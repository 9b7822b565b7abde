package onnx

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

// shipped returns a manifest that ships with imago.
func shipped(tb testing.TB, name string) config.Manifest {
	tb.Helper()
	m, err := config.LoadManifest(config.BuiltinModels, name)
	require.NoError(tb, err)
	return m
}

// realModel returns a model that ships with imago: one of the default pair, which is
// always there, or one of the fast pair where that is.
func realModel(tb testing.TB, name string) Model {
	tb.Helper()
	m := shipped(tb, name)
	dir := fixture.Models(tb)
	if path, found := fixture.FastModel(tb, m.File); found {
		dir = filepath.Dir(path)
	}
	return Model{Manifest: m, FS: os.DirFS(dir)}
}

// realModels returns the models of a kind that are there: that of the default pair, and
// that of the fast one where it is.
func realModels(tb testing.TB, kind config.Kind) (names []string) {
	tb.Helper()
	files, err := fs.Glob(config.BuiltinModels, "*.yaml")
	require.NoError(tb, err)
	for _, file := range files {
		m := shipped(tb, file[:len(file)-len(".yaml")])
		_, found := fixture.FastModel(tb, m.File)
		if m.Kind == kind && found {
			names = append(names, m.Name)
		}
	}
	models := config.Default().Models
	require.Contains(tb, names, map[config.Kind]string{config.KindDetector: models.Detector, config.KindEmbedder: models.Embedder}[kind])
	return names
}
