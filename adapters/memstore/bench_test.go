package memstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// BenchmarkStart measures opening, checking and loading a file. IMAGO_BENCH_ROWS
// adds one of so many faces.
func BenchmarkStart(b *testing.B) {
	sizes := []struct{ n, dimension int }{{10000, 128}, {100000, 128}, {100000, 512}}
	if n, err := strconv.Atoi(os.Getenv("IMAGO_BENCH_ROWS")); err == nil {
		sizes = append(sizes, struct{ n, dimension int }{n, 128})
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dx%d", size.n, size.dimension), func(b *testing.B) { benchmarkStart(b, size.n, size.dimension, nil) })
	}
}

func benchmarkStart(b *testing.B, n, dimension int, chip []byte) {
	path := filepath.Join(b.TempDir(), "imago.db")
	s := started(b, path, testSpace(dimension))
	enrol(b, s, crowdWithChip(n, dimension, chip))
	closeStore(b, s)
	b.ReportAllocs()
	for b.Loop() {
		again := newStore(path, s.driver.space)
		require.NoError(b, again.Start(b.Context()))
		b.StopTimer()
		require.NoError(b, again.Close(b.Context()))
		b.StartTimer()
	}
}

func crowdWithChip(n, dimension int, chip []byte) []ports.Record {
	all := crowd(n, dimension)
	for i := range all {
		all[i].Chip = chip
	}
	return all
}

// chipBytes is about the size of an encrypted chip of a photograph.
const chipBytes = 30_000

// BenchmarkChips is BenchmarkCommit with 64 callers and BenchmarkStart of 100,000 faces, side
// by side without chips and with one for each face.
func BenchmarkChips(b *testing.B) {
	for name, chip := range map[string][]byte{"without": nil, "with": make([]byte, chipBytes)} {
		b.Run("callers=64/"+name, func(b *testing.B) { benchmarkCommit(b, 64, chip) })
		b.Run("start=100000x128/"+name, func(b *testing.B) { benchmarkStart(b, 100_000, 128, chip) })
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
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkCommit(b, callers, nil) })
	}
}

func benchmarkCommit(b *testing.B, callers int, chip []byte) {
	s := started(b, filepath.Join(b.TempDir(), "imago.db"), testSpace(128))
	records := crowdWithChip(b.N, 128, chip)
	b.ResetTimer()
	errs := fixture.Together(callers, func(caller int) error {
		for i := caller; i < len(records); i += callers {
			if err := s.Add(b.Context(), records[i], ports.NewUser()); err != nil {
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
}
