package memstore

import (
	"slices"

	"imago/ports"
)

// draft judges the writes of one batch in turn, each against what the index
// holds and what the writes before it in the batch will have changed.
type draft struct {
	index   *index
	faces   map[userKey][]heldFace // those of the users that were touched
	changes []change               // what was accepted, in order
}

type userKey struct{ collection, user string }

// heldFace is what decides about a write of the user who has the face.
type heldFace struct{ id, owner string }

func newDraft(x *index) *draft { return &draft{index: x, faces: map[userKey][]heldFace{}} }

// admit accepts a change or says why it is impossible. What it accepts has no
// condition any more.
func (d *draft) admit(c change) error {
	key := userKey{c.record.Collection, c.record.UserID}
	have, touched := d.faces[key]
	if !touched {
		have = d.held(key)
	}
	conditional := c.mode.IfOwner()
	c.mode = c.mode.Base()
	switch {
	case c.mode == ports.First && len(have) > 0:
		return ports.ErrExists
	case c.mode != ports.First && len(have) == 0:
		return ports.ErrNotFound
	case conditional && slices.ContainsFunc(have, func(f heldFace) bool { return f.owner != c.record.Owner }):
		return ports.ErrForbidden
	case c.mode == ports.Further && slices.ContainsFunc(have, func(f heldFace) bool { return f.id == c.record.FaceID }):
		return ports.ErrExists
	}
	d.faces[key] = c.facesAfter(have)
	d.changes = append(d.changes, c)
	return nil
}

// held returns the faces that the index has of a user.
func (d *draft) held(key userKey) []heldFace {
	var have []heldFace
	for _, r := range d.index.get(key.collection, key.user) {
		have = append(have, heldFace{r.FaceID, r.Owner})
	}
	return have
}

// facesAfter returns the faces that a user has after a change.
func (c change) facesAfter(have []heldFace) []heldFace {
	added := heldFace{c.record.FaceID, c.record.Owner}
	switch c.mode {
	case removal:
		return nil
	case ports.Further:
		return append(slices.Clip(have), added)
	default:
		return []heldFace{added}
	}
}
