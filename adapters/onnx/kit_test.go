package onnx

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/onnxgraph"
)

// settings are those of the tests: one thread, and what config ships otherwise.
func settings(tb testing.TB) config.Inference {
	cfg := config.Default().Inference
	cfg.Library = fixture.ONNXRuntime(tb)
	return cfg
}

// startRuntime returns a runtime that is closed when the test ends.
func startRuntime(tb testing.TB) *Runtime {
	tb.Helper()
	rt := NewRuntime(settings(tb), slog.New(slog.DiscardHandler))
	require.NoError(tb, rt.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, rt.Close(context.Background())) })
	return rt
}

// generated turns a generated network into a model.
func generated(m onnxgraph.Model) Model { return Model{Manifest: m.Manifest, FS: m.FS()} }

// openDetector returns a started detector that is closed when the test ends.
func openDetector(tb testing.TB, m Model) *Detector {
	tb.Helper()
	return startDetector(tb, NewDetector(startRuntime(tb), settings(tb), m))
}

func startDetector(tb testing.TB, d *Detector) *Detector {
	tb.Helper()
	require.NoError(tb, d.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, d.Close(context.Background())) })
	return d
}

// openEmbedder returns a started embedder that is closed when the test ends.
func openEmbedder(tb testing.TB, m Model) *Embedder {
	tb.Helper()
	e := NewEmbedder(startRuntime(tb), settings(tb), m)
	require.NoError(tb, e.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, e.Close(context.Background())) })
	return e
}

// chips returns n noisy chips.
func chips(n int) []*ports.Chip {
	all := make([]*ports.Chip, n)
	for i := range all {
		all[i] = new(ports.Chip)
		for j := range all[i] {
			all[i][j] = byte((j*j + 31*i*j) % 251)
		}
	}
	return all
}
