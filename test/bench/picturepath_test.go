package bench

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/loadgen"
	"imago/adapters/memstore"
	"imago/config"
	"imago/core/bulk"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/core/vectorstore"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// pictureSet is pictures that are measured together.
type pictureSet struct {
	name     string
	pictures [][]byte
}

// pictureSets are the stills of the cast (150 pixels), photographs of 0.1 to 0.5
// megapixels and photographs of 15 to 36; where there are none of them, the drawn
// portrait alone.
func pictureSets(b *testing.B) []pictureSet {
	b.Helper()
	stills, err := filepath.Glob(filepath.Join(fixture.Root(b), "..", "shared", "faces", "cast", "*.png"))
	require.NoError(b, err)
	if len(stills) == 0 {
		return []pictureSet{{"drawn", [][]byte{loadgen.Portrait()}}}
	}
	read := func(names ...string) (pictures [][]byte) {
		for _, name := range names {
			pictures = append(pictures, fixture.Read(b, name))
		}
		return pictures
	}
	for i, path := range stills {
		stills[i] = filepath.Join("cast", filepath.Base(path))
	}
	return []pictureSet{
		{"stills", read(stills...)},
		{"photographs", read("000_5.jpg", "007_B.jpg", "009_C.jpg", "010_2.jpg", "012_4.jpg", "014_5.jpg", "016_8.jpg", "cast/group1.jpg", "cast/group3.jpg")},
		{"large", read("001_A.jpg", "003_A.jpg", "005_A.jpg")},
	}
}

const (
	latencyTime    = 10 * time.Second // of each set
	throughputTime = 5 * time.Second  // of each number of clients
	bareTime       = 3 * time.Second  // of each rate of the libraries alone
	bulkCopies     = 8                // users made of each picture
)

// BenchmarkPicturePath holds imago against the libraries that it stands on, taking
// turns in one run: how long a search over HTTP takes one client, how many searches
// a second many clients get, and how fast a folder is enrolled in a store in a file.
// The bare time of a picture is libjpeg-turbo or libpng at the scale that imago
// decodes at, the detector over the inputs that imago shows it, and the embedder,
// with all tensors ready; bare-once leaves out the detections that measure the
// landmarks again. Ratios of throughput are to cores divided by the mean bare time.
func BenchmarkPicturePath(b *testing.B) {
	p := pipeline.New(b)
	n := openNetworks(b, p)
	sets := pictureSets(b)
	for _, set := range sets {
		b.Run("search/"+set.name, func(b *testing.B) { benchmarkLatency(b, p, n, set) })
	}
	b.Run("saturation/"+sets[0].name, func(b *testing.B) { benchmarkSaturation(b, p, n, sets[0]) })
	b.Run("enrol/"+sets[0].name, func(b *testing.B) { benchmarkBulk(b, p, n, sets[0]) })
}

func yardsticks(b *testing.B, p *pipeline.Pipeline, n *networks, set pictureSet) (all []*yardstick) {
	b.Helper()
	for _, picture := range set.pictures {
		all = append(all, n.yardstickOf(b, p, picture))
	}
	return all
}

// benchmarkLatency alternates between a search over HTTP and the bare libraries,
// picture by picture. A set's time is the sum of its pictures' medians.
// The processor time of both is what a busy machine disturbs least.
func benchmarkLatency(b *testing.B, p *pipeline.Pipeline, n *networks, set pictureSet) {
	server := serve(b)
	client := newSearcher(server.address)
	all := yardsticks(b, p, n.fresh(b), set)
	searches, bares, onces := make([]samples, len(all)), make([]samples, len(all)), make([]samples, len(all))
	var processor [2]time.Duration // the server's and this one's
	for b.Loop() {
		for began := time.Now(); time.Since(began) < latencyTime; {
			for i, y := range all {
				body := bodyOf(set.pictures[i])
				used, start := server.processorTime(b), time.Now()
				require.NoError(b, client.post("/users/search", body))
				searches[i] = append(searches[i], time.Since(start))
				processor[0] += server.processorTime(b) - used
				used = ownProcessorTime(b)
				s, err := y.measure()
				require.NoError(b, err)
				processor[1] += ownProcessorTime(b) - used
				bares[i], onces[i] = append(bares[i], s.all()), append(onces[i], s.once())
			}
		}
	}
	search, alone, once := meanOfMedians(searches), meanOfMedians(bares), meanOfMedians(onces)
	b.ReportMetric(search, "http-ms")
	b.ReportMetric(alone, "bare-ms")
	b.ReportMetric(search/alone, "http/bare")
	b.ReportMetric(float64(processor[0])/float64(processor[1]), "http/bare-processor")
	b.ReportMetric(once, "bare-once-ms")
	b.ReportMetric(search/once, "http/bare-once")
}

// samples are times of the same thing.
type samples []time.Duration

func (s samples) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// meanOfMedians is the mean time of a picture, in milliseconds.
func meanOfMedians(pictures []samples) (mean float64) {
	for _, s := range pictures {
		mean += milliseconds(s.median()) / float64(len(pictures))
	}
	return mean
}

