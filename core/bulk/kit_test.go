package bulk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/config"
	"imago/core/bulk"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/core/retry"
	"imago/core/vectorstore"
	"imago/ports"
)

var gateway = ports.Client{Name: "gateway"}

// magic is what the content of a picture begins with.
const magic = "\xff\xd8"

// extractor makes templates from any bytes, refuses those that begin with "bad"
// behind the magic, and counts.
type extractor struct {
	mu    sync.Mutex
	calls map[string]int
}

func (x *extractor) Probe(context.Context, []byte) ([]float32, error) { panic("unused") }

func (x *extractor) ProbeAll(context.Context, []byte, int, quality.Gate) ([]extraction.Template, error) {
	panic("nothing is searched")
}

func (x *extractor) Explain(context.Context, []byte, quality.Gate) ([]float32, extraction.Explanation, error) {
	panic("unused")
}

func (x *extractor) Enrol(_ context.Context, picture []byte, _ quality.Gate) (extraction.Template, error) {
	x.mu.Lock()
	picture = bytes.TrimPrefix(picture, []byte(magic))
	x.calls[string(picture)]++
	x.mu.Unlock()
	if bytes.HasPrefix(picture, []byte("bad")) {
		return extraction.Template{}, ports.Refuse(ports.ErrInvalid, "no face", "blurred")
	}
	sum := sha256.Sum256(picture)
	angle := 2 * math.Pi * float64(sum[0]) / 256
	return extraction.Template{Vector: []float32{float32(math.Cos(angle)), float32(math.Sin(angle))}}, nil
}

func (x *extractor) total() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, c := range x.calls {
		n += c
	}
	return n
}

// place is a gallery over a store in RAM.
type place struct {
	*gallery.Gallery
	store     ports.VectorStore
	extractor *extractor
}

func open(tb testing.TB) place {
	tb.Helper()
	s := vectorstore.New("memstore", memstore.New(config.MemoryStore{}, ports.Space{Model: "suite", Dimension: 2}, slog.New(slog.DiscardHandler)), ports.Space{Model: "suite", Dimension: 2})
	require.NoError(tb, s.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, s.Close(context.Background())) })
	x := &extractor{calls: map[string]int{}}
	return place{
		gallery.New(x, s, gallery.Options{Lists: []gallery.Collection{{Name: "blacklist", Shared: true}}}), s, x,
	}
}

// users returns the user IDs and how many faces each has.
func (p place) users(tb testing.TB, collection string) map[string]int {
	tb.Helper()
	users := map[string]int{}
	for r, err := range p.store.Scan(tb.Context(), ports.Everything(collection, "")) {
		require.NoError(tb, err)
		users[r.UserID]++
	}
	return users
}

// folder makes a file system of paths and contents, which become pictures but for
// those that begin with "text".
func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = file(content)
	}
	return fsys
}

func file(content string) *fstest.MapFile {
	if !strings.HasPrefix(content, "text") {
		content = magic + content
	}
	return &fstest.MapFile{Data: []byte(content), Mode: 0o600}
}

// outcome is what a run says.
type outcome struct {
	bulk.Tally
	refused []string // path: user: reason, sorted
	err     error
}

var quick = retry.Policy{FirstWait: time.Microsecond, MaxWait: time.Microsecond, MaxTotal: 20 * time.Microsecond}

func enrol(ctx context.Context, fsys fs.FS, g bulk.Gallery, change ...func(*bulk.Options)) outcome {
	var out outcome
	o := bulk.Options{
		Collection: "users", Client: gateway, Workers: 4, ImageBytes: len(magic) + 100, Retry: quick,
		Refused: func(r bulk.Refusal) error {
			out.refused = append(out.refused, strings.Join([]string{r.Path, r.UserID, r.Reason}, ": "))
			return nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	out.Tally, out.err = bulk.Enrol(ctx, fsys, g, o)
	slices.Sort(out.refused)
	return out
}
