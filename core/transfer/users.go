package transfer

import (
	"context"
	"fmt"
	"iter"

	"imago/core/retry"
	"imago/ports"
)

// maxFaces is how many faces of one user are held in memory: ten times the gallery's
// limit.
const maxFaces = 1000

// users yields all faces of one user at a time, in the order of a scan. The
// receiver owns each slice. An error ends the sequence.
type users = iter.Seq2[[]ports.Record, error]

// storedUsers returns the users of a selection, which is one of all users. While the store is
// unavailable it retries, and continues after the last user that was yielded.
func storedUsers(ctx context.Context, store ports.VectorStore, all ports.Selection, policy retry.Policy) users {
	return func(yield func([]ports.Record, error) bool) {
		w := &userScan{store: store, rest: all, yield: yield}
		for backoff := policy.Begin(); ; {
			before := w.rest.From
			err := w.scan(ctx)
			if err == nil {
				return
			}
			if w.rest.From != before {
				backoff = policy.Begin()
			}
			if !backoff.Again(ctx, err) {
				yield(nil, err)
				return
			}
		}
	}
}

// userScan is a scan that can be resumed between users.
type userScan struct {
	store ports.VectorStore
	yield func([]ports.Record, error) bool
	rest  ports.Selection // from the last user that was yielded on
}

// scan yields the rest of the users. It returns nil at the end and when the receiver stops.
func (w *userScan) scan(ctx context.Context) error {
	var faces []ports.Record
	last := w.rest.From
	for r, err := range w.store.Scan(ctx, w.rest) {
		if err != nil {
			return err
		}
		if r.UserID == last {
			continue
		}
		if len(faces) > 0 && faces[0].UserID != r.UserID {
			if !w.emit(faces) {
				return nil
			}
			faces = nil
		}
		if len(faces) == maxFaces {
			return errManyFaces()
		}
		faces = append(faces, r)
	}
	if len(faces) > 0 {
		w.emit(faces)
	}
	return nil
}

func (w *userScan) emit(faces []ports.Record) bool {
	w.rest.From = faces[0].UserID
	return w.yield(faces, nil)
}

func errManyFaces() error {
	return fmt.Errorf("%w: a user has more than %d faces", ports.ErrInvalid, maxFaces)
}

// pair are the faces of one user in the source and in the target; one may be empty.
type pair struct{ source, target []ports.Record }

// mergeUsers yields the users of both sides in order of their IDs. It reads the target
// beyond a user before it yields the pair, so that it does not read what the receiver
// writes of that user.
func mergeUsers(source, target users) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		next, stop := iter.Pull2(target)
		defer stop()
		t := cursor{next: next}
		t.advance()
		for faces, err := range source {
			if err != nil {
				yield(pair{}, err)
				return
			}
			id := faces[0].UserID
			for t.before(id) {
				if !t.yieldTargetOnly(yield) {
					return
				}
			}
			p := pair{source: faces, target: t.take(id)}
			if !yield(p, nil) {
				return
			}
		}
		for t.more {
			if !t.yieldTargetOnly(yield) {
				return
			}
		}
	}
}

// cursor holds the next user of a sequence.
type cursor struct {
	next  func() ([]ports.Record, error, bool)
	faces []ports.Record
	err   error
	more  bool
}

func (h *cursor) advance() { h.faces, h.err, h.more = h.next() }

// before reports whether the next user comes before id. An error comes before every ID,
// so that it is reported at once.
func (h *cursor) before(id string) bool {
	return h.more && (h.err != nil || h.faces[0].UserID < id)
}

// take returns the faces of the user with this ID and advances, if it is the next one.
func (h *cursor) take(id string) []ports.Record {
	if !h.more || h.err != nil || h.faces[0].UserID != id {
		return nil
	}
	faces := h.faces
	h.advance()
	return faces
}

// yieldTargetOnly yields the next user as one that only the target has, and advances.
func (h *cursor) yieldTargetOnly(yield func(pair, error) bool) bool {
	if h.err != nil {
		yield(pair{}, h.err)
		return false
	}
	faces := h.faces
	h.advance()
	return yield(pair{target: faces}, nil)
}
