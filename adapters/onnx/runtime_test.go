package onnx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"

	"imago/config"
	"imago/ports"
	"imago/test/onnxgraph"
)

// users returns how many hold the environment.
func users() int {
	process.mu.Lock()
	defer process.mu.Unlock()
	return process.users
}

// requireUnused checks that nothing of a test is left in the process.
func requireUnused(t *testing.T) {
	t.Helper()
	require.Zero(t, users())
	require.False(t, ort.IsInitialized())
}

func newRuntime(library string) *Runtime {
	return NewRuntime(config.Inference{Library: library}, slog.New(slog.DiscardHandler))
}

func TestRuntimesOneAfterTheOther(t *testing.T) {
	for range 3 {
		rt := newRuntime(settings(t).Library)
		require.NoError(t, rt.Start(t.Context()))
		require.True(t, ort.IsInitialized())
		require.NoError(t, rt.Close(t.Context()))
		requireUnused(t)
		require.NoError(t, rt.Close(t.Context()), "closing twice does nothing")
	}
}

func TestRuntimeStartsOnce(t *testing.T) {
	rt := startRuntime(t)
	require.Error(t, rt.Start(t.Context()))
	require.Equal(t, 1, users())
}

func TestRuntimesAtOnce(t *testing.T) {
	library := settings(t).Library
	model := generated(onnxgraph.Embedder(0, onnxgraph.Sound))
	batch, errs := chips(3), make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for range 4 {
				errs[i] = errors.Join(errs[i], useRuntime(t.Context(), library, model, batch))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	requireUnused(t)
}

// useRuntime starts a runtime and an embedder, uses and closes both.
func useRuntime(ctx context.Context, library string, model Model, batch []*ports.Chip) error {
	rt := newRuntime(library)
	if err := rt.Start(ctx); err != nil {
		return err
	}
	e := NewEmbedder(rt, config.Inference{Threads: 1}, model)
	if err := e.Start(ctx); err != nil {
		return err
	}
	if _, err := e.Embed(ctx, batch); err != nil {
		return err
	}
	if err := e.Close(ctx); err != nil {
		return err
	}
	return rt.Close(ctx)
}

// The order in which things are closed cannot crash the process: a network
// keeps the environment until it is closed itself.
func TestRuntimeClosedBeforeItsNetwork(t *testing.T) {
	rt := newRuntime(settings(t).Library)
	require.NoError(t, rt.Start(t.Context()))
	e := NewEmbedder(rt, settings(t), generated(onnxgraph.Embedder(0, onnxgraph.Sound)))
	require.NoError(t, e.Start(t.Context()))
	require.NoError(t, rt.Close(t.Context()))
	_, err := e.Embed(t.Context(), chips(2))
	require.NoError(t, err)
	late := NewEmbedder(rt, settings(t), generated(onnxgraph.Embedder(0, onnxgraph.Sound)))
	require.ErrorContains(t, late.Start(t.Context()), "runtime is not started")
	require.NoError(t, e.Close(t.Context()))
	requireUnused(t)
}

func TestRuntimeWithoutALibrary(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "libonnxruntime.so")
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	require.NoError(t, os.WriteFile(text, []byte("not a library"), 0o600))
	for name, c := range map[string]struct{ configured, variable, says string }{
		"configured and missing": {missing, "", missing + " (inference.library)"},
		"named and missing":      {"", missing, missing + " (IMAGO_ONNXRUNTIME_LIB)"},
		"configured wins":        {missing, settings(t).Library, missing},
		"not a library":          {text, "", text},
		"another library":        {"libm.so.6", "", "libm.so.6"},
		"nowhere":                {"libimago-no-such-library.so", "", "libimago-no-such-library.so"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(libraryVariable, c.variable)
			rt := newRuntime(c.configured)
			err := rt.Start(t.Context())
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "install ONNX Runtime 1.27 and name its libonnxruntime.so in inference.library or IMAGO_ONNXRUNTIME_LIB")
			require.NoError(t, rt.Close(t.Context()))
			requireUnused(t)
		})
	}
	startRuntime(t) // a failure spoils nothing
}

func TestRuntimeFindsTheVariable(t *testing.T) {
	t.Setenv(libraryVariable, settings(t).Library)
	rt := newRuntime("")
	require.NoError(t, rt.Start(t.Context()))
	require.NoError(t, rt.Close(t.Context()))
}

func TestRuntimeRefusesASecondLibrary(t *testing.T) {
	startRuntime(t)
	rt := newRuntime("/elsewhere/libonnxruntime.so")
	require.ErrorContains(t, rt.Start(t.Context()), "cannot load a second ONNX Runtime")
	require.Equal(t, 1, users())
}

func TestCandidates(t *testing.T) {
	t.Setenv(libraryVariable, "")
	executable, err := os.Executable()
	require.NoError(t, err)
	dir := filepath.Dir(executable)
	var paths []string
	for _, c := range candidates("") {
		require.False(t, c.required)
		paths = append(paths, c.path)
	}
	require.Equal(t, []string{
		filepath.Join(dir, "libonnxruntime.so"), filepath.Join(dir, "..", "lib", "libonnxruntime.so"),
		"libonnxruntime.so.1", "libonnxruntime.so",
	}, paths)
}

func TestCheckVersion(t *testing.T) {
	for version, fits := range map[string]bool{
		"1.27.0": true, "1.27.1": true, "1.27": true,
		"1.26.0": false, "1.28.0": false, "1.270.0": false, "11.27.0": false, "": false,
	} {
		t.Run(fmt.Sprintf("%q", version), func(t *testing.T) {
			err := checkVersion(version)
			if fits {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, version)
			}
		})
	}
}
