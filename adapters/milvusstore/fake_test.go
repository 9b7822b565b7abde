package milvusstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
)

var (
	errDown    = errors.New("connection refused")
	errAgainID = errors.New("an ID was inserted that was there before")
)

// fakeServer is what stores share that have a fakeTable each: the rows, in one
// order of events as on one shard of a real server.
type fakeServer struct {
	mu       sync.Mutex
	rows     map[string]fakeRow
	used     map[string]bool
	inserted []string // of faces, in order
	removed  []string // all that were asked for, in order
}

type fakeRow struct {
	row
	partition string
}

func newFakeServer() *fakeServer {
	return &fakeServer{rows: map[string]fakeRow{}, used: map[string]bool{}}
}

// of returns the IDs of the rows of a partition, in order.
func (f *fakeServer) of(partition string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, r := range f.rows {
		if r.partition == partition {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// fakeTable is one instance's way to a fakeServer. Its hooks see every call and
// what it is about: an error of before keeps it from taking effect, an error of
// after does not.
type fakeTable struct {
	*fakeServer
	before, after func(ctx context.Context, call, about string) error
	noise         float64 // how far scores may be off when rows are ranked
	old           bool    // rows have neither expiry nor chip
}

func (f *fakeTable) do(ctx context.Context, call, about string, effect func()) error {
	if f.before != nil {
		if err := f.before(ctx, call, about); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	effect()
	f.mu.Unlock()
	if f.after != nil {
		return f.after(ctx, call, about)
	}
	return nil
}

func (f *fakeTable) insert(ctx context.Context, partition string, rows ...row) error {
	again := false
	ids := each(rows, func(r row) string { return r.id })
	err := f.do(ctx, "insert "+partition, strings.Join(ids, " "), func() {
		for _, r := range rows {
			again = again || f.used[r.id]
			f.used[r.id] = true
			r.vector, r.chip = slices.Clone(r.vector), slices.Clone(r.chip)
			f.rows[r.id] = fakeRow{r, partition}
			if partition == facesPartition {
				f.inserted = append(f.inserted, r.id)
			}
		}
	})
	if again {
		return errAgainID
	}
	return err
}

func (f *fakeTable) remove(ctx context.Context, ids []string) error {
	return f.do(ctx, "remove", strings.Join(ids, " "), func() {
		for _, id := range ids {
			delete(f.rows, id)
		}
		f.removed = append(f.removed, ids...)
	})
}

func (f *fakeTable) read(ctx context.Context, s idRange, limit int) (rows []row, err error) {
	err = f.do(ctx, "read", s.from, func() {
		for id, r := range f.rows {
			if id >= s.from && (s.to == "" || id < s.to) && slices.Contains(s.partitions, r.partition) && (s.owner == "" || s.owner == r.owner) &&
				(s.expired == ports.Cutoff{} || s.expired.Expired([]ports.Record{r.record()})) {
				rows = append(rows, wanted(r.row, s))
			}
		}
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
		rows = rows[:min(limit, len(rows))]
	})
	return rows, err
}

// wanted returns of a row what a idRange asks for.
func wanted(r row, s idRange) row {
	if !s.chips {
		r.chip = nil
	}
	switch s.fields {
	case allFields:
		return r
	case withoutVector:
		r.vector = nil
		return r
	}
	return row{id: r.id, generation: r.generation, chip: r.chip}
}

func (f *fakeTable) chipsOf(ctx context.Context, ids []string) (chips map[string][]byte, err error) {
	chips = map[string][]byte{}
	err = f.do(ctx, "chips", strings.Join(ids, " "), func() {
		for _, id := range ids {
			if r, there := f.rows[id]; there {
				chips[id] = r.chip
			}
		}
	})
	return chips, err
}

func (f *fakeTable) users(ctx context.Context, keys ...key) (rows []row, err error) {
	err = f.do(ctx, "read", fmt.Sprint(keys), func() {
		for _, r := range f.rows {
			if slices.Contains(keys, r.key()) {
				rows = append(rows, row{
					id: r.id, generation: r.generation, owner: r.owner, head: r.head, enrolledAt: r.enrolledAt, expiresAt: r.expiresAt,
				})
			}
		}
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
		if len(keys) > 1 {
			rows = rows[:min(maxRead, len(rows))]
		}
	})
	return rows, err
}

func (f *fakeTable) countUsers(ctx context.Context, collection string) (n int, err error) {
	err = f.do(ctx, "heads", collection, func() {
		for _, r := range f.rows {
			if r.partition == facesPartition && r.head && r.key().Collection == collection {
				n++
			}
		}
	})
	return n, err
}

// nearest ranks ties by descending ID, and everything by scores that are a little
// off.
func (f *fakeTable) nearest(ctx context.Context, collection string, vector []float32, limit int) (rows []row, err error) {
	type ranked struct {
		row
		score float64
	}
	var all []ranked
	err = f.do(ctx, "nearest", collection, func() {
		for _, r := range f.rows {
			if r.partition == facesPartition && r.key().Collection == collection {
				all = append(all, ranked{r.row, cosine(vector, r.vector) + f.noise*(2*rand.Float64()-1)})
			}
		}
	})
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(b.id, a.id))
	})
	for _, r := range all[:min(limit, len(all))] {
		rows = append(rows, wanted(r.row, idRange{fields: allFields}))
	}
	return rows, err
}

func (f *fakeTable) check(ctx context.Context) error { return f.do(ctx, "check", "", func() {}) }

func (f *fakeTable) keepsExpiry() bool { return !f.old }

func (f *fakeTable) keepsChips() bool { return !f.old }

func (f *fakeTable) close() error { return nil }

// unopened is a driver that the test sets up by itself.
type unopened struct{ *Driver }

func (unopened) Open(context.Context) error { return nil }

// instance opens a store over a fake server, without a claimCleaner.
func instance(tb testing.TB, server *fakeServer, dimension int) (*store, *fakeTable) {
	tb.Helper()
	d := New(config.MilvusStore{Index: config.IndexExact}, testSpace(dimension), discard())
	t := &fakeTable{fakeServer: server}
	d.table = t
	s := &store{vectorstore.New("milvusstore", unopened{d}, d.space), d}
	require.NoError(tb, s.Start(tb.Context()))
	return s, t
}

// slow has every call of a table take up to a while, and take effect at any moment
// of it.
func slow(t *fakeTable, rng *rand.Rand, while time.Duration) {
	var mu sync.Mutex
	pause := func(context.Context, string, string) error {
		mu.Lock()
		d := time.Duration(rng.Int64N(int64(while)))
		mu.Unlock()
		time.Sleep(d)
		return nil
	}
	t.before, t.after = pause, pause
}

// failing returns a hook that fails at the nth call, counted from 0, and at every
// later one.
func failing(n int) func(context.Context, string, string) error {
	return func(context.Context, string, string) error {
		if n--; n < 0 {
			return errDown
		}
		return nil
	}
}

// faceIDs returns the faces of a user of the collection of the tests.
func faceIDs(tb testing.TB, s *store, user string) []string {
	tb.Helper()
	records, err := s.Get(tb.Context(), userKey(user))
	if errors.Is(err, ports.ErrNotFound) {
		return nil
	}
	require.NoError(tb, err)
	var ids []string
	for _, r := range records {
		ids = append(ids, r.FaceID)
	}
	return ids
}
