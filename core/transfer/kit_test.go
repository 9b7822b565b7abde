package transfer_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/config"
	"imago/core/retry"
	"imago/core/transfer"
	"imago/core/vectorstore"
	"imago/ports"
)

const dimension = 8

var (
	collections = []string{"users", "blacklist", "whitelist"}
	space       = ports.Space{Model: "suite", Digest: "5a", Preprocessing: "RGB", Dimension: dimension}
	// quick repeats without waiting noticeably.
	quick = transfer.Options{Retry: retry.Policy{FirstWait: time.Microsecond, MaxWait: time.Microsecond, MaxTotal: 20 * time.Microsecond}}
)

// open returns an empty store in RAM.
func open(tb testing.TB) *vectorstore.Store {
	tb.Helper()
	s := vectorstore.New("memstore", memstore.New(config.MemoryStore{}, space, slog.New(slog.DiscardHandler)), space)
	require.NoError(tb, s.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, s.Close(context.Background())) })
	return s
}

// face returns a record whose vector depends on nothing but the random source.
func face(r *rand.Rand, collection, user, id string) ports.Record {
	v := make([]float32, dimension)
	var sum float64
	for i := range v {
		x := r.NormFloat64()
		v[i] = float32(x)
		sum += x * x
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return ports.Record{
		Collection: collection, UserID: user, FaceID: id, Vector: v,
		Owner: []string{"", "gateway", `o"\é`}[r.IntN(3)], EnrolledAt: time.UnixMicro(1_700_000_000_000_000 + r.Int64N(1e15)).UTC(),
	}
}

// add adds records as they come, each user's in order.
func add(tb testing.TB, s ports.VectorStore, records ...ports.Record) {
	tb.Helper()
	seen := map[[2]string]bool{}
	for _, r := range records {
		key, mode := [2]string{r.Collection, r.UserID}, ports.NewUser()
		if seen[key] {
			mode = ports.FurtherFace(ports.Everybody())
		}
		seen[key] = true
		require.NoError(tb, s.Add(tb.Context(), r, mode))
	}
}

// gallery returns users with one to three faces in every collection, among them
// awkward IDs.
func gallery(users int) []ports.Record {
	r := rand.New(rand.NewPCG(3, 5))
	awkward := []string{`a"b`, `a\b`, "50%", "日本", "🙂", "a b", "<&>", "\u2028", "é", "e\u0301"}
	var records []ports.Record
	for _, c := range collections {
		for i := range users {
			id := fmt.Sprintf("user-%04d", i)
			if i < len(awkward) {
				id = awkward[i]
			}
			var expires time.Time
			if i%3 == 1 {
				expires = time.UnixMicro(4_102_444_800_000_001 + int64(i)).UTC() // in 2100
			}
			for f := range 1 + r.IntN(3) {
				one := face(r, c, id, fmt.Sprintf("f%d", f))
				one.ExpiresAt = expires
				records = append(records, one)
			}
		}
	}
	return records
}

// filled returns a store with the gallery.
func filled(tb testing.TB, users int) *vectorstore.Store {
	tb.Helper()
	s := open(tb)
	add(tb, s, gallery(users)...)
	return s
}

// all returns every record of a store in order.
func all(tb testing.TB, s ports.VectorStore) []ports.Record {
	tb.Helper()
	var records []ports.Record
	for _, c := range collections {
		for r, err := range s.Scan(tb.Context(), ports.Everything(c, "")) {
			require.NoError(tb, err)
			records = append(records, r)
		}
	}
	return records
}

// flaky is a store that every few calls is unavailable: before a write has
// taken effect or after, and in the middle of a scan.
type flaky struct {
	ports.VectorStore
	every int64
	calls atomic.Int64
}

func (s *flaky) fails() bool { return s.calls.Add(1)%s.every == 0 }

func (s *flaky) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if s.fails() {
		return ports.ErrUnavailable
	}
	err := s.VectorStore.Add(ctx, r, mode)
	if s.fails() {
		return ports.ErrUnavailable
	}
	return err
}

func (s *flaky) Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	if s.fails() {
		return nil, ports.ErrUnavailable
	}
	return s.VectorStore.Get(ctx, user)
}

func (s *flaky) Count(ctx context.Context, collection string) (int, error) {
	if s.fails() {
		return 0, ports.ErrUnavailable
	}
	return s.VectorStore.Count(ctx, collection)
}

func (s *flaky) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for r, err := range s.VectorStore.Scan(ctx, selection) {
			if s.fails() {
				yield(ports.Record{}, fmt.Errorf("scan: %w", ports.ErrUnavailable))
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// hooked is a store with something else to do at each Add.
type hooked struct {
	ports.VectorStore
	add func(ctx context.Context, r ports.Record, mode ports.Mode) error
}

func (s hooked) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	return s.add(ctx, r, mode)
}
