package transfer

import (
	"math"
	"slices"

	"imago/ports"
)

// Conflict is a face of the source that the target cannot take.
type Conflict struct {
	Collection, UserID, FaceID string
	// Reason says why.
	Reason string
}

// The reasons of a Conflict.
const (
	reasonVector = "the target has a face of this ID with another vector"
	reasonOwner  = "the target has a face of this ID with another owner"
	reasonTime   = "the target has a face of this ID with another time of enrolment"
	reasonExpiry = "the target has a face of this ID with another expiry"
	reasonFaces  = "the target has this user with other faces"
	reasonUser   = "another face of the user is in conflict"
)

// difference says how two records with the same IDs differ, "" if they are the same:
// vectors bit by bit unless the transfer converts them, times to the microsecond.
func (o Options) difference(a, b ports.Record) string {
	switch {
	case o.Convert == nil && !slices.EqualFunc(a.Vector, b.Vector, sameBits):
		return reasonVector
	case a.Owner != b.Owner:
		return reasonOwner
	case a.EnrolledAt.UnixMicro() != b.EnrolledAt.UnixMicro():
		return reasonTime
	case !a.ExpiresAt.Equal(b.ExpiresAt):
		return reasonExpiry
	}
	return ""
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// comparison are the faces of a user by the sides that have them.
type comparison struct {
	missing []ports.Record    // in the source only
	extra   []ports.Record    // in the target only
	same    [][2]ports.Record // on both sides
	differs []Conflict        // different faces with the same ID
}

// compare merges the faces of a pair in order of their IDs.
func (o Options) compare(p pair) comparison {
	var c comparison
	target := p.target
	for _, r := range p.source {
		for len(target) > 0 && target[0].FaceID < r.FaceID {
			c.extra, target = append(c.extra, target[0]), target[1:]
		}
		if len(target) == 0 || target[0].FaceID != r.FaceID {
			c.missing = append(c.missing, r)
			continue
		}
		if reason := o.difference(r, target[0]); reason != "" {
			c.differs = append(c.differs, newConflict(r, reason))
		} else {
			c.same = append(c.same, [2]ports.Record{r, target[0]})
		}
		target = target[1:]
	}
	c.extra = append(c.extra, target...)
	return c
}

func newConflict(r ports.Record, reason string) Conflict {
	return Conflict{Collection: r.Collection, UserID: r.UserID, FaceID: r.FaceID, Reason: reason}
}
