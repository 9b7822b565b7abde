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

// A planner says what a write does, given the rows of the user at the moment at
// which nobody else may change them. Its errors are final whoever else is
// writing: they are true of a moment within the call.
//
// Rows cannot be replaced, see row, so a replacement inserts the new face first
// and then deletes the old ones. It counts as done from the insertion: the new
// row is of the next generation, and rows of earlier generations than the user's
// latest no longer count wherever the rows of a user are seen together.
type planner func(u userRows) (plan, error)

// plan is the work of a write: at most one new face, or the faces of the rows that are
// renewed in the next generation, which come first, and rows that go; either do so all at
// the same moment.
type plan struct {
	insert *row
	// renew are the rows whose faces are inserted again in the next generation, together with
	// the new face and with its expiry, if there is one.
	renew  []string
	remove []string
	// essential says that the write has failed unless the rows are gone.
	essential bool
}

// userRows is all there is of a user at one moment.
type userRows struct {
	faces    []row    // of the latest generation
	obsolete []string // of earlier generations, left by interrupted writes
	claims   []string // in bytewise order
}

// userRowsOf sorts the rows of a user, which are in the order of their IDs.
func userRowsOf(rows []row) userRows {
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

// allOf reports whether the owners of all faces are among those given.
func (u userRows) allOf(owners ports.Owners) bool {
	return !slices.ContainsFunc(u.faces, func(f row) bool { return !owners.Include(f.owner) })
}

// expired reports whether the user has expired.
func (u userRows) expired(c ports.Cutoff) bool { return c.Expired(each(u.faces, row.record)) }

// all returns the IDs of all rows but the claims.
func (u userRows) all() []string {
	ids := slices.Clone(u.obsolete)
	for _, f := range u.faces {
		ids = append(ids, f.id)
	}
	return ids
}

// planAdd plans ports.VectorStore.Add.
func planAdd(r ports.Record, mode ports.Mode) planner {
	kind := mode.Kind()
	return func(u userRows) (plan, error) {
		expired := u.expired(mode.Cutoff())
		switch {
		case kind != ports.KindNewUser && (len(u.faces) == 0 || expired):
			return plan{}, ports.ErrNotFound
		case kind == ports.KindNewUser && expired:
			face := faceRow(r, u.generation()+1, true)
			return plan{insert: &face, remove: u.all(), essential: true}, nil
		case !u.allOf(mode.Owners()):
			return plan{}, ports.ErrForbidden
		case kind == ports.KindNewUser && len(u.faces) > 0, kind == ports.KindFurtherFace && u.has(r.FaceID):
			return plan{}, ports.ErrExists
		case kind == ports.KindFurtherFace && len(u.faces) >= maxFaces:
			return plan{}, errTooManyFaces
		}
		if kind == ports.KindFurtherFace {
			return planFurther(u, r), nil
		}
		face := faceRow(r, u.generation()+1, true)
		if kind == ports.KindReplacement {
			return plan{insert: &face, remove: u.all(), essential: true}, nil
		}
		return plan{insert: &face, remove: u.obsolete}, nil
	}
}

// planFurther plans a further face. Another expiry than the user has makes a new generation of
// all faces, because rows cannot be changed.
func planFurther(u userRows, r ports.Record) plan {
	have := ports.TimeOf(u.faces[0].expiresAt)
	if r.ExpiresAt.IsZero() {
		r.ExpiresAt = have
	}
	if r.ExpiresAt.Equal(have) {
		face := faceRow(r, u.generation(), false)
		return plan{insert: &face, remove: u.obsolete}
	}
	face := faceRow(r, u.generation()+1, false)
	return plan{insert: &face, renew: each(u.faces, func(f row) string { return f.id }), remove: u.all(), essential: true}
}

// planExpire plans ports.StoreDriver.Expire.
func planExpire(c ports.Cutoff) planner {
	return func(u userRows) (plan, error) {
		if !u.expired(c) {
			return plan{}, ports.ErrNotFound
		}
		return plan{remove: u.all(), essential: true}, nil
	}
}

// planRemove plans ports.VectorStore.Remove.
func planRemove(removal ports.Removal, owners ports.Owners) planner {
	face, one := removal.Face()
	return func(u userRows) (plan, error) {
		switch {
		case len(u.faces) == 0:
			return plan{}, ports.ErrNotFound
		case !u.allOf(owners):
			return plan{}, ports.ErrForbidden
		case !one:
			return plan{remove: u.all(), essential: true}, nil
		case !u.has(face):
			return plan{}, ports.ErrNotFound
		case len(u.faces) == 1:
			return plan{}, ports.ErrOnlyFace
		}
		return u.withoutFace(face), nil
	}
}

// withoutFace plans that one face of several goes. When it is the row by which the user is
// counted, the others are renewed, so that one of them becomes that.
func (u userRows) withoutFace(face string) plan {
	p := plan{remove: u.all(), essential: true}
	for _, f := range u.faces {
		switch {
		case f.face() != face:
			p.renew = append(p.renew, f.id)
		case !f.head:
			return plan{remove: append(slices.Clip(u.obsolete), f.id), essential: true}
		}
	}
	return p
}

// planCleanup removes what interrupted writes have left, and those of their claims that
// are still there.
func planCleanup(expired []string) planner {
	return func(u userRows) (plan, error) {
		left := slices.DeleteFunc(slices.Clone(expired), func(id string) bool { return !slices.Contains(u.claims, id) })
		return plan{remove: slices.Concat(u.obsolete, left), essential: true}, nil
	}
}

// errYield says that somebody else's claim goes first.
var errYield = errors.New("another claim goes first")
