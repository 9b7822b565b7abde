package bulk_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/config"
	"imago/core/bulk"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/core/quality"
	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// castFolder holds the portraits of the cast, 40 users with a picture each.
func castFolder(b *testing.B) (fs.FS, [][]byte) {
	b.Helper()
	paths, err := filepath.Glob(filepath.Join(fixture.Faces(b, "cast"), "*.png"))
	require.NoError(b, err)
	fsys, pictures := fstest.MapFS{}, [][]byte{}
	for i, path := range paths {
		data := fixture.Read(b, "cast", filepath.Base(path))
		fsys[fmt.Sprintf("user-%02d%s", i, strings.ToLower(filepath.Ext(path)))] = &fstest.MapFile{Data: data}
		pictures = append(pictures, data)
	}
	return fsys, pictures
}

// BenchmarkEnrol compares a run over the cast with the same pictures going
// through the pipeline one after the other on one core, without a store.
func BenchmarkEnrol(b *testing.B) {
	fsys, pictures := castFolder(b)
	p := pipeline.New(b)
	perSecond := func(b *testing.B) {
		b.ReportMetric(float64(b.N*len(pictures))/b.Elapsed().Seconds(), "pictures/s")
	}
	b.Run("one core, no store", func(b *testing.B) {
		x := p.Extractor()
		b.ReportAllocs()
		for b.Loop() {
			for _, picture := range pictures {
				_, err := x.Enrol(b.Context(), picture, quality.Gate{})
				require.NoError(b, err)
			}
		}
		perSecond(b)
	})
	for _, ahead := range []int{0, 16} {
		b.Run(fmt.Sprintf("all cores, store in a file, %d users ahead", ahead), func(b *testing.B) {
			workers := runtime.GOMAXPROCS(0)
			i := p.Config.Inference
			x := extraction.New(p.Decoder, p.Detector, p.Embedder, extraction.Options{
				Workers: workers, Queue: i.Queue, DetectSizes: i.DetectSizes, Refine: i.Refine,
			})
			b.ReportAllocs()
			for b.Loop() {
				s := fileStore(b, p.Embedder.Space())
				tally, err := bulk.Enrol(b.Context(), fsys, gallery.New(x, s, gallery.Options{}), bulk.Options{
					Collection: naming.Inventory, Workers: workers + ahead, ImageBytes: 5 << 20,
				})
				require.NoError(b, err)
				require.Equal(b, len(pictures), tally.Enrolled)
				require.NoError(b, s.Close(context.Background()))
			}
			perSecond(b)
		})
	}
}

func fileStore(b *testing.B, space ports.Space) *vectorstore.Store {
	b.Helper()
	path := filepath.Join(b.TempDir(), "imago.db")
	s := vectorstore.New("memstore", memstore.New(config.MemoryStore{Path: path}, space, slog.New(slog.DiscardHandler)), space)
	require.NoError(b, s.Start(b.Context()))
	return s
}
