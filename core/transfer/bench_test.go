package transfer_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/config"
	"imago/core/transfer"
	"imago/core/vectorstore"
	"imago/ports"
)

const benchFaces = 20_000

var wide = ports.Space{Model: "bench", Digest: "5a", Dimension: 512}

func wideStore(b *testing.B, path string) *vectorstore.Store {
	b.Helper()
	s := vectorstore.New("memstore", memstore.New(config.MemoryStore{Path: path}, wide, slog.New(slog.DiscardHandler)), wide)
	require.NoError(b, s.Start(b.Context()))
	return s
}

// BenchmarkCopy copies 20,000 users with a face of 512 numbers each, into RAM and
// into a file.
func BenchmarkCopy(b *testing.B) {
	for _, target := range []string{"RAM", "file"} {
		b.Run(target, func(b *testing.B) {
			source := generator{users: benchFaces, space: wide.Dimension}
			b.ReportAllocs()
			for b.Loop() {
				path := ""
				if target == "file" {
					path = filepath.Join(b.TempDir(), "imago.db")
				}
				to := wideStore(b, path)
				_, err := transfer.Copy(b.Context(), source, to, []string{"users"}, transfer.Options{})
				require.NoError(b, err)
				require.NoError(b, to.Close(context.Background()))
			}
			rate(b)
		})
	}
}

// BenchmarkFile measures exporting and importing 20,000 faces that are there
// already, which is all but the writing.
func BenchmarkFile(b *testing.B) {
	full := generator{users: benchFaces, space: wide.Dimension}
	one := []string{"users"}
	b.Run("export", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := transfer.Export(b.Context(), io.Discard, full, wide, one, transfer.Options{})
			require.NoError(b, err)
		}
		rate(b)
	})
	b.Run("import", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r, w := io.Pipe()
			go func() {
				_, err := transfer.Export(context.WithoutCancel(b.Context()), w, full, wide, one, transfer.Options{})
				w.CloseWithError(err)
			}()
			_, err := transfer.Import(b.Context(), r, full, wide, transfer.Options{})
			require.NoError(b, err)
		}
		rate(b)
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := transfer.Verify(b.Context(), full, full, one, transfer.Options{})
			require.NoError(b, err)
		}
		rate(b)
	})
}

func rate(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchFaces/b.Elapsed().Seconds(), "faces/s")
}
