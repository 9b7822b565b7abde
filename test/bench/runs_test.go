package bench

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/bench/bare"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// BenchmarkThreads compares threads per run with runs at once: what the settings
// inference.threads and inference.workers choose between. A picture is a detection
// on 256 x 320 pixels and an embedding.
func BenchmarkThreads(b *testing.B) {
	pipeline.New(b) // the environment of ONNX Runtime
	for _, c := range []struct{ threads, atOnce int }{{1, 1}, {2, 1}, {1, 2}, {2, 2}} {
		b.Run(fmt.Sprintf("%d threads, %d at once", c.threads, c.atOnce), func(b *testing.B) {
			detector, embedder := openRuns(b, "yunet.onnx", c.threads), openRuns(b, "mobilefacenet.onnx", c.threads)
			crew := make([][]*bare.Run, c.atOnce)
			for i := range crew {
				crew[i] = []*bare.Run{prepareRun(b, detector, 1, 256, 320), prepareRun(b, embedder, 1, ports.ChipSize, ports.ChipSize)}
			}
			for b.Loop() {
				runCrew(b, crew)
			}
			b.ReportMetric(float64(b.N*c.atOnce)/b.Elapsed().Seconds(), "pictures/s")
		})
	}
}

// runCrew does the runs of each member one after the other, all members at once.
func runCrew(b *testing.B, crew [][]*bare.Run) {
	var all sync.WaitGroup
	problems := make([]error, len(crew))
	for i, runs := range crew {
		all.Go(func() {
			for _, r := range runs {
				if problems[i] == nil {
					problems[i] = r.Do()
				}
			}
		})
	}
	all.Wait()
	for _, err := range problems {
		require.NoError(b, err)
	}
}

// BenchmarkBatch says whether several inputs in one run on one thread cost less
// than one after the other. The batch of mobilefacenet is fixed.
func BenchmarkBatch(b *testing.B) {
	pipeline.New(b) // the environment of ONNX Runtime
	several := []int{1, 2, 4, 8}
	for _, c := range []struct {
		file    string
		side    int
		batches []int
	}{{"yunet.onnx", 160, several}, {"yunet.onnx", 224, several}, {"mobilefacenet.onnx", ports.ChipSize, []int{1}}} {
		for _, batch := range c.batches {
			b.Run(fmt.Sprintf("%s %d, batch of %d", c.file, c.side, batch), func(b *testing.B) {
				r, err := openRuns(b, c.file, 1).Prepare(batch, c.side, c.side)
				require.NoError(b, err)
				b.Cleanup(func() { require.NoError(b, r.Close()) })
				for b.Loop() {
					require.NoError(b, r.Do())
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N*batch), "ms/input")
			})
		}
	}
}

func openRuns(b *testing.B, file string, threads int) *bare.Network {
	b.Helper()
	path, found := fixture.FastModel(b, file)
	if !found {
		b.Skipf("%s is not there: imago models pull yunet mobilefacenet", file)
	}
	n, err := bare.Open(path, threads)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, n.Close()) })
	return n
}

func prepareRun(b *testing.B, n *bare.Network, batch, height, width int) *bare.Run {
	b.Helper()
	r, err := n.Prepare(batch, height, width)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, r.Close()) })
	return r
}
