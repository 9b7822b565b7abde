package transfer_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/ports"
)

// generator is a store of any number of users that holds none of them.
type generator struct {
	ports.VectorStore
	users  int
	change func(*ports.Record)
	space  int // numbers in a vector; 0 means dimension
	added  *atomic.Int64
}

func (g generator) Count(context.Context, string) (int, error) { return g.users, nil }

func (g generator) Scan(_ context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	size := max(g.space, dimension)
	return func(yield func(ports.Record, error) bool) {
		for i := range g.users {
			r := ports.Record{
				Collection: selection.Collection, UserID: fmt.Sprintf("user-%08d", i), FaceID: "f", Owner: "gateway",
				Vector: make([]float32, size), EnrolledAt: time.UnixMicro(int64(i)).UTC(),
			}
			r.Vector[i%size] = 1
			if g.change != nil {
				g.change(&r)
			}
			if r.UserID >= selection.From && !yield(r, nil) {
				return
			}
		}
	}
}

func (g generator) Add(context.Context, ports.Record, ports.Mode) error {
	g.added.Add(1)
	return nil
}

// gauge has the live heap measured now and then, and keeps the largest value.
type gauge struct{ base, peak uint64 }

func live() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func (g *gauge) watch(done, _ int) {
	if done%10_000 == 0 {
		g.peak = max(g.peak, live())
	}
}

// 50,000 faces with 128 numbers are 25 MB; copying, verifying, exporting and
// importing them takes a small part of that.
func TestTransfersTakeConstantMemory(t *testing.T) {
	const faces, limit = 50_000, 2 << 20
	large := ports.Space{Model: "large", Digest: "5a", Dimension: 128}
	full := generator{users: faces, space: large.Dimension, added: new(atomic.Int64)}
	empty := generator{added: new(atomic.Int64)}
	one := []string{"users"}
	for _, c := range []struct {
		name string
		run  func(transfer.Options) error
	}{
		{"copy", func(o transfer.Options) error {
			_, err := transfer.Copy(t.Context(), full, empty, one, o)
			return err
		}},
		{"verify", func(o transfer.Options) error {
			_, err := transfer.Verify(t.Context(), full, full, one, o)
			return err
		}},
		{"export and import", func(o transfer.Options) error {
			r, w := io.Pipe()
			go func() {
				_, err := transfer.Export(context.WithoutCancel(t.Context()), w, full, large, one, transfer.Options{})
				w.CloseWithError(err)
			}()
			_, err := transfer.Import(t.Context(), r, full, large, o)
			return err
		}},
	} {
		g := gauge{base: live()}
		require.NoError(t, c.run(transfer.Options{Progress: g.watch}), c.name)
		require.NotZero(t, g.peak, c.name)
		t.Logf("%s: %d KiB live at most", c.name, (max(g.peak, g.base)-g.base)>>10)
		require.Less(t, g.peak, g.base+limit, c.name)
	}
	require.EqualValues(t, faces, empty.added.Load())
	require.Zero(t, full.added.Load())
}
