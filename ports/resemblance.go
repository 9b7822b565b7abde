package ports

import (
	"context"
	"errors"
)

// Resemblance is an ErrResembles that says whom a face resembles.
type Resemblance struct{ Match Match }

// Error names nobody: who may know is for others to decide.
func (r *Resemblance) Error() string { return ErrResembles.Error() }

// Unwrap returns ErrResembles.
func (r *Resemblance) Unwrap() error { return ErrResembles }

// Searcher is the part of a store by which the condition Unlike is checked.
type Searcher interface {
	Search(ctx context.Context, q Query) ([]Match, error)
	Get(ctx context.Context, user UserKey) ([]Record, error)
}

// CheckUnlike returns the Resemblance of a record to another user in a store, nil where the
// mode sets no such condition or it holds. Users who have expired by the mode's cutoff do not
// count.
func (m Mode) CheckUnlike(ctx context.Context, s Searcher, r Record) error {
	score, set := m.UnlikeScore()
	if !set {
		return nil
	}
	// One is the user's own, and one is enough unless it has expired.
	for k := 2; ; k *= 8 {
		found, err := s.Search(ctx, Query{Collection: r.Collection, Vector: r.Vector, K: k, MinScore: score})
		if err != nil {
			return err
		}
		for _, match := range found {
			expired, err := m.cutoff.expiredMatch(ctx, s, r.Collection, match)
			if err != nil {
				return err
			}
			if match.UserID != r.UserID && !expired {
				return &Resemblance{match}
			}
		}
		if len(found) < k {
			return nil
		}
	}
}

// expiredMatch reports whether a user who was found has expired.
func (c Cutoff) expiredMatch(ctx context.Context, s Searcher, collection string, m Match) (bool, error) {
	if c.Reached(m.ExpiresAt) || !c.Outdated(m.EnrolledAt) {
		return c.Reached(m.ExpiresAt), nil
	}
	faces, err := s.Get(ctx, UserKey{collection, m.UserID})
	if errors.Is(err, ErrNotFound) {
		return true, nil // removed meanwhile
	}
	return c.Expired(faces), err
}
