package contract

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"imago/core/vectorstore"
	"imago/ports"
)

// driver is the simplest driver that keeps every promise: the oracle behind one lock.
// Drivers over the same archive share its records.
type driver struct {
	*archive
	opened ports.Space
}

type archive struct {
	mu    sync.Mutex
	space ports.Space // of whoever opened it first
	kept  oracle
}

var _ ports.StoreDriver = (*driver)(nil)

func (d *driver) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.space == (ports.Space{}) {
		d.space = d.opened
	}
	if d.space.ID() != d.opened.ID() {
		return d.opened.Mismatch("it", d.space.String(), "make another")
	}
	return nil
}

func (d *driver) Check(context.Context) error { return nil }

func (d *driver) Close() error { return nil }

func (d *driver) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.EnrolledAt = r.EnrolledAt.UTC().Truncate(time.Microsecond)
	if err := d.kept.add(r, mode); !errors.Is(err, ports.ErrResembles) {
		return err
	}
	return mode.CheckUnlike(ctx, &unlocked{d.kept}, r)
}

// unlocked finds whom a face resembles.
type unlocked struct{ oracle }

func (u *unlocked) Search(_ context.Context, q ports.Query) ([]ports.Match, error) {
	return u.search(q), nil
}

func (u *unlocked) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	return u.get(user), nil
}

func (d *driver) Remove(_ context.Context, removal ports.Removal, owners ports.Owners) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept.remove(removal, owners)
}

func (d *driver) Expire(_ context.Context, user ports.UserKey, c ports.Cutoff) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !c.Expired(d.kept.get(user)) {
		return ports.ErrNotFound
	}
	return d.kept.remove(ports.WholeUser(user), ports.Everybody())
}

func (d *driver) Expired(_ context.Context, collection string, c ports.Cutoff) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		d.mu.Lock()
		ids := d.kept.expired(collection, c)
		d.mu.Unlock()
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (d *driver) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	faces := d.kept.get(user)
	if len(faces) == 0 {
		return nil, ports.ErrNotFound
	}
	faces = cloned(faces)
	for i := range faces {
		faces[i].Chip = nil
	}
	return faces, nil
}

func (d *driver) Search(_ context.Context, q ports.Query) ([]ports.Match, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := d.kept.ranking(q)
	for i := range found {
		found[i].Score = max(-1, min(1, found[i].Score))
	}
	found = slices.DeleteFunc(found, func(m ports.Match) bool { return m.Score < q.MinScore })
	return found[:min(q.K, len(found))], nil
}

func (d *driver) Scan(_ context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		d.mu.Lock()
		records := d.kept.selected(s)
		d.mu.Unlock()
		replay(records, nil)(func(r ports.Record, err error) bool {
			r.Vector, r.Chip = slices.Clone(r.Vector), slices.Clone(r.Chip)
			return yield(r, err)
		})
	}
}

func (d *driver) Count(_ context.Context, collection string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept.count(collection), nil
}

func cloned(records []ports.Record) []ports.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Vector = slices.Clone(records[i].Vector)
	}
	return records
}

// reference is the store of a driver, with its records at hand.
type reference struct {
	*vectorstore.Store
	*archive
}

func openReference(a *archive, space ports.Space) (*reference, error) {
	s := vectorstore.New("reference", &driver{a, space}, space)
	return &reference{s, a}, s.Start(context.Background())
}

// mustOpenReference is for those who have the right space.
func mustOpenReference(a *archive, space ports.Space) *reference {
	s, err := openReference(a, space)
	if err != nil {
		panic(err)
	}
	return s
}

// archived is a store over an archive, as a damaged one is too.
type archived interface{ data() *archive }

func (s *reference) data() *archive { return s.archive }

// harnessOf makes the harness of the reference with every instance wrapped.
func harnessOf(wrap func(*reference) ports.VectorStore) StoreHarness {
	return StoreHarness{
		Records: 1200,
		Chips:   true,
		Fill: func(_ testing.TB, s ports.VectorStore, records []ports.Record) {
			data := s.(archived).data()
			data.mu.Lock()
			defer data.mu.Unlock()
			data.kept.records = append(data.kept.records, cloned(records)...)
		},
		Open: func(_ testing.TB, space ports.Space) ports.VectorStore {
			return wrap(mustOpenReference(&archive{}, space))
		},
		Reopen: func(_ testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			again, err := openReference(s.(archived).data(), space)
			if err != nil {
				return nil, err
			}
			return wrap(again), nil
		},
		Second: func(_ testing.TB, s ports.VectorStore) ports.VectorStore {
			data := s.(archived).data()
			return wrap(mustOpenReference(data, data.space))
		},
	}
}

func referenceHarness() StoreHarness {
	return harnessOf(func(s *reference) ports.VectorStore { return s })
}

// copyOf is a second instance that has the data of the moment to itself.
func copyOf(_ testing.TB, s ports.VectorStore) ports.VectorStore {
	data := s.(archived).data()
	data.mu.Lock()
	defer data.mu.Unlock()
	return mustOpenReference(&archive{kept: oracle{slices.Clone(data.kept.records)}}, data.space)
}
