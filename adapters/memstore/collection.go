package memstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"imago/adapters/memstore/flat"
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
	place      flat.Place
}

// Group is part of flat.Item: a search returns each user once.
func (f *face) Group() string { return f.user.id }

// ID is part of flat.Item.
func (f *face) ID() string { return f.id }

// Place is part of flat.Item.
func (f *face) Place() *flat.Place { return &f.place }

// find returns where the face with an ID is or would be.
func (u *user) find(id string) (int, bool) {
	return slices.BinarySearchFunc(u.faces, id, func(f *face, id string) int { return strings.Compare(f.id, id) })
}

// collection holds the users of one collection in order, and their vectors.
type collection struct {
	name    string
	users   btree.Map[string, *user]
	owners  owners // nil until somebody asks for the users of one owner
	vectors *flat.Index[*face]
	changed bool // since vectors were published
}

func newCollection(name string, dimension, threads int) *collection {
	return &collection{name: strings.Clone(name), vectors: flat.New[*face](dimension, threads)}
}

// add adds a face. Nothing of the caller's memory is kept: strings are copied
// too, because a short ID may be a piece of a long request.
func (c *collection) add(r ports.Record) {
	u, ok := c.users.Get(r.UserID)
	if !ok {
		u = &user{id: strings.Clone(r.UserID)}
		c.users.Set(u.id, u)
	}
	f := &face{
		user: u, id: strings.Clone(r.FaceID), owner: strings.Clone(r.Owner),
		enrolledAt: r.EnrolledAt.UnixMicro(),
	}
	at, _ := u.find(f.id)
	u.faces = slices.Insert(u.faces, at, f)
	c.owners.add(f)
	c.vectors.Add(f, r.Vector)
}

// remove removes a user, if there is one.
func (c *collection) remove(id string) {
	u, ok := c.users.Delete(id)
	if !ok {
		return
	}
	c.owners.remove(u)
	for _, f := range u.faces {
		c.vectors.Remove(f)
	}
}

// record returns a face with a copy of its vector.
func (c *collection) record(f *face) ports.Record {
	r := c.named(f)
	r.Vector = slices.Clone(c.vectors.Vector(f))
	return r
}

// named returns a face without its vector.
func (c *collection) named(f *face) ports.Record {
	return ports.Record{
		Collection: c.name, UserID: f.user.id, FaceID: f.id, Owner: f.owner,
		EnrolledAt: time.UnixMicro(f.enrolledAt).UTC(),
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
		matches[i] = ports.Match{UserID: h.Item.user.id, FaceID: h.Item.id, Owner: h.Item.owner, Score: h.Score}
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
		record = c.named
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
