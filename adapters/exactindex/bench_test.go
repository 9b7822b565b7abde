package exactindex

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// rowsOfBench is how many rows the benchmarks search: IMAGO_BENCH_ROWS.
func rowsOfBench(b *testing.B) int {
	text := os.Getenv("IMAGO_BENCH_ROWS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err)
	return n
}

// gallery is a filled index with queries near some of its rows.
type gallery struct {
	*Index[*thing]
	queries [][]float32
}

// A source makes the vectors of a gallery, and a query for one of them.
type source struct {
	next  func() []float32
	query func(rng *rand.Rand, v []float32) []float32
}

// sources are data sets: random directions; and clusters of 50 whose members
// score 0.3 to 0.5 with each other.
var sources = map[string]func(rng *rand.Rand, n, dimension int) source{
	"random": func(rng *rand.Rand, _, dimension int) source {
		return source{next: func() []float32 { return fixture.UnitVector(rng, dimension) }, query: planted}
	},
	"clusters": func(rng *rand.Rand, n, dimension int) source {
		centres := generate(max(1, n/50), func(int) []float32 { return fixture.UnitVector(rng, dimension) })
		return source{next: func() []float32 { return near(rng, centres[rng.IntN(len(centres))], 0.63) }, query: planted}
	},
}

// planted returns a query that scores 0.6 to 0.8 with a vector.
func planted(rng *rand.Rand, v []float32) []float32 { return near(rng, v, 0.6+0.2*rng.Float64()) }

func newGallery(b *testing.B, name string, n, dimension, threads int) *gallery {
	b.Helper()
	rng := seeded(11)
	from := sources[name](rng, n, dimension)
	g := &gallery{Index: New[*thing](dimension, threads)}
	for i := range n {
		v := from.next()
		g.Add(&thing{group: strconv.Itoa(i)}, v)
		if i%max(1, n/64) == 0 {
			g.queries = append(g.queries, from.query(rng, v))
		}
	}
	g.Publish()
	return g
}

// compared returns how many float32 comparisons were made.
func (g *gallery) compared() (n int) {
	for _, w := range g.batch.workers {
		n += w.compared
	}
	return n
}

// search runs a search for each round of a benchmark, by some clients at once.
func (g *gallery) search(b *testing.B, clients, k int, minimum float64) {
	b.ReportAllocs()
	before, cpu := g.compared(), processorTime(b)
	rounds := 0
	for b.Loop() {
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for i := range 4 {
					q := g.queries[(rounds+c+8*i)%len(g.queries)]
					if _, err := g.Search(b.Context(), q, k, minimum); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		rounds += 4
	}
	searches := float64(rounds * clients)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/searches, "ms/search")
	b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/1000/searches, "cpu-ms/search")
	b.ReportMetric(float64(g.compared()-before)/searches, "compared/search")
}

// processorTime is what the process has used, which on a busy machine says more than
// a clock.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSearch measures searches on one core and all: alone, by 32 clients at once, and
// without a threshold. Each round is four searches of each client.
func BenchmarkSearch(b *testing.B) {
	for _, dimension := range []int{128, 512} {
		for _, name := range []string{"random", "clusters"} {
			for _, threads := range []int{1, 0} {
				n := rowsOfBench(b)
				what := fmt.Sprintf("%s/%dx%d/threads=%d", name, n, dimension, threads)
				b.Run(what, func(b *testing.B) {
					g := newGallery(b, name, n, dimension, threads)
					b.Run("alone", func(b *testing.B) { g.search(b, 1, 10, 0.4) })
					b.Run("batch32", func(b *testing.B) { g.search(b, 32, 10, 0.4) })
					b.Run("top10", func(b *testing.B) { g.search(b, 1, 10, -1) })
					b.Run("top10batch32", func(b *testing.B) { g.search(b, 32, 10, -1) })
				})
			}
		}
	}
}

