package memstore

import (
	"slices"

	"imago/ports"
)

// draft judges the writes of one batch in turn, each against what the index
// holds and what the writes before it in the batch will have changed.
type draft struct {
	index   *index
	faces   map[userKey][]string // the face IDs of the users that were touched
	changes []change             // what was accepted, in order
}

type userKey struct{ collection, user string }

func newDraft(x *index) *draft { return &draft{index: x, faces: map[userKey][]string{}} }

// admit accepts a change or says why it is impossible.
func (d *draft) admit(c change) error {
	key := userKey{c.record.Collection, c.record.UserID}
	have, touched := d.faces[key]
	if !touched {
		have = d.index.faceIDs(key.collection, key.user)
	}
	switch {
	case c.mode == ports.First && len(have) > 0:
		return ports.ErrExists
	case c.mode != ports.First && len(have) == 0:
		return ports.ErrNotFound
	case c.mode == ports.Further && slices.Contains(have, c.record.FaceID):
		return ports.ErrExists
	}
	d.faces[key] = c.facesAfter(have)
	d.changes = append(d.changes, c)
	return nil
}

// facesAfter returns the face IDs that a user has after a change.
func (c change) facesAfter(have []string) []string {
	switch c.mode {
	case removal:
		return nil
	case ports.Further:
		return append(slices.Clip(have), c.record.FaceID)
	default:
		return []string{c.record.FaceID}
	}
}
