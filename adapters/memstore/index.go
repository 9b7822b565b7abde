package memstore

import (
	"context"
	"sync"

	"imago/ports"
)

// index is the part of the store that answers: all collections in RAM, behind
// one lock that searches share. It knows nothing of files and judges no input.
// Whatever replaces it (vectors in eight bits, say) has these few methods.
type index struct {
	dimension int

	mu          sync.RWMutex
	collections map[string]*collection
}

func newIndex(dimension int) *index {
	return &index{dimension: dimension, collections: map[string]*collection{}}
}

// removal is the mode of a change that removes a user; it is no mode of ports.
const removal ports.Mode = 0

// change is one change that was found to be possible: the record with a mode
// of Add, or its user's removal.
type change struct {
	mode   ports.Mode
	record ports.Record
}

// apply makes changes visible, all at the same moment.
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
}

func (x *index) add(r ports.Record) {
	c, ok := x.collections[r.Collection]
	if !ok {
		c = newCollection(r.Collection, x.dimension)
		x.collections[c.name] = c
	}
	c.add(r)
}

func (x *index) remove(name, user string) {
	c, ok := x.collections[name]
	if !ok {
		return
	}
	if c.remove(user); c.users.Len() == 0 {
		delete(x.collections, name)
	}
}

// clear forgets everything.
func (x *index) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.collections)
}

// search answers a query.
func (x *index) search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[q.Collection]
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

// page returns at most n records of a collection from a place on, and the place
// behind them.
func (x *index) page(name string, from cursor, n int) ([]ports.Record, cursor) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[name]
	if !ok {
		return nil, from
	}
	return c.page(from, n)
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
