package memstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// BenchmarkStart measures opening, checking and loading a file. IMAGO_BENCH_ROWS
// adds one of so many faces.
func BenchmarkStart(b *testing.B) {
	sizes := []struct{ n, dimension int }{{10000, 128}, {100000, 128}, {100000, 512}}
	if n, err := strconv.Atoi(os.Getenv("IMAGO_BENCH_ROWS")); err == nil {
		sizes = append(sizes, struct{ n, dimension int }{n, 128})
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dx%d", size.n, size.dimension), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "imago.db")
			s := started(b, path, testSpace(size.dimension))
			enrol(b, s, crowd(size.n, size.dimension))
			closeStore(b, s)
			b.ReportAllocs()
			for b.Loop() {
				again := newStore(path, s.space)
				require.NoError(b, again.Start(b.Context()))
				b.StopTimer()
				require.NoError(b, again.Close(b.Context()))
				b.StartTimer()
			}
		})
	}
}

// BenchmarkSearchLarge measures a search of 100,000 faces.
func BenchmarkSearchLarge(b *testing.B) {
	for _, dimension := range []int{128, 512} {
		b.Run(fmt.Sprintf("100000x%d", dimension), func(b *testing.B) {
			s := started(b, "", testSpace(dimension))
			enrol(b, s, crowd(100000, dimension))
			q := ports.Query{Collection: users, Vector: unitVector(seeded(2), dimension), K: 10, MinScore: 0.3}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCommit measures enrolling into a file by one caller and by many that
// share commits.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := started(b, filepath.Join(b.TempDir(), "imago.db"), testSpace(128))
			records := crowd(b.N, 128)
			b.ResetTimer()
			errs := together(callers, func(caller int) error {
				for i := caller; i < len(records); i += callers {
					if err := s.Add(b.Context(), records[i], ports.First); err != nil {
						return err
					}
				}
				return nil
			})
			b.StopTimer()
			for _, err := range errs {
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enrolments/s")
		})
	}
}
