package vectorstore

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"imago/ports"
)

// Retention says how long users are kept who say nothing of it themselves.
type Retention struct {
	// After is how long after the last enrolment of a face a user expires, by collection; 0
	// means never.
	After map[string]time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// cutoff returns who has expired now in a collection.
func (r Retention) cutoff(collection string) ports.Cutoff {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return r.cutoffAt(now(), collection)
}

func (r Retention) cutoffAt(at time.Time, collection string) ports.Cutoff {
	return ports.CutoffAt(at, r.After[collection])
}

// Expired reports whether the user with those faces, which are all of the user's, has
// expired.
func (r Retention) Expired(faces []ports.Record) bool {
	return len(faces) > 0 && r.cutoff(faces[0].Collection).Expired(faces)
}

// Retain has users expire. Without it they do by their ExpiresAt only. Call it before Start.
func (s *Store) Retain(r Retention) { s.retention = r }

// get returns the faces of a user who has not expired.
func (s *Store) get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	records, err := s.driver.Get(ctx, user)
	if err == nil && s.retention.cutoff(user.Collection).Expired(records) {
		return nil, ports.ErrNotFound
	}
	return records, err
}

// remove removes a user who has not expired. Should the user expire in between, and be
// enrolled again, then that came before the removal.
func (s *Store) remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	if _, err := s.get(ctx, removal.User()); err != nil {
		return err
	}
	return s.driver.Remove(ctx, removal, owners)
}

// errChanged says that a user whom a search has found was changed meanwhile.
var errChanged = errors.New("the user was changed meanwhile")

// search has the driver look for more users until enough of them have not expired.
func (s *Store) search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	cutoff := s.retention.cutoff(q.Collection)
	wanted := q.K
	for {
		found, err := s.driver.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		all := len(found) < q.K
		kept, err := s.keep(ctx, q.Collection, cutoff, found, wanted)
		switch {
		case errors.Is(err, errChanged):
			if err := ports.Ended(ctx); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case all || len(kept) == wanted:
			return kept, nil
		default:
			q.K *= 2
		}
	}
}

// keep returns the first matches, at most k, of users who have not expired.
func (s *Store) keep(ctx context.Context, collection string, c ports.Cutoff, found []ports.Match, k int) ([]ports.Match, error) {
	if !slices.ContainsFunc(found, func(m ports.Match) bool { return c.Reached(m.ExpiresAt) || c.Outdated(m.EnrolledAt) }) {
		return found[:min(k, len(found))], nil
	}
	kept := make([]ports.Match, 0, k)
	for _, m := range found {
		expired := c.Reached(m.ExpiresAt)
		if !expired && c.Outdated(m.EnrolledAt) {
			var err error
			if expired, err = s.outdated(ctx, collection, c, m); err != nil {
				return nil, err
			}
		}
		if expired {
			continue
		}
		if kept = append(kept, m); len(kept) == k {
			break
		}
	}
	return kept, nil
}

// outdated reports whether no face of a user is recent enough, where the one that was found
// is not. The other faces are read later than that one: the answer holds if it is there
// still, because nobody enrols a further face of a user who has expired.
func (s *Store) outdated(ctx context.Context, collection string, c ports.Cutoff, m ports.Match) (bool, error) {
	faces, err := s.driver.Get(ctx, ports.UserKey{Collection: collection, UserID: m.UserID})
	if errors.Is(err, ports.ErrNotFound) {
		return true, nil // removed meanwhile
	}
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(faces, func(r ports.Record) bool { return r.FaceID == m.FaceID && r.EnrolledAt.Equal(m.EnrolledAt) }) {
		return false, errChanged
	}
	return c.Expired(faces), nil
}

// scan leaves out users who have expired. Where there is a retention it looks at all faces
// of a user before it yields the first.
func (s *Store) scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		c := s.retention.cutoff(selection.Collection)
		var faces []ports.Record
		flush := func() (bool, error) {
			defer func() { clear(faces); faces = faces[:0] }()
			if expired, err := s.hidden(ctx, selection, c, faces); expired || err != nil {
				return true, err
			}
			for _, r := range faces {
				if !yield(r, nil) {
					return false, nil
				}
			}
			return true, nil
		}
		for r, err := range s.driver.Scan(ctx, selection) {
			if err != nil {
				yield(ports.Record{}, err)
				return
			}
			if len(faces) > 0 && faces[0].UserID != r.UserID {
				more, err := flush()
				if err != nil {
					yield(ports.Record{}, err)
				}
				if !more || err != nil {
					return
				}
			}
			if c.Reached(r.ExpiresAt) {
				continue
			}
			if c.EnrolledAt.IsZero() {
				if !yield(r, nil) {
					return
				}
				continue
			}
			faces = append(faces, r)
		}
		if _, err := flush(); err != nil {
			yield(ports.Record{}, err)
		}
	}
}

// hidden reports whether the user with those faces of a scan has expired. Other owners may
// have faces of the user that were enrolled later.
func (s *Store) hidden(ctx context.Context, selection ports.Selection, c ports.Cutoff, faces []ports.Record) (bool, error) {
	if !c.Expired(faces) {
		return false, nil
	}
	if _, one := selection.Owners.Only(); !one {
		return true, nil
	}
	all, err := s.driver.Get(ctx, faces[0].User())
	if err != nil && !errors.Is(err, ports.ErrNotFound) {
		return false, err
	}
	return err != nil || c.Expired(all), nil
}

// count counts the users who have not expired.
func (s *Store) count(ctx context.Context, collection string) (int, error) {
	n, err := s.driver.Count(ctx, collection)
	if n == 0 || err != nil {
		return n, err
	}
	for _, err := range s.driver.Expired(ctx, collection, s.retention.cutoff(collection)) {
		if err != nil {
			return 0, err
		}
		n--
	}
	return max(0, n), nil
}

// Expired returns the IDs of at most limit users of a collection who have expired at a time.
func (s *Store) Expired(ctx context.Context, collection string, at time.Time, limit int) (ids []string, err error) {
	if err := s.begin(ctx, validateCollection(collection)); err != nil {
		return nil, s.failed(ctx, callExpired, err)
	}
	defer s.calls.Done()
	began := time.Now()
	for id, failure := range s.driver.Expired(ctx, collection, s.retention.cutoffAt(at, collection)) {
		if err = failure; err != nil {
			break
		}
		if ids = append(ids, id); len(ids) == limit {
			break
		}
	}
	return ids, s.answered(ctx, callExpired, began, err)
}

// Expire removes a user who has expired at a time, for good, or answers ports.ErrNotFound: a
// user who is not there, or was enrolled again.
func (s *Store) Expire(ctx context.Context, user ports.UserKey, at time.Time) error {
	if err := s.begin(ctx, validateUser(user)); err != nil {
		return s.failed(ctx, callExpire, err)
	}
	defer s.calls.Done()
	began := time.Now()
	return s.answered(ctx, callExpire, began, s.driver.Expire(ctx, user, s.retention.cutoffAt(at, user.Collection)))
}