// rates are pictures a second that the libraries alone reach: on one core, times
// the number of cores, and on all cores at once, which share caches and memory.
type rates struct{ product, once, together float64 }

// bareRates measures both.
func bareRates(b *testing.B, p *pipeline.Pipeline, n *networks, set pictureSet) (r rates) {
	cores := runtime.GOMAXPROCS(0)
	crew := make([][]*yardstick, cores) // tensors are not shared
	for i := range crew {
		crew[i] = yardsticks(b, p, n.fresh(b), set)
	}
	var all, once time.Duration
	rounds := 0
	for began := time.Now(); time.Since(began) < bareTime; rounds++ {
		for _, y := range crew[0] {
			s, err := y.measure()
			require.NoError(b, err)
			all, once = all+s.all(), once+s.once()
		}
	}
	pictures := float64(rounds * len(set.pictures) * cores)
	r.product, r.once = pictures/all.Seconds(), pictures/once.Seconds()
	r.together = crewRate(b, crew)
	return r
}

// crewRate runs the crew at once and returns the pictures a second of all.
func crewRate(b *testing.B, crew [][]*yardstick) float64 {
	var all sync.WaitGroup
	counts, problems := make([]int, len(crew)), make([]error, len(crew))
	began := time.Now()
	for i, own := range crew {
		all.Go(func() {
			for problems[i] == nil && time.Since(began) < bareTime {
				_, problems[i] = own[counts[i]%len(own)].measure()
				counts[i]++
			}
		})
	}
	all.Wait()
	took, sum := time.Since(began), 0
	for i := range crew {
		require.NoError(b, problems[i])
		sum += counts[i]
	}
	return float64(sum) / took.Seconds()
}

// benchmarkSaturation has 1, 2, 4 and 8 clients search as fast as they can. The
// clients run on the same cores.
func benchmarkSaturation(b *testing.B, p *pipeline.Pipeline, n *networks, set pictureSet) {
	target, err := loadgen.ParseTarget(serve(b).address)
	require.NoError(b, err)
	g, err := loadgen.New(loadgen.Options{Target: target, Key: benchKey, Pictures: set.pictures, Users: 1, Timeout: time.Minute})
	require.NoError(b, err)
	for b.Loop() {
		before := bareRates(b, p, n, set)
		best := 0.0
		for _, clients := range []int{1, 2, 4, 8} {
			r, err := g.Run(b.Context(), loadgen.Load{
				Concurrency: clients, Mix: loadgen.SearchOnly(), Warmup: time.Second, Duration: throughputTime,
			})
			require.NoError(b, err)
			require.Zero(b, r.Failed())
			b.ReportMetric(r.Throughput, fmt.Sprintf("search/s-at-%d", clients))
			best = max(best, r.Throughput)
		}
		report(b, best, before, bareRates(b, p, n, set))
	}
}

// report holds a throughput against the bare rates measured before and after.
func report(b *testing.B, reached float64, before, after rates) {
	b.ReportMetric(2*reached/(before.product+after.product), "ratio")
	b.ReportMetric(2*reached/(before.once+after.once), "ratio-once")
	b.ReportMetric(2*reached/(before.together+after.together), "ratio-together")
}

// benchmarkBulk enrols a folder as `imago enroll` does, every commit on disk.
func benchmarkBulk(b *testing.B, p *pipeline.Pipeline, n *networks, set pictureSet) {
	folder := fstest.MapFS{}
	for i, picture := range set.pictures {
		for c := range bulkCopies {
			folder[fmt.Sprintf("user-%d-%d.%s", c, i, extension(picture))] = &fstest.MapFile{Data: picture}
		}
	}
	workers, i := runtime.GOMAXPROCS(0), p.Config.Inference
	x := extraction.New(p.Decoder, p.Detector, p.Embedder, extraction.Options{
		Workers: workers, Queue: i.Queue, DetectSizes: i.DetectSizes, Refine: i.Refine,
	})
	for b.Loop() {
		before := bareRates(b, p, n, set)
		s := vectorstore.New("memstore", memstore.New(config.MemoryStore{Path: filepath.Join(b.TempDir(), "imago.db")}, p.Embedder.Space(), slog.New(slog.DiscardHandler)), p.Embedder.Space())
		require.NoError(b, s.Start(b.Context()))
		runtime.GOMAXPROCS(2 * workers) // as the command does
		began := time.Now()
		tally, err := bulk.Enrol(b.Context(), folder, gallery.New(x, s, gallery.Options{}), bulk.Options{
			Collection: naming.Inventory, Workers: workers + 16, ImageBytes: 5 << 20,
		})
		rate := float64(len(folder)) / time.Since(began).Seconds()
		runtime.GOMAXPROCS(workers)
		require.NoError(b, err)
		require.Equal(b, len(folder), tally.Enrolled)
		require.NoError(b, s.Close(context.Background()))
		b.ReportMetric(rate, "pictures/s")
		report(b, rate, before, bareRates(b, p, n, set))
	}
}

func extension(picture []byte) string {
	if strings.HasPrefix(string(picture[:4]), "\x89PNG") {
		return "png"
	}
	return "jpg"
}
