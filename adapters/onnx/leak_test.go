package onnx

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"

	"imago/ports"
	"imago/test/onnxgraph"
)

// oneArena is set for a process in which requireFlat can measure.
const oneArena = "MALLOC_ARENA_MAX=1"

// inOneArena runs the calling test again in a process whose C allocator has a
// single arena, and reports whether this is that process. With an arena a
// thread, what is freed here and allocated there looks like a leak for hundreds
// of rounds.
func inOneArena(t *testing.T) bool {
	t.Helper()
	if os.Getenv("MALLOC_ARENA_MAX") == "1" {
		return true
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), oneArena)
	out, err := again.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	return false
}

// resident returns the process's own resident memory in MiB, without files that are
// mapped and what the Go collector could give back.
func resident(t *testing.T) float64 {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "RssAnon:")
	require.True(t, ok)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return float64(kib) / 1024
}

// requireFlat runs f often, and then as often again, up to three times: a leak takes
// noise MiB of memory, a goroutine or a file each time.
func requireFlat(t *testing.T, rounds int, noise float64, f func()) {
	t.Helper()
	repeat := func() (float64, int, int) {
		for range rounds {
			f()
		}
		files, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return resident(t), runtime.NumGoroutine(), len(files)
	}
	memory, goroutines, files := repeat()
	for range 3 {
		memoryBefore, goroutinesBefore, filesBefore := memory, goroutines, files
		memory, goroutines, files = repeat()
		t.Logf("%.1f MiB, and %.1f after %d rounds more", memoryBefore, memory, rounds)
		if memory < memoryBefore+noise && goroutines <= goroutinesBefore+1 && files <= filesBefore {
			return
		}
	}
	require.Fail(t, "memory, goroutines or files grow", "%.1f MiB, %d goroutines, %d files", memory, goroutines, files)
}

// A session that is not destroyed costs 1.5 MiB a round.
func TestOpeningAndClosingLeaksNothing(t *testing.T) {
	library := settings(t).Library
	if !inOneArena(t) {
		return
	}
	model, batch := generated(onnxgraph.Embedder(0, onnxgraph.Sound)), chips(1)
	requireFlat(t, 100, 12, func() {
		require.NoError(t, useRuntime(t.Context(), library, model, batch))
	})
}

// Tensors and run options are small on ONNX Runtime's side: it takes many runs
// to see one that is not destroyed.
func TestRunsLeakNothing(t *testing.T) {
	e := openEmbedder(t, generated(onnxgraph.Embedder(0, onnxgraph.Sound)))
	if !inOneArena(t) {
		return
	}
	input := make([]float32, chipFloats)
	requireFlat(t, 20000, 4, func() {
		_, err := e.net.run(t.Context(), ort.NewShape(1, 3, ports.ChipSize, ports.ChipSize), input)
		require.NoError(t, err)
	})
}

func TestCancelledRunsLeakNothing(t *testing.T) {
	e := openEmbedder(t, generated(onnxgraph.Embedder(0, onnxgraph.Endless)))
	if !inOneArena(t) {
		return
	}
	batch := []*ports.Chip{onnxgraph.WhiteChip()}
	requireFlat(t, 500, 12, func() {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := e.Embed(ctx, batch)
			done <- err
		}()
		inFlight(t, &e.net, 1)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		inFlight(t, &e.net, 0)
	})
}

// Pictures of any shape must not make the network hoard memory.
func TestVariedPicturesLeakNothing(t *testing.T) {
	d := openDetector(t, generated(onnxgraph.YuNet(0, onnxgraph.Sound)))
	if !inOneArena(t) {
		return
	}
	side := 0
	requireFlat(t, 60, 12, func() {
		side = (side + 37) % 300
		_, err := d.Detect(t.Context(), ports.NewImage(32+side, 332-side), 0)
		require.NoError(t, err)
	})
}
