package memindex

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tidwall/btree"

	"imago/adapters/exactindex"
	"imago/ports"
)

// user is an enrolled user with at least one face, ordered by ID.
type user struct {
	id    string
	faces []*face
}

// face is what is known of one face beside its vector.
type face struct {
	user       *user
	id         string
	owner      string
	enrolledAt int64 // microseconds since 1970, UTC
	expiresAt  int64 // likewise; 0 for never
	place      exactindex.Place
}

// Group is part of exactindex.Item: a search returns each user once.
func (f *face) Group() string { return f.user.id }

// ID is part of exactindex.Item.
func (f *face) ID() string { return f.id }

// Place is part of exactindex.Item.
func (f *face) Place() *exactindex.Place { return &f.place }

// bytes returns about how much memory a user needs: itself, its ID, and its entry in an
// ordered map, whose nodes are two thirds full.
func (u *user) bytes() int64 {
	const entry = unsafe.Sizeof(u.id) + unsafe.Sizeof(u)
	return int64(unsafe.Sizeof(*u)+entry*3/2) + int64(len(u.id))
}

// bytes returns about how much memory a face needs beside its vector: itself, its strings,
// and its entry in the user's list.
func (f *face) bytes() int64 {
	return int64(unsafe.Sizeof(*f)+unsafe.Sizeof(f)) + int64(len(f.id)+len(f.owner))
}

// find returns where the face with an ID is or would be.
func (u *user) find(id string) (int, bool) {
	return slices.BinarySearchFunc(u.faces, id, func(f *face, id string) int { return strings.Compare(f.id, id) })
}

// collection holds the users of one collection in order, and their vectors.
type collection struct {
	name    string
	users   btree.Map[string, *user]
	owners  ownerIndex // nil until somebody asks for the users of one owner
	vectors *exactindex.Index[*face]
	bytes   atomic.Int64 // about, beside vectors
	changed bool         // since vectors were published
}

func newCollection(name string, dimension, threads int) *collection {
	return &collection{name: strings.Clone(name), vectors: exactindex.New[*face](dimension, threads)}
}

// add adds a face. Nothing of the caller's memory is kept: strings are copied
// too, because a short ID may be a piece of a long request.
func (c *collection) add(r ports.Record) {
	u, ok := c.users.Get(r.UserID)
	if !ok {
		u = &user{id: strings.Clone(r.UserID)}
		c.users.Set(u.id, u)
		c.bytes.Add(u.bytes())
	}
	f := &face{
		user: u, id: strings.Clone(r.FaceID), owner: strings.Clone(r.Owner),
		enrolledAt: r.EnrolledAt.UnixMicro(), expiresAt: ports.Microseconds(r.ExpiresAt),
	}
	at, _ := u.find(f.id)
	u.faces = slices.Insert(u.faces, at, f)
	c.owners.add(f)
	c.vectors.Add(f, r.Vector)
	c.bytes.Add(f.bytes())
}

// remove removes a user, if there is one, and returns the number of faces.
func (c *collection) remove(id string) (faces int) {
	u, ok := c.users.Delete(id)
	if !ok {
		return 0
	}
	c.owners.remove(u)
	c.bytes.Add(-u.bytes())
	for _, f := range u.faces {
		c.vectors.Remove(f)
		c.bytes.Add(-f.bytes())
	}
	return len(u.faces)
}

// removeFace removes a face of a user, who goes with the last one, and returns the number of
// faces.
func (c *collection) removeFace(id, face string) (faces int) {
	u, ok := c.users.Get(id)
	if !ok {
		return 0
	}
	at, ok := u.find(face)
	switch {
	case !ok:
		return 0
	case len(u.faces) == 1:
		return c.remove(id)
	}
	f := u.faces[at]
	u.faces = slices.Delete(u.faces, at, at+1)
	c.owners.removeFace(f)
	c.vectors.Remove(f)
	c.bytes.Add(-f.bytes())
	return 1
}

// record returns a face with a copy of its vector.
func (c *collection) record(f *face) ports.Record {
	r := c.withoutVector(f)
	r.Vector = slices.Clone(c.vectors.Vector(f))
	return r
}

// withoutVector returns a face without its vector.
func (c *collection) withoutVector(f *face) ports.Record {
	return ports.Record{
		Collection: c.name, UserID: f.user.id, FaceID: f.id, Owner: f.owner,
		EnrolledAt: time.UnixMicro(f.enrolledAt).UTC(), ExpiresAt: ports.TimeOf(f.expiresAt),
	}
}

// search answers a query from what was published last. It waits for no write.
func (c *collection) search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	hits, err := c.vectors.Search(ctx, q.Vector, q.K, q.MinScore)
	if err != nil {
		return nil, err
	}
	matches := make([]ports.Match, len(hits))
	for i, h := range hits {
		f := h.Item
		matches[i] = ports.Match{
			UserID: f.user.id, FaceID: f.id, Owner: f.owner, Score: h.Score,
			EnrolledAt: time.UnixMicro(f.enrolledAt).UTC(), ExpiresAt: ports.TimeOf(f.expiresAt),
		}
	}
	return matches, nil
}

// cursor is a place in a scan: before a user, or behind one of its faces.
type cursor struct {
	user string
	face string // the last one seen; "" for none, as no face has an empty ID
}

// page returns at most n of the records of a selection from a place on, and the place
// behind them.
func (c *collection) page(s ports.Selection, from cursor, n int) ([]ports.Record, cursor) {
	record := c.record
	if s.WithoutVectors {
		record = c.withoutVector
	}
	var page []ports.Record
	c.selected(s.Owners).Ascend(from.user, func(id string, u *user) bool {
		at := 0
		if id == from.user && from.face != "" {
			var seen bool
			if at, seen = u.find(from.face); seen {
				at++
			}
		}
		for ; at < len(u.faces) && len(page) < n; at++ {
			if s.Owners.Include(u.faces[at].owner) {
				page = append(page, record(u.faces[at]))
			}
			from = cursor{id, u.faces[at].id}
		}
		return len(page) < n
	})
	return page, from
}

// expiredPage is how many users are looked at before others may change the collection.
const expiredPage = 4096

// expired returns those who have expired of the next users from an ID on, and the ID from
// which to go on, if there are more.
func (c *collection) expired(from string, cutoff ports.Cutoff) (ids []string, next string, more bool) {
	looked := 0
	c.users.Ascend(from, func(id string, u *user) bool {
		if more = looked == expiredPage; more {
			next = id
			return false
		}
		looked++
		if u.expired(cutoff) {
			ids = append(ids, id)
		}
		return true
	})
	return ids, next, more
}

func (u *user) expired(c ports.Cutoff) bool {
	outdated := true
	for _, f := range u.faces {
		if c.Reached(ports.TimeOf(f.expiresAt)) {
			return true
		}
		outdated = outdated && c.Outdated(time.UnixMicro(f.enrolledAt))
	}
	return outdated
}
