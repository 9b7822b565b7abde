package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"imago/adapters/exactindex"
	"imago/adapters/memstore"
	"imago/config"
	"imago/ports"
)

// growths are the galleries that the benchmarks of growth measure on their way: up to
// IMAGO_BENCH_ROWS faces (1,000,000 unless set) of 128 numbers, and up to 300,000
// of 512.
var growths = []struct {
	dimension int
	sizes     []int
}{
	{128, []int{1_000, 10_000, 100_000, 1_000_000}},
	{512, []int{1_000, 10_000, 100_000, 300_000}},
}

// rowsOfBench is how large the benchmarks of growth let a gallery become.
func rowsOfBench(b *testing.B) int {
	b.Helper()
	set := os.Getenv("IMAGO_BENCH_ROWS")
	if set == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(set)
	require.NoError(b, err)
	return n
}

// person is an item of the index.
type person struct {
	id    string
	place exactindex.Place
}

func (p *person) Group() string            { return p.id }
func (p *person) ID() string               { return p.id }
func (p *person) Place() *exactindex.Place { return &p.place }

// grown is an index with people in it, whose every write is published at once as
// a store does for a caller who is alone.
type grown struct {
	*exactindex.Index[*person]
	rng       *rand.Rand
	dimension int
	people    []*person
	queries   [][]float32
	adds      []time.Duration // processor time of each addition while growing
}

func newGrown(dimension, threads int) *grown {
	g := &grown{Index: exactindex.New[*person](dimension, threads), rng: rand.New(rand.NewPCG(20261125, uint64(dimension))), dimension: dimension}
	for range 64 {
		g.queries = append(g.queries, g.vector())
	}
	return g
}

// vector returns a vector of random direction.
func (g *grown) vector() []float32 { return directionOf(g.rng, g.dimension) }

// add enrols somebody and returns how long that took.
func (g *grown) add(p *person, v []float32) time.Duration {
	began := time.Now()
	g.Add(p, v)
	g.Publish()
	return time.Since(began)
}

// remove takes somebody out and returns how long that took.
func (g *grown) remove(p *person) time.Duration {
	began := time.Now()
	g.Remove(p)
	g.Publish()
	return time.Since(began)
}

// growTo fills the index up to n people and notes what every addition costs: in
// time of the processor, which other programs cannot make longer.
func (g *grown) growTo(b *testing.B, n int) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := len(g.people); i < n; i++ {
		p, v := &person{id: strconv.Itoa(i)}, g.vector()
		before := threadTime(b)
		g.add(p, v)
		g.adds = append(g.adds, threadTime(b)-before)
		g.people = append(g.people, p)
	}
}

// threadTime is how long this thread of the system has had a processor.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}

// BenchmarkGrowth measures searches with a threshold of 0.40, on one core, and
// additions and removals while a gallery grows, in the index alone.
func BenchmarkGrowth(b *testing.B) {
	for _, growth := range growths {
		b.Run(fmt.Sprintf("engine/%d", growth.dimension), func(b *testing.B) {
			g := newGrown(growth.dimension, 1)
			for _, n := range growth.sizes {
				if n > rowsOfBench(b) {
					continue
				}
				g.growTo(b, n)
				b.Run(fmt.Sprintf("faces=%d/search", n), func(b *testing.B) {
					took := make([]time.Duration, b.N)
					for i := range took {
						began := time.Now()
						_, err := g.Search(b.Context(), g.queries[i%len(g.queries)], 10, 0.4)
						require.NoError(b, err)
						took[i] = time.Since(began)
					}
					tell(b, "search", took, n)
				})
				b.Run(fmt.Sprintf("faces=%d/change", n), func(b *testing.B) {
					adds, removals := make([]time.Duration, b.N), make([]time.Duration, b.N)
					for i := range adds {
						p := &person{id: "passing"}
						adds[i] = g.add(p, g.queries[i%len(g.queries)])
						removals[i] = g.remove(p)
					}
					tell(b, "add", adds, 0)
					tell(b, "remove", removals, 0)
				})
			}
			slices.Sort(g.adds)
			b.Logf("processor time of each of %d additions from the first on: %s", len(g.adds), spread(g.adds))
		})
	}
}

