package bench

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"imago/adapters/memindex"
	"imago/core/calibration"
	"imago/core/duplicates"
	"imago/ports"
)

// BenchmarkDuplicates looks for duplicates in a gallery of IMAGO_BENCH_FACES users, and then
// has some bare searches, in the same batches and from the same score on. How many times as long a face
// takes is what the rules cost. Beside the time is that of the processors, which on a busy machine
// says more.
func BenchmarkDuplicates(b *testing.B) {
	n := galleryFaces(b)
	index := likeNetwork(n)
	for b.Loop() {
		before := heap()
		began, cpu := time.Now(), processorTime(b)
		report, err := duplicates.Find(b.Context(), index, duplicates.Options{
			Collection: collection, Curve: sfaceCurve, Rates: sfaceRates, Together: 10, Limit: 10_000, Callers: searchCallers,
		})
		require.NoError(b, err)
		took, used := time.Since(began), processorTime(b)-cpu
		require.Equal(b, index.Len(), report.Size.Faces)
		twice := 0
		for _, p := range report.Closest {
			if p.B.UserID == p.A.UserID+"-again" {
				twice++
			}
		}
		require.Equal(b, index.Len()-n, twice, "all who are enrolled twice are found")
		floor := report.HubRules[len(report.HubRules)-1].Cosine
		b.Logf("threshold %.4f %% (cosine %.3f), searches from cosine %.3f, %d pairs of which chance explains %.1f, %d hubs, %d mixed; the heap grew by %d kB of %d MB",
			report.Threshold, report.Cosine, floor, report.Pairs, *report.PairsChance.Gallery, report.Hubs, report.Mixed,
			(heap()-before)>>10, index.Bytes()>>20)
		bare := bareSearches(b, index, bareFaces, floor).Seconds() / bareFaces * float64(index.Len())
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(used.Seconds(), "cpu-s")
		b.ReportMetric(used.Seconds()/bare, "times-bare")
		b.ReportMetric(0, "ns/op")
	}
}

// bareFaces is how many faces are searched to tell what a search costs.
const bareFaces = 6400

// BenchmarkDuplicatesSearch measures the bare searches of some faces among IMAGO_BENCH_FACES, by
// the time of the processors: what all faces would need.
func BenchmarkDuplicatesSearch(b *testing.B) {
	n := galleryFaces(b)
	index := likeNetwork(n)
	// Where the table of the network, continued, gives a face five users.
	last := sfaceRates[len(sfaceRates)-1]
	steepness := math.Log(sfaceRates[len(sfaceRates)-2].Rate/last.Rate) / (last.Cosine - sfaceRates[len(sfaceRates)-2].Cosine)
	floor := last.Cosine + max(0, math.Log(last.Rate*float64(n)/5)/steepness)
	for b.Loop() {
		used := bareSearches(b, index, bareFaces, floor)
		b.ReportMetric(used.Seconds()*1000/bareFaces, "cpu-ms/search")
		b.ReportMetric(used.Seconds()/bareFaces*float64(index.Len()), "cpu-s-for-all")
		b.ReportMetric(0, "ns/op")
	}
}

// searchCallers is how many searches wait at a time, as in the command.
const searchCallers = 64

// processorTime is what the process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The calibration of the default network, config/models/opencv-sface.yaml.
var (
	sfaceCurve = calibration.Curve{Midpoint: 0.3795, Steepness: 19.66}
	sfaceRates = calibration.Rates{{Cosine: 0.25, Rate: 0.024}, {Cosine: 0.30, Rate: 0.007}, {Cosine: 0.35, Rate: 0.0017},
		{Cosine: 0.363, Rate: 0.0011}, {Cosine: 0.40, Rate: 0.00036}, {Cosine: 0.45, Rate: 0.000095}}
)

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// searched is an index as duplicates.Find wants it.
type searched struct{ *memindex.Index }

func (s *searched) Scan(_ context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return s.Index.Scan(selection)
}

func (s *searched) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	return s.Index.Get(user), nil
}

// likeNetwork returns an index of n users whose strangers are as similar as those of the network are: the first
// directions vary more than the last, so that cosines spread as among 78 even ones, by 0.113, which puts
// a false match rate of 1 in 10,000 near a cosine of 0.45. The directions are mixed as a network
// mixes them. One user in 1,000 is enrolled again under another ID, at a cosine of about 0.8.
func likeNetwork(n int) *searched {
	x := memindex.New(space.Dimension, 0)
	rng := rand.New(rand.NewPCG(20261129, uint64(n)))
	mirrors := [][]float32{direction(rng), direction(rng), direction(rng)}
	for i := range n {
		v := alike(rng, mirrors)
		x.Add(record(fmt.Sprintf("user-%07d", i), v))
		if i%1000 == 0 {
			again := towards(alike(rng, mirrors), v, 4.0/3)
			x.Add(ports.Record{Collection: collection, UserID: fmt.Sprintf("user-%07d-again", i), FaceID: "f", Vector: again})
		}
		if i%4096 == 0 {
			x.Publish()
		}
	}
	x.Publish()
	return &searched{x}
}

// alike returns a unit vector of a distribution like that of a network.
func alike(rng *rand.Rand, mirrors [][]float32) []float32 {
	v := make([]float32, space.Dimension)
	for i := range v {
		v[i] = float32(rng.NormFloat64() * math.Exp(-float64(i)/(2*39)))
	}
	for _, m := range mirrors { // Householder's reflections
		var product float32
		for i := range v {
			product += m[i] * v[i]
		}
		for i := range v {
			v[i] -= 2 * product * m[i]
		}
	}
	return normalised(v)
}

// bareSearches returns the time of the processors that the searches of the first n faces take.
func bareSearches(b *testing.B, index *searched, n int, floor float64) time.Duration {
	b.Helper()
	vectors := make(chan []float32)
	cpu := processorTime(b)
	go func() {
		defer close(vectors)
		for r := range index.Index.Scan(ports.Everything(collection, "")) {
			if n--; n < 0 {
				return
			}
			vectors <- r.Vector
		}
	}()
	require.NoError(b, together(searchCallers, func(int) error {
		for v := range vectors {
			if _, err := index.Search(b.Context(), ports.Query{Collection: collection, Vector: v, K: 1000, MinScore: floor}); err != nil {
				return err
			}
		}
		return nil
	}))
	return processorTime(b) - cpu
}
