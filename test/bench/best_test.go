package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"imago/core/calibration"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// known is an extractor that has the templates already: a picture is the number of one.
type known [][]float32

func (k known) Probe(_ context.Context, picture []byte) ([]float32, error) {
	return k[binary.LittleEndian.Uint64(picture)], nil
}

func (k known) Explain(ctx context.Context, picture []byte, _ quality.Gate) ([]float32, extraction.Explanation, error) {
	v, err := k.Probe(ctx, picture)
	return v, extraction.Explanation{}, err
}

func (k known) Enrol(ctx context.Context, picture []byte, _ quality.Gate) (extraction.Template, error) {
	v, err := k.Probe(ctx, picture)
	return extraction.Template{Vector: v}, err
}

func (k known) ProbeAll(ctx context.Context, picture []byte, _ int, _ quality.Gate) ([]extraction.Template, error) {
	v, err := k.Probe(ctx, picture)
	return []extraction.Template{{Vector: v}}, err
}

// counting counts the searches of a store.
type counting struct {
	ports.VectorStore
	searches atomic.Int64
}

func (c *counting) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	c.searches.Add(1)
	return c.VectorStore.Search(ctx, q)
}

// BenchmarkBestScores measures what the figures about drift cost a search, picture work
// aside: for enrolled people, whose best score the answer tells, and for strangers, of whom
// the store is asked again, a hundredth of the time. IMAGO_BENCH_FACES is the size of the
// gallery; "asked" is how often the store was searched for one search.
func BenchmarkBestScores(b *testing.B) {
	people := crowd(galleryFaces(b), true)
	strangers := probesOf(crowd(1000, false), 256) // of people who are not in the gallery
	for _, backend := range exactBackends(b) {
		b.Run(backend.name, func(b *testing.B) {
			s := &counting{VectorStore: backend.open(b, people)}
			for _, who := range []string{"enrolled", "strangers"} {
				probes := map[string]known{"enrolled": probesOf(people, 256), "strangers": strangers}[who]
				g := gallery.New(probes, s, gallery.Options{Threshold: 80, Curve: calibration.Curve{Midpoint: 0.414, Steepness: 20.9}})
				for _, callers := range []int{1, 32} {
					for _, measured := range []bool{false, true} {
						b.Run(fmt.Sprintf("%s/callers=%d/measured=%v", who, callers, measured), func(b *testing.B) {
							asked, used := s.searches.Load(), processorTime(b)
							measure(b, callers, func(i int) error {
								_, err := g.Search(b.Context(), ports.Client{}, gallery.Probe{
									Collection: collection, Threshold: 80, Limit: 10, Measure: measured,
									Picture: binary.LittleEndian.AppendUint64(nil, uint64(i%len(probes))),
								})
								return err
							})
							b.ReportMetric(float64(s.searches.Load()-asked)/float64(b.N), "asked/search")
							b.ReportMetric(float64((processorTime(b)-used).Microseconds())/1000/float64(b.N), "cpu-ms/search")
						})
					}
				}
			}
		})
	}
}
