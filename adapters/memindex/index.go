package memindex

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"

	"imago/ports"
)

// Index has the faces of all collections. Any number of goroutines may read; Add,
// RemoveUser, RemoveFace, Clear and Publish are for one goroutine at a time.
//
// What the others of these change becomes visible with Publish: for a search of a
// collection all of it at the same moment, so a user who is removed and added again in
// between is never missing. A search waits for no change. Get, Count and Scan wait from the
// first change to Publish, so call it soon.
type Index struct {
	dimension, threads int

	mu          sync.RWMutex // held for writing while changing is true
	changing    bool         // changes are not published; only the goroutine that makes them uses it
	collections map[string]*collection
	changed     []*collection // since the last Publish
	published   atomic.Pointer[map[string]*collection]
	faces       atomic.Int64
}

// New returns an empty index whose searches use at most some threads, 0 for
// one per core.
func New(dimension, threads int) *Index {
	x := &Index{dimension: dimension, threads: cmp.Or(threads, runtime.GOMAXPROCS(0)), collections: map[string]*collection{}}
	x.Publish()
	return x
}

// beginChange makes reads other than searches wait until Publish.
func (x *Index) beginChange() {
	if !x.changing {
		x.mu.Lock()
		x.changing = true
	}
}

// Add adds a face that the index does not have. It keeps nothing of the record's memory.
func (x *Index) Add(r ports.Record) {
	x.beginChange()
	c, ok := x.collections[r.Collection]
	if !ok {
		c = newCollection(r.Collection, x.dimension, x.threads)
		x.collections[c.name] = c
	}
	x.markChanged(c)
	c.add(r)
	x.faces.Add(1)
}

// RemoveUser removes all faces of a user, if there are any.
func (x *Index) RemoveUser(key ports.UserKey) {
	x.beginChange()
	if c, ok := x.collections[key.Collection]; ok {
		x.markChanged(c)
		x.faces.Add(-int64(c.remove(key.UserID)))
	}
}

// RemoveFace removes one face of a user, if it is there.
func (x *Index) RemoveFace(key ports.UserKey, face string) {
	x.beginChange()
	if c, ok := x.collections[key.Collection]; ok {
		x.markChanged(c)
		x.faces.Add(-int64(c.removeFace(key.UserID, face)))
	}
}

// Clear removes everything.
func (x *Index) Clear() {
	x.beginChange()
	clear(x.collections)
	x.changed = nil
	x.faces.Store(0)
}

// markChanged notes that a collection has something to publish.
func (x *Index) markChanged(c *collection) {
	if !c.changed {
		c.changed = true
		x.changed = append(x.changed, c)
	}
}

// Publish makes all changes visible. An empty collection is deleted only here: a search
// that runs while the last user is removed and added again must find the user.
func (x *Index) Publish() {
	x.beginChange()
	for _, c := range x.changed {
		c.changed = false
		c.vectors.Publish()
		if c.users.Len() == 0 {
			delete(x.collections, c.name)
		}
	}
	clear(x.changed)
	x.changed = x.changed[:0]
	if old := x.published.Load(); old == nil || !maps.Equal(*old, x.collections) {
		collections := maps.Clone(x.collections)
		x.published.Store(&collections)
	}
	x.changing = false
	x.mu.Unlock()
}

// Search answers a query as a ports.StoreDriver does.
func (x *Index) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	c, ok := (*x.published.Load())[q.Collection]
	if !ok {
		return nil, nil
	}
	return c.search(ctx, q)
}

// Get returns the faces of a user by FaceID, none for an unknown one.
func (x *Index) Get(key ports.UserKey) []ports.Record {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[key.Collection]
	if !ok {
		return nil
	}
	u, ok := c.users.Get(key.UserID)
	if !ok {
		return nil
	}
	records := make([]ports.Record, len(u.faces))
	for i, f := range u.faces {
		records[i] = c.record(f)
	}
	return records
}

// scanPage is how many records a scan copies at a time.
const scanPage = 256

// Scan yields the records of a selection as a ports.StoreDriver does, and no error. It
// copies a page at a time and holds nothing while it yields.
func (x *Index) Scan(s ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		at := cursor{user: s.From}
		for {
			var page []ports.Record
			page, at = x.page(s, at, scanPage)
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < scanPage {
				return
			}
		}
	}
}

// page returns at most n of the records of a selection from a place on, and the place
// behind them.
func (x *Index) page(s ports.Selection, from cursor, n int) ([]ports.Record, cursor) {
	if _, one := s.Owners.Only(); one {
		x.indexByOwner(s.Collection)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[s.Collection]
	if !ok {
		return nil, from
	}
	return c.page(s, from, n)
}

// indexByOwner has a collection keep its users by owner from now on.
func (x *Index) indexByOwner(name string) {
	x.mu.RLock()
	c, ok := x.collections[name]
	sorted := !ok || c.owners != nil
	x.mu.RUnlock()
	if sorted {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if c, ok := x.collections[name]; ok && c.owners == nil {
		c.indexByOwner()
	}
}

// Count returns the number of users of a collection.
func (x *Index) Count(name string) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[name]
	if !ok {
		return 0
	}
	return c.users.Len()
}

// Expired yields the users of a collection who have expired, as a ports.StoreDriver does, and
// no error. It looks at all users and holds nothing while it yields.
func (x *Index) Expired(name string, c ports.Cutoff) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var ids []string
		for from, more := "", true; more; {
			ids, from, more = x.expired(name, from, c)
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
	}
}

func (x *Index) expired(name, from string, c ports.Cutoff) (ids []string, next string, more bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if in, ok := x.collections[name]; ok {
		return in.expired(from, c)
	}
	return nil, "", false
}

// Len returns the number of faces of all collections, with changes that are not published
// yet. It waits for nothing.
func (x *Index) Len() int { return int(x.faces.Load()) }

// Bytes returns about how much memory is needed for what was published. It waits for
// nothing.
func (x *Index) Bytes() int64 {
	n := int64(0)
	for _, c := range *x.published.Load() {
		n += c.bytes.Load() + c.vectors.Bytes()
	}
	return n
}