// BenchmarkGrowthDurable measures the same through the store, whose writes are
// acknowledged when they are on the disk, each by a caller who is alone.
func BenchmarkGrowthDurable(b *testing.B) {
	for _, growth := range growths {
		b.Run(fmt.Sprint(growth.dimension), func(b *testing.B) {
			cfg := config.Default().Store.Memory
			cfg.Path, cfg.SearchThreads = filepath.Join(b.TempDir(), "imago.db"), 1
			wide := space
			wide.Dimension = growth.dimension
			s := started(b, memstore.New(cfg, wide, quiet), wide)
			rng := rand.New(rand.NewPCG(20261126, uint64(growth.dimension)))
			enrolled := 0
			for _, n := range growth.sizes {
				if n > rowsOfBench(b) {
					continue
				}
				enrolMore(b, s, enrolled, n, growth.dimension)
				enrolled = n
				b.Run(fmt.Sprintf("faces=%d/search", n), func(b *testing.B) {
					q := ports.Query{Collection: collection, K: 10, MinScore: 0.4}
					took := make([]time.Duration, b.N)
					for i := range took {
						q.Vector = directionOf(rng, growth.dimension)
						began := time.Now()
						_, err := s.Search(b.Context(), q)
						require.NoError(b, err)
						took[i] = time.Since(began)
					}
					tell(b, "search", took, n)
				})
				b.Run(fmt.Sprintf("faces=%d/change", n), func(b *testing.B) {
					adds, removals := make([]time.Duration, b.N), make([]time.Duration, b.N)
					for i := range adds {
						r := record(strconv.Itoa(rng.Int()), directionOf(rng, growth.dimension))
						began := time.Now()
						require.NoError(b, s.Add(b.Context(), r, ports.NewUser()))
						between := time.Now()
						require.NoError(b, s.Remove(b.Context(), ports.WholeUser(r.User()), ports.Everybody()))
						adds[i], removals[i] = between.Sub(began), time.Since(between)
					}
					tell(b, "add", adds, 0)
					tell(b, "remove", removals, 0)
				})
			}
		})
	}
}

// enrolMore enrols the users from one number to another, many at a time, in an
// order that is not that of their names.
func enrolMore(b *testing.B, s ports.VectorStore, from, to, dimension int) {
	b.Helper()
	const callers = 256
	ctx := context.WithoutCancel(b.Context())
	require.NoError(b, together(callers, func(caller int) error {
		rng := rand.New(rand.NewPCG(uint64(caller), uint64(from)))
		for i := from + caller; i < to; i += callers {
			user := fmt.Sprintf("%08x", uint32(i)*2654435761) // Knuth's multiplicative hash
			if err := s.Add(ctx, record(user, directionOf(rng, dimension)), ports.NewUser()); err != nil {
				return err
			}
		}
		return nil
	}))
}

// tell shows the spread of some times as metrics, and the median for each face
// of a gallery that has some.
func tell(b *testing.B, what string, took []time.Duration, faces int) {
	b.Helper()
	slices.Sort(took)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	b.ReportMetric(us(quantile(took, 0.5)), what+"-us-p50")
	b.ReportMetric(us(quantile(took, 0.99)), what+"-us-p99")
	b.ReportMetric(us(took[len(took)-1]), what+"-us-max")
	if faces > 0 {
		b.ReportMetric(float64(quantile(took, 0.5).Nanoseconds())/float64(faces), "ns/face")
	}
	b.ReportMetric(0, "ns/op")
}

// quantile returns one of sorted times.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// spread describes sorted times.
func spread(sorted []time.Duration) string {
	return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v, p99.99 %v, max %v", quantile(sorted, 0.5), quantile(sorted, 0.99),
		quantile(sorted, 0.999), quantile(sorted, 0.9999), sorted[len(sorted)-1])
}
