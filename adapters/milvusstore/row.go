package milvusstore

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"imago/ports"
)

// separator stands between the parts of a row's ID. It sorts below every byte
// that an ID of ports may contain, so that rows in the order of their IDs are in
// the order of their collections, users and faces; behind is the byte after it.
const (
	separator = "\t"
	behind    = "\n"
)

// idBytes is the longest row ID: a collection name, a user ID, a face ID, a
// token and what stands between them, rounded up.
const idBytes = 640

// key names a user of a collection.
type key ports.UserKey

// prefix is how the IDs of all rows of the user begin, and of no others.
func (k key) prefix() string { return k.Collection + separator + k.UserID + separator }

// idRange returns the range of all rows of the user in the given partitions.
func (k key) idRange(partitions ...string) idRange {
	return idRange{
		partitions: partitions,
		from:       k.prefix(),
		to:         k.Collection + separator + k.UserID + behind,
	}
}

// collectionRange returns the range of all faces of a collection.
func collectionRange(collection string) idRange {
	return idRange{
		partitions: []string{facesPartition},
		from:       collection + separator,
		to:         collection + behind,
	}
}

// A row is what is kept for one face, or a claim on a user. Its ID is made up of
// collection, user, face (empty for a claim) and a token that no other row ever
// had: every ID is inserted once and deleted at most once, because Milvus answers
// wrongly about an ID that was deleted and inserted again. (Version 2.3.5 lets readers
// see every earlier version of such a row while it is being deleted again; with IDs
// that are not used again its snapshots are exact.)
type row struct {
	id         string
	owner      string
	enrolledAt int64 // microseconds since 1970
	expiresAt  int64 // likewise; 0 for never
	generation int64 // see planner
	head       bool  // whether the row stands for its user when users are counted
	vector     []float32
	chip       []byte // nil for none
}

// faceRow returns a new row for a face.
func faceRow(r ports.Record, generation int64, head bool) row {
	k := key(r.User())
	return row{
		id:         k.prefix() + r.FaceID + separator + rand.Text(),
		owner:      r.Owner,
		enrolledAt: r.EnrolledAt.UnixMicro(),
		expiresAt:  ports.Microseconds(r.ExpiresAt),
		generation: generation,
		head:       head,
		vector:     r.Vector,
		chip:       r.Chip,
	}
}

// claimID returns the ID of a new claim on a user.
func claimID(k key) string { return k.prefix() + separator + rand.Text() }

// wellFormed reports whether an ID has the parts of a row's.
func wellFormed(id string) bool { return strings.Count(id, separator) == 3 }

// parts takes a well-formed ID apart.
func (r row) parts() (k key, face string) {
	part := strings.Split(r.id, separator)
	return key{part[0], part[1]}, part[2]
}

func (r row) key() key      { k, _ := r.parts(); return k }
func (r row) face() string  { _, face := r.parts(); return face }
func (r row) isClaim() bool { return r.face() == "" }

// record returns the face that a row is kept for.
func (r row) record() ports.Record {
	k, face := r.parts()
	return ports.Record{
		Collection: k.Collection, UserID: k.UserID, FaceID: face, Vector: r.vector, Chip: r.chip,
		Owner: r.owner, EnrolledAt: time.UnixMicro(r.enrolledAt).UTC(), ExpiresAt: ports.TimeOf(r.expiresAt),
	}
}

// current returns the rows of the latest generation of every user; rows of one
// user stand together in what it is given.
func current(rows []row) []row {
	var kept []row
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].key() == rows[0].key() {
			n++
		}
		kept = append(kept, latest(rows[:n])...)
		rows = rows[n:]
	}
	return kept
}

// latest returns those of a user's rows that are of the highest generation among
// them.
func latest(rows []row) []row {
	var top int64
	for _, r := range rows {
		top = max(top, r.generation)
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.generation < top })
}
