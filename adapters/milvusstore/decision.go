package milvusstore

import (
	"errors"
	"fmt"
	"slices"

	"imago/ports"
)

// maxFaces is the most faces that one user may have, far more than any use of
// imago brings about. It bounds what one change of a user reads and deletes.
const maxFaces = 1000

// errTooManyFaces refuses one more.
var errTooManyFaces = ports.Refuse(ports.ErrInvalid, fmt.Sprintf("a user can have at most %d faces", maxFaces))

// A decision says what a write does, given the rows of the user at the moment at
// which nobody else may change them. Its errors are final whoever else is
// writing: they are true of a moment within the call.
//
// Rows cannot be replaced, see row, so a replacement inserts the new face first
// and then deletes the old ones. It counts as done from the insertion: the new
// row is of the next generation, and rows of earlier generations than the user's
// latest no longer count wherever the rows of a user are seen together.
type decision func(u userRows) (plan, error)

// plan is the work of a write: at most one new face, which comes first, and rows
// that go, which do so all at the same moment.
type plan struct {
	insert *row
	remove []string
	// essential says that the write has failed unless the rows are gone.
	essential bool
}

// userRows is all there is of a user at one moment.
type userRows struct {
	faces    []row    // of the latest generation
	obsolete []string // of earlier generations, left by writes that came to no end
	claims   []string // in bytewise order
}

// survey sorts the rows of a user, which are in the order of their IDs.
func survey(rows []row) userRows {
	var u userRows
	var faces []row
	for _, r := range rows {
		if r.isClaim() {
			u.claims = append(u.claims, r.id)
		} else {
			faces = append(faces, r)
		}
	}
	u.faces = latest(faces)
	for _, r := range faces {
		if !slices.ContainsFunc(u.faces, func(f row) bool { return f.id == r.id }) {
			u.obsolete = append(u.obsolete, r.id)
		}
	}
	return u
}

// generation is the one that the user's faces are of, 0 without any.
func (u userRows) generation() int64 {
	if len(u.faces) == 0 {
		return 0
	}
	return u.faces[0].generation
}

func (u userRows) has(face string) bool {
	return slices.ContainsFunc(u.faces, func(f row) bool { return f.face() == face })
}

// ownedBy reports whether all faces have the given owner.
func (u userRows) ownedBy(owner string) bool {
	return !slices.ContainsFunc(u.faces, func(f row) bool { return f.owner != owner })
}

// all returns the IDs of all rows but the claims.
func (u userRows) all() []string {
	ids := slices.Clone(u.obsolete)
	for _, f := range u.faces {
		ids = append(ids, f.id)
	}
	return ids
}

// adding decides about ports.VectorStore.Add.
func adding(r ports.Record, mode ports.Mode) decision {
	conditional, mode := mode.IfOwner(), mode.Base()
	return func(u userRows) (plan, error) {
		switch {
		case mode != ports.First && len(u.faces) == 0:
			return plan{}, ports.ErrNotFound
		case conditional && !u.ownedBy(r.Owner):
			return plan{}, ports.ErrForbidden
		case mode == ports.First && len(u.faces) > 0, mode == ports.Further && u.has(r.FaceID):
			return plan{}, ports.ErrExists
		case mode == ports.Further && len(u.faces) >= maxFaces:
			return plan{}, errTooManyFaces
		}
		next := u.generation()
		if mode != ports.Further {
			next++
		}
		face := faceRow(r, next, mode != ports.Further)
		if mode == ports.Replacement {
			return plan{insert: &face, remove: u.all(), essential: true}, nil
		}
		return plan{insert: &face, remove: u.obsolete}, nil
	}
}

// removing decides about ports.VectorStore.Remove.
func removing(owner string) decision {
	return func(u userRows) (plan, error) {
		switch {
		case len(u.faces) == 0:
			return plan{}, ports.ErrNotFound
		case owner != "" && !u.ownedBy(owner):
			return plan{}, ports.ErrForbidden
		}
		return plan{remove: u.all(), essential: true}, nil
	}
}

// tidying removes what writes have left that came to no end, and those of their
// claims that are still there.
func tidying(dead []string) decision {
	return func(u userRows) (plan, error) {
		left := slices.DeleteFunc(slices.Clone(dead), func(id string) bool { return !slices.Contains(u.claims, id) })
		return plan{remove: slices.Concat(u.obsolete, left), essential: true}, nil
	}
}

// errYield says that somebody else's claim goes first.
var errYield = errors.New("another claim goes first")
