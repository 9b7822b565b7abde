package memstore

import (
	"cmp"
	"context"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"

	"imago/ports"
)

// index is the part of the store that answers: all collections in RAM. It knows
// nothing of files and judges no input. Searches read what was published and take no
// lock that a write holds; everything else goes through one that reads share.
type index struct {
	dimension, threads int

	mu          sync.RWMutex
	collections map[string]*collection
	changed     []*collection // since the last publish
	published   atomic.Pointer[map[string]*collection]
}

// newIndex returns an empty index whose searches use at most some threads, 0 for
// one per core.
func newIndex(dimension, threads int) *index {
	x := &index{dimension: dimension, threads: cmp.Or(threads, runtime.GOMAXPROCS(0)), collections: map[string]*collection{}}
	x.publish()
	return x
}

// removal is the mode of a change that removes a user; it is no mode of ports.
const removal ports.Mode = 0

// change is one change that was found to be possible: the record with a mode
// of Add, or its user's removal.
type change struct {
	mode   ports.Mode
	record ports.Record
}

// apply makes changes visible, all those of a collection at the same moment.
func (x *index) apply(changes []change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range changes {
		if c.mode == removal || c.mode == ports.Replacement {
			x.remove(c.record.Collection, c.record.UserID)
		}
		if c.mode != removal {
			x.add(c.record)
		}
	}
	x.publish()
}

// add adds a face, which searches see when it is published.
func (x *index) add(r ports.Record) {
	c, ok := x.collections[r.Collection]
	if !ok {
		c = newCollection(r.Collection, x.dimension, x.threads)
		x.collections[c.name] = c
	}
	x.touch(c)
	c.add(r)
}

func (x *index) remove(name, user string) {
	if c, ok := x.collections[name]; ok {
		x.touch(c)
		c.remove(user)
	}
}

// touch notes that a collection has something to publish.
func (x *index) touch(c *collection) {
	if !c.changed {
		c.changed = true
		x.changed = append(x.changed, c)
	}
}

// publish shows the changes to searches. A collection goes only now, when it is certain
// that it stays empty: until then a search may hold it and must find in it the user
// whose face was replaced.
func (x *index) publish() {
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
}

// clear forgets everything.
func (x *index) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.collections)
	x.changed = nil
	x.publish()
}

// search answers a query.
func (x *index) search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	c, ok := (*x.published.Load())[q.Collection]
	if !ok {
		return nil, nil
	}
	return c.search(ctx, q)
}

// get returns the faces of a user, none for an unknown one.
func (x *index) get(name, id string) []ports.Record {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[name]
	if !ok {
		return nil
	}
	u, ok := c.users.Get(id)
	if !ok {
		return nil
	}
	records := make([]ports.Record, len(u.faces))
	for i, f := range u.faces {
		records[i] = c.record(f)
	}
	return records
}

// page returns at most n of the records of a selection from a place on, and the place
// behind them.
func (x *index) page(s ports.Selection, from cursor, n int) ([]ports.Record, cursor) {
	if _, one := s.Owners.Only(); one {
		x.sortByOwner(s.Collection)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[s.Collection]
	if !ok {
		return nil, from
	}
	return c.page(s, from, n)
}

// sortByOwner has a collection keep its users by owner from now on.
func (x *index) sortByOwner(name string) {
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
		c.sortByOwner()
	}
}

// count returns the number of users of a collection.
func (x *index) count(name string) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[name]
	if !ok {
		return 0
	}
	return c.users.Len()
}