// BenchmarkMinimum measures what a lower minimum costs, and the nearest item alone: of SFace
// the minimum is 0.45 for a match and 0.36 for a near miss.
func BenchmarkMinimum(b *testing.B) {
	for _, name := range []string{"random", "clusters"} {
		g := newGallery(b, name, rowsOfBench(b), 128, 1)
		for _, tt := range []struct {
			k       int
			minimum float64
		}{{10, 0.45}, {10, 0.36}, {1, 0.36}} {
			for _, clients := range []int{1, 32} {
				b.Run(fmt.Sprintf("%s/k=%d/minimum=%v/clients=%d", name, tt.k, tt.minimum, clients), func(b *testing.B) {
					g.search(b, clients, tt.k, tt.minimum)
				})
			}
		}
	}
}

// BenchmarkWrites measures adding, and replacing while a search always runs.
func BenchmarkWrites(b *testing.B) {
	for _, dimension := range []int{128, 512} {
		rng := seeded(12)
		vectors := generate(1024, func(int) []float32 { return fixture.UnitVector(rng, dimension) })
		b.Run(fmt.Sprintf("add/%d", dimension), func(b *testing.B) {
			x := New[*thing](dimension, 1)
			for i := 0; b.Loop(); i++ {
				x.Add(&thing{}, vectors[i%len(vectors)])
			}
		})
		g := newGallery(b, "random", rowsOfBench(b), dimension, 1)
		b.Run(fmt.Sprintf("replace/%d", dimension), func(b *testing.B) { g.replace(b, vectors) })
		b.Run(fmt.Sprintf("replace under searches/%d", dimension), func(b *testing.B) {
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := g.Search(b.Context(), vectors[0], 10, 0.4); err != nil {
							return
						}
					}
				}
			})
			g.replace(b, vectors)
			close(stop)
			wg.Wait()
		})
	}
}

func (g *gallery) replace(b *testing.B, vectors [][]float32) {
	items := make([]*thing, 1000)
	for i := range items {
		items[i] = &thing{group: fmt.Sprint("new", i)}
		g.Add(items[i], vectors[i])
	}
	for i := 0; b.Loop(); i++ {
		g.Remove(items[i%len(items)])
		g.Add(items[i%len(items)], vectors[i%len(vectors)])
		g.Publish()
	}
	for _, item := range items {
		g.Remove(item)
	}
	g.Publish()
}

// BenchmarkVectors measures a search of vectors in a file that IMAGO_BENCH_VECTORS
// names: float32 numbers, little-endian, of which IMAGO_BENCH_DIMENSION make a vector. The
// last 64 vectors are the queries.
func BenchmarkVectors(b *testing.B) {
	path := os.Getenv("IMAGO_BENCH_VECTORS")
	if path == "" {
		b.Skip("IMAGO_BENCH_VECTORS names no file")
	}
	dimension, err := strconv.Atoi(os.Getenv("IMAGO_BENCH_DIMENSION"))
	require.NoError(b, err)
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	g := &gallery{Index: New[*thing](dimension, 1)}
	bytes := make([]byte, 4*dimension)
	n := 0
	for ; ; n++ {
		if _, err = io.ReadFull(f, bytes); err != nil {
			break
		}
		v := make([]float32, dimension)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
		}
		if g.queries = append(g.queries, v); len(g.queries) > 64 {
			g.Add(&thing{group: strconv.Itoa(n)}, g.queries[0])
			g.queries = g.queries[1:]
		}
	}
	require.ErrorIs(b, err, io.EOF)
	g.Publish()
	b.Run(fmt.Sprintf("%dx%d/alone", n-64, dimension), func(b *testing.B) { g.search(b, 1, 10, 0.4) })
	b.Run(fmt.Sprintf("%dx%d/batch32", n-64, dimension), func(b *testing.B) { g.search(b, 32, 10, 0.4) })
	b.Run(fmt.Sprintf("%dx%d/top10", n-64, dimension), func(b *testing.B) { g.search(b, 1, 10, -1) })
}
