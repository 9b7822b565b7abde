package transfer

import (
	"math"
	"slices"

	"imago/ports"
)

// Conflict is a face of the source that the target cannot take, because it has
// something else under the same name.
type Conflict struct {
	Collection, UserID, FaceID string
	// Reason says what stands against it.
	Reason string
}

// The reasons of a Conflict.
const (
	reasonVector = "the target has a face of this ID with another vector"
	reasonOwner  = "the target has a face of this ID with another owner"
	reasonTime   = "the target has a face of this ID with another time of enrolment"
	reasonFaces  = "the target has this user with other faces"
	reasonUser   = "another face of the user is in conflict"
)

// difference returns the reason why two records of one name are not the same,
// "" when they are: vectors bit by bit, times to the microsecond.
func difference(a, b ports.Record) string {
	switch {
	case !slices.EqualFunc(a.Vector, b.Vector, sameBits):
		return reasonVector
	case a.Owner != b.Owner:
		return reasonOwner
	case a.EnrolledAt.UnixMicro() != b.EnrolledAt.UnixMicro():
		return reasonTime
	}
	return ""
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// comparison sorts the faces of a user by where they are.
type comparison struct {
	missing []ports.Record // in the source only
	extra   []ports.Record // in the target only
	same    int
	differs []Conflict // on both sides under one name
}

// compare walks the faces of a pair in order of their IDs.
func compare(p pair) comparison {
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
		if reason := difference(r, target[0]); reason != "" {
			c.differs = append(c.differs, conflict(r, reason))
		} else {
			c.same++
		}
		target = target[1:]
	}
	c.extra = append(c.extra, target...)
	return c
}

func conflict(r ports.Record, reason string) Conflict {
	return Conflict{Collection: r.Collection, UserID: r.UserID, FaceID: r.FaceID, Reason: reason}
}
