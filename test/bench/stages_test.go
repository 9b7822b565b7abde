package bench

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// stages adds up the time spent behind each port.
type stages struct{ decode, detect, embed time.Duration }

func since(sum *time.Duration, start time.Time) { *sum += time.Since(start) }

type timedDecoder struct {
	ports.Decoder
	s *stages
}

func (d timedDecoder) Decode(ctx context.Context, data []byte, longSide int) (*ports.Image, error) {
	defer since(&d.s.decode, time.Now())
	return d.Decoder.Decode(ctx, data, longSide)
}

type timedDetector struct {
	ports.Detector
	s *stages
}

func (d timedDetector) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	defer since(&d.s.detect, time.Now())
	return d.Detector.Detect(ctx, img, longSide)
}

type timedEmbedder struct {
	ports.Embedder
	s *stages
}

func (e timedEmbedder) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	defer since(&e.s.embed, time.Now())
	return e.Embedder.Embed(ctx, chips)
}

// BenchmarkStages reports where the time of one enrolment's extraction goes, in
// milliseconds a picture: align is everything that is not behind a port
// (alignment, crops, quality).
func BenchmarkStages(b *testing.B) {
	for _, file := range []string{"001_A.jpg", "003_A.jpg", "007_B.jpg", "cast/amy1.png"} {
		b.Run(file, func(b *testing.B) {
			picture := fixture.Read(b, file)
			p := pipeline.New(b)
			var s stages
			p.Decoder, p.Embedder = timedDecoder{p.Decoder, &s}, timedEmbedder{p.Embedder, &s}
			p.Detector = timedDetector{p.Detector, &s}
			x := p.Extractor()
			b.ReportAllocs()
			for b.Loop() {
				_, err := x.Enrol(b.Context(), picture, quality.Gate{MinSharpness: 1})
				require.NoError(b, err)
			}
			per := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
			b.ReportMetric(per(s.decode), "decode-ms")
			b.ReportMetric(per(s.detect), "detect-ms")
			b.ReportMetric(per(s.embed), "embed-ms")
			b.ReportMetric(per(b.Elapsed()-s.decode-s.detect-s.embed), "align-ms")
		})
	}
}
