package memstore

import (
	"cmp"
	"context"
	"slices"

	"imago/adapters/memindex"
	"imago/adapters/memstore/sqlite"
	"imago/ports"
)

// change is what a caller asks for: that the record is added, by the rules of a mode of
// Add, or that its user or this one face of the user is removed, if all faces the user has
// belong to the owners.
type change struct {
	remove  bool
	oneFace bool           // of a removal
	kind    ports.ModeKind // of an addition
	owners  ports.Owners
	cutoff  ports.Cutoff  // of an addition: who counts as not there
	mode    ports.Mode    // of an addition
	expiry  *ports.Cutoff // of a removal that is for those only who have expired; nil for any
	record  ports.Record
}

func addition(r ports.Record, mode ports.Mode) change {
	return change{kind: mode.Kind(), owners: mode.Owners(), cutoff: mode.Cutoff(), mode: mode, record: r}
}

func expiration(user ports.UserKey, c ports.Cutoff) change {
	r := deletion(ports.WholeUser(user), ports.Everybody())
	r.expiry = &c
	return r
}

func deletion(removal ports.Removal, owners ports.Owners) change {
	user := removal.User()
	face, one := removal.Face()
	return change{
		remove: true, oneFace: one, owners: owners,
		record: ports.Record{Collection: user.Collection, UserID: user.UserID, FaceID: face},
	}
}

// plan decides about the writes of one batch in turn, each against what the index
// holds and what the writes before it in the batch will have changed.
type plan struct {
	index   *memindex.Index
	faces   map[ports.UserKey][]ports.Record // those of the users that were touched
	changes []sqlite.Change                  // what was accepted, in order
}

func newPlan(x *memindex.Index) *plan {
	return &plan{index: x, faces: map[ports.UserKey][]ports.Record{}}
}

// accept accepts a change or says why it is impossible.
func (p *plan) accept(c change) error {
	key := c.record.User()
	have, touched := p.faces[key]
	if !touched {
		have = p.index.Get(key)
	}
	expired := c.cutoff.Expired(have)
	if expired {
		have = nil
	}
	known := slices.ContainsFunc(have, c.isOf)
	switch {
	case c.kind == ports.KindNewUser && len(have) > 0:
		return ports.ErrExists
	case c.kind != ports.KindNewUser && len(have) == 0, c.expiry != nil && !c.expiry.Expired(have):
		return ports.ErrNotFound
	case slices.ContainsFunc(have, func(f ports.Record) bool { return !c.owners.Include(f.Owner) }):
		return ports.ErrForbidden
	case c.kind == ports.KindFurtherFace && known:
		return ports.ErrExists
	case c.oneFace && !known:
		return ports.ErrNotFound
	case c.oneFace && len(have) == 1:
		return ports.ErrOnlyFace
	}
	if err := c.mode.CheckUnlike(context.Background(), p, c.record); err != nil {
		return err
	}
	if c.kind == ports.KindFurtherFace {
		p.faces[key] = p.further(have, c.record)
		return nil
	}
	switch {
	case !c.remove:
		p.faces[key] = []ports.Record{c.record}
	case c.oneFace:
		p.faces[key] = slices.DeleteFunc(slices.Clone(have), c.isOf)
	default:
		p.faces[key] = nil
	}
	p.changes = append(p.changes, sqlite.Change{
		Face: c.record, Remove: expired || c.kind != ports.KindNewUser, OneFace: c.oneFace, Add: !c.remove,
	})
	return nil
}

// further plans a further face of a user and returns all faces that the user has then. An
// expiry that is new is that of all of them, whose vectors are stored again for it: it is part
// of what an encrypted one is bound to. Their chips stay.
func (p *plan) further(have []ports.Record, r ports.Record) []ports.Record {
	if r.ExpiresAt.IsZero() {
		r.ExpiresAt = have[0].ExpiresAt
	}
	if !r.ExpiresAt.Equal(have[0].ExpiresAt) {
		have = slices.Clone(have)
		for i := range have {
			have[i].ExpiresAt = r.ExpiresAt
			p.changes = append(p.changes, sqlite.Change{Face: have[i], Renew: true})
		}
	}
	p.changes = append(p.changes, sqlite.Change{Face: r, Add: true})
	return append(slices.Clip(have), r)
}

// isOf reports whether a change is about a face.
func (c change) isOf(f ports.Record) bool { return f.FaceID == c.record.FaceID }

// Search searches what the index will hold after the changes that were accepted: it is for
// Mode.CheckUnlike.
func (p *plan) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	k := q.K
	q.K += len(p.faces)
	found, err := p.index.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(m ports.Match) bool {
		_, touched := p.faces[ports.UserKey{Collection: q.Collection, UserID: m.UserID}]
		return touched
	})
	for key, faces := range p.faces {
		if best, ok := bestOf(q, faces); ok && key.Collection == q.Collection {
			found = append(found, best)
		}
	}
	slices.SortFunc(found, func(a, b ports.Match) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.UserID, b.UserID))
	})
	return found[:min(k, len(found))], nil
}

// Get returns the faces that a user will have.
func (p *plan) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	faces, touched := p.faces[user]
	if !touched {
		faces = p.index.Get(user)
	}
	if len(faces) == 0 {
		return nil, ports.ErrNotFound
	}
	return faces, nil
}

// bestOf returns the best match among the faces of a user, if there is one.
func bestOf(q ports.Query, faces []ports.Record) (best ports.Match, found bool) {
	for _, f := range faces {
		var score float64
		for i, x := range f.Vector {
			score += float64(x) * float64(q.Vector[i])
		}
		if score = max(-1, min(score, 1)); score >= q.MinScore && (!found || score > best.Score) {
			best, found = ports.Match{
				UserID: f.UserID, FaceID: f.FaceID, Owner: f.Owner, Score: score, EnrolledAt: f.EnrolledAt, ExpiresAt: f.ExpiresAt,
			}, true
		}
	}
	return best, found
}
