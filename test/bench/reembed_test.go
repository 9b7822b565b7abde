package bench

import (
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"imago/core/facechip"
	"imago/core/quality"
	"imago/core/reembed"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// BenchmarkReembed says what carrying a face over to another embedder takes, on all cores and
// without a store: decrypting its chip, embedding it, and encrypting it anew. It also says how
// large the encrypted chips are, of photographs and of small pictures from films.
func BenchmarkReembed(b *testing.B) {
	for _, pictures := range []string{"*.jpg", "cast/*.png"} {
		b.Run(pictures, func(b *testing.B) { benchmarkReembed(b, pictures) })
	}
}

func benchmarkReembed(b *testing.B, pictures string) {
	paths, err := filepath.Glob(filepath.Join(fixture.Faces(b), pictures))
	require.NoError(b, err)
	p, cipher := pipeline.New(b), facechip.New([32]byte{1})
	x := p.Extractor()
	var faces []ports.Record
	var sizes []int
	for _, path := range paths {
		template, err := x.Enrol(b.Context(), fixture.Read(b, filepath.Dir(pictures), filepath.Base(path)), quality.Gate{})
		if errors.Is(err, ports.ErrInvalid) {
			continue // several faces
		}
		require.NoError(b, err)
		r := ports.Record{Collection: "users", UserID: filepath.Base(path), FaceID: "f", Vector: template.Vector}
		r.Chip, err = cipher.Seal(template.Chip, r.User(), r.FaceID)
		require.NoError(b, err)
		faces, sizes = append(faces, r), append(sizes, len(r.Chip))
	}
	slices.Sort(sizes)
	workers := runtime.GOMAXPROCS(0)
	c := reembed.New(p.Embedder, reembed.Options{From: cipher, To: cipher, Keeps: func(string) bool { return true }, Workers: workers})
	for b.Loop() {
		var all errgroup.Group
		all.SetLimit(4 * workers)
		for _, r := range faces {
			all.Go(func() error {
				_, _, err := c.Convert(b.Context(), r)
				return err
			})
		}
		require.NoError(b, all.Wait())
	}
	b.ReportMetric(float64(b.N*len(faces))/b.Elapsed().Seconds(), "faces/s")
	b.ReportMetric(float64(sizes[0]), "smallest-chip-B")
	b.ReportMetric(float64(sizes[len(sizes)/2]), "median-chip-B")
	b.ReportMetric(float64(sizes[len(sizes)-1]), "largest-chip-B")
}
