package contract

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// benchDimension is the dimension of the vectors that benchmarks use, that of
// the small networks.
const benchDimension = 128

// benchChip is the size of the chips of benchmarks: that of most photographs.
const benchChip = 30_000

// BenchmarkVectorStore measures what a store of any kind does: one caller and
// many callers enrolling, and one caller searching collections of several
// sizes.
func BenchmarkVectorStore(b *testing.B, h StoreHarness) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("Add/callers=%d", callers), func(b *testing.B) { benchAdd(b, h, callers, nil) })
		if h.Chips {
			b.Run(fmt.Sprintf("AddWithChip/callers=%d", callers), func(b *testing.B) { benchAdd(b, h, callers, chipOf(1, benchChip)) })
		}
	}
	for _, n := range []int{1000, 10000, 100000} {
		if n <= max(10000, h.many()) {
			b.Run(fmt.Sprintf("Search/n=%d", n), func(b *testing.B) { benchSearch(b, h, n) })
		}
	}
}

// benchAdd shares b.N enrolments among callers that each wait for their
// answer, so that ns/op is the inverse of the total rate.
func benchAdd(b *testing.B, h StoreHarness, callers int, chip []byte) {
	s := h.Open(b, storeSpace(benchDimension))
	rng := seeded(12)
	vectors := make([][]float32, 256)
	for i := range vectors {
		vectors[i] = sphereVector(rng, benchDimension)
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	errs := fixture.Together(callers, func(int) error {
		for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
			r := face(fmt.Sprintf("user-%d", i), "f", vectors[i%256])
			r.Chip = bytes.Clone(chip)
			if err := s.Add(b.Context(), r, ports.NewUser()); err != nil {
				return err
			}
		}
		return nil
	})
	b.StopTimer()
	for _, err := range errs {
		require.NoError(b, err)
	}
}

func benchSearch(b *testing.B, h StoreHarness, n int) {
	s := h.Open(b, storeSpace(benchDimension))
	rng := seeded(13)
	records := make([]ports.Record, n)
	for i := range records {
		records[i] = face(fmt.Sprintf("user-%d", i), "f", sphereVector(rng, benchDimension))
	}
	fill(b, s, records, ports.NewUser())
	q := ports.Query{Collection: people, Vector: sphereVector(rng, benchDimension), K: 10, MinScore: -1}
	b.ReportAllocs()
	for b.Loop() {
		found, err := s.Search(b.Context(), q)
		if err != nil || len(found) != q.K {
			b.Fatalf("%d matches, error %v", len(found), err)
		}
	}
}
