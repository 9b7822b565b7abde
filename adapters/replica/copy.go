package replica

import (
	"context"
	"sync"

	"imago/adapters/memindex"
	"imago/ports"
)

// faceCopy is a copy of all faces at a position.
type faceCopy struct {
	index *memindex.Index

	reading sync.RWMutex // held by searches
	dropped bool
}

// search answers a query, unless the copy was dropped meanwhile.
func (c *faceCopy) search(ctx context.Context, q ports.Query) (matches []ports.Match, ok bool, err error) {
	c.reading.RLock()
	defer c.reading.RUnlock()
	if c.dropped {
		return nil, false, nil
	}
	matches, err = c.index.Search(ctx, q)
	return matches, true, err
}

// drop erases the copy when the searches that use it have ended. Memory that is only given
// up would keep the vectors until it is used again.
func (c *faceCopy) drop() {
	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.dropped {
		c.dropped = true
		c.index.Clear()
		c.index.Publish()
	}
}

// apply makes all changes of a delta visible at the same moment. It goes by what the users
// have at its end, not by what has happened to them, so that it may be applied twice.
func (c *faceCopy) apply(delta ports.Delta) {
	for _, user := range delta.Users {
		c.index.RemoveUser(user)
	}
	for _, face := range delta.Faces {
		c.index.Add(face)
		clear(face.Vector) // else it would stay in memory after the face is removed
	}
	c.index.Publish()
}
