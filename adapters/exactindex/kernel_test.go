package exactindex

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

func seeded(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(20260102, stream)) }

// kernels returns those that can be tested here beside the portable one.
func kernels(tb testing.TB) (all []kernel) {
	for k := portable + 1; k <= neon; k++ {
		if k.supported() {
			all = append(all, k)
		}
	}
	if len(all) == 0 {
		if os.Getenv("CI") != "" {
			tb.Fatal("CI must run on a processor that has a kernel beside the portable one")
		}
		tb.Skip("this processor has no kernel but the portable one")
	}
	return all
}

// Every kernel finds what the portable one finds: rows, sums, and blocks that passed
// the first test, whatever bytes it is given.
func TestKernelsScan(t *testing.T) {
	rng := seeded(1)
	for _, dimension := range []int{1, 3, 7, 8, 9, 16, 31, 64, 100, 128, 200, 256, 300, 512, 1000} {
		for queries := 1; queries <= 33; queries += 1 + rng.IntN(4) {
			s := randomScan(rng, dimension, queries)
			for _, two := range []bool{false, s.shape.hasFirstTest()} {
				s.firstTest = two
				s.found = newFound(queries)
				s.portable()
				for _, k := range kernels(t) {
					got := *s
					got.found = newFound(queries)
					k.scan(&got)
					requireSame(t, s, &got, fmt.Sprintf("%s, %d numbers, %d queries", k, dimension, queries))
				}
			}
		}
	}
}

func requireSame(tb testing.TB, want, got *scan, what string) {
	tb.Helper()
	require.Equal(tb, want.counts, got.counts, what)
	require.Equal(tb, want.passed, got.passed, what)
	for i := range want.bounds {
		wantRows, wantProducts := want.survivors(i)
		rows, products := got.survivors(i)
		require.Equal(tb, wantRows, rows, what)
		require.Equal(tb, wantProducts, products, what)
	}
}

// randomScan returns a scan in which some rows survive.
func randomScan(rng *rand.Rand, dimension, queries int) *scan {
	s := &scan{shape: shapeOf(dimension), blocks: 2 + 2*rng.IntN(3), bounds: make([]bound, queries)}
	s.codes = make([]byte, blocks*s.groups*groupBytes)
	for i := range s.codes {
		s.codes[i] = byte(rng.Uint32())
	}
	s.terms = make([]float32, chunkRows*s.shape.terms())
	for i := range s.terms {
		s.terms[i] = float32(rng.NormFloat64())
	}
	s.queries = make([]int8, queries*s.width())
	for i := range s.queries {
		s.queries[i] = int8(rng.IntN(255) - 127)
	}
	scale := 127 * 15 * math.Sqrt(float64(dimension)) / 4
	for i := range s.bounds {
		for j := range s.bounds[i] {
			s.bounds[i][j] = float32(rng.NormFloat64() * scale)
		}
	}
	return s
}

// FuzzKernels compares the kernels on arbitrary bytes.
func FuzzKernels(f *testing.F) {
	f.Add(uint16(128), uint8(9), uint64(1))
	f.Add(uint16(512), uint8(32), uint64(2))
	f.Fuzz(func(t *testing.T, dimension uint16, queries uint8, seed uint64) {
		s := randomScan(seeded(seed), 1+int(dimension)%1100, 1+int(queries)%40)
		s.firstTest = s.shape.hasFirstTest() && seed%2 == 0
		s.found = newFound(len(s.bounds))
		s.portable()
		for _, k := range kernels(t) {
			got := *s
			got.found = newFound(len(s.bounds))
			k.scan(&got)
			requireSame(t, s, &got, k.String())
		}
	})
}

// Scores have the same bits in every kernel, subnormal numbers included.
func TestKernelsDots(t *testing.T) {
	rng := seeded(2)
	for dimension := 1; dimension <= 540; dimension += 1 + dimension/20 {
		query := fixture.UnitVector(rng, dimension)
		vectors := make([]float32, 0, 20*dimension)
		for i := range 20 {
			v := fixture.UnitVector(rng, dimension)
			if i%5 == 0 {
				v[0] = math.SmallestNonzeroFloat32
			}
			vectors = append(vectors, v...)
		}
		want := make([]float32, 20)
		portable.dots(query, vectors, want)
		for _, k := range kernels(t) {
			got := make([]float32, 20)
			k.dots(query, vectors, got)
			require.Equal(t, want, got, "%s, %d numbers", k, dimension)
		}
	}
}
