package transfer

import (
	"context"
	"fmt"
	"iter"

	"imago/core/retry"
	"imago/ports"
)

// maxFaces is how many faces of one user are held in memory: ten times what the
// gallery accepts.
const maxFaces = 1000

// users yields all faces of one user at a time, ordered as a scan is. The
// receiver owns each slice. An error ends it.
type users = iter.Seq2[[]ports.Record, error]

// stored returns the users of a collection. Where the store cannot answer for
// the moment it goes on behind the last user that was yielded.
func stored(ctx context.Context, store ports.VectorStore, collection string, policy retry.Policy) users {
	return func(yield func([]ports.Record, error) bool) {
		w := &walk{store: store, collection: collection, yield: yield}
		for backoff := policy.Begin(); ; {
			before := w.done
			err := w.pass(ctx)
			if err == nil {
				return
			}
			if w.done != before {
				backoff = policy.Begin()
			}
			if !backoff.Again(ctx, err) {
				yield(nil, err)
				return
			}
		}
	}
}

// walk is a scan that can be resumed between users.
type walk struct {
	store      ports.VectorStore
	collection string
	yield      func([]ports.Record, error) bool
	done       string // the last user that was yielded
}

// pass yields users from the one behind done on. It returns nil at the end and
// when the receiver wants no more.
func (w *walk) pass(ctx context.Context) error {
	var faces []ports.Record
	for r, err := range w.store.Scan(ctx, ports.Everything(w.collection, w.done)) {
		if err != nil {
			return err
		}
		if r.UserID == w.done {
			continue
		}
		if len(faces) > 0 && faces[0].UserID != r.UserID {
			if !w.hand(faces) {
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
		w.hand(faces)
	}
	return nil
}

func (w *walk) hand(faces []ports.Record) bool {
	w.done = faces[0].UserID
	return w.yield(faces, nil)
}

func errManyFaces() error {
	return fmt.Errorf("%w: a user has more than %d faces", ports.ErrInvalid, maxFaces)
}

// pair is what a source and a target hold of one user; one side may be empty.
type pair struct{ source, target []ports.Record }

// lockstep walks two sides in order of the user IDs. Before it yields a pair it
// has read the target beyond that user, so that what the receiver writes of it
// does not come up later.
func lockstep(source, target users) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		next, stop := iter.Pull2(target)
		defer stop()
		t := head{next: next}
		t.advance()
		for faces, err := range source {
			if err != nil {
				yield(pair{}, err)
				return
			}
			id := faces[0].UserID
			for t.before(id) {
				if !t.yieldOnly(yield) {
					return
				}
			}
			p := pair{source: faces, target: t.take(id)}
			if !yield(p, nil) {
				return
			}
		}
		for t.more {
			if !t.yieldOnly(yield) {
				return
			}
		}
	}
}

// head is the next user of a sequence.
type head struct {
	next  func() ([]ports.Record, error, bool)
	faces []ports.Record
	err   error
	more  bool
}

func (h *head) advance() { h.faces, h.err, h.more = h.next() }

// before reports whether the next user comes before id; an error is reported
// the same way, so that it comes up at once.
func (h *head) before(id string) bool {
	return h.more && (h.err != nil || h.faces[0].UserID < id)
}

// take returns the next user's faces where it is the user with this ID, and
// moves on.
func (h *head) take(id string) []ports.Record {
	if !h.more || h.err != nil || h.faces[0].UserID != id {
		return nil
	}
	faces := h.faces
	h.advance()
	return faces
}

// yieldOnly yields the next user as one that only the target has, and moves on.
func (h *head) yieldOnly(yield func(pair, error) bool) bool {
	if h.err != nil {
		yield(pair{}, h.err)
		return false
	}
	faces := h.faces
	h.advance()
	return yield(pair{target: faces}, nil)
}
