package gallery

import (
	"context"
	"errors"

	"imago/ports"
)

// Guards are conditions on the faces that are enrolled in a collection.
type Guards struct {
	// Unique is a similarity in percent that a face must not reach with one of another user
	// of the collection; 0 for no such condition.
	Unique float64
	// Screen are lists on which the face must not be, by their thresholds.
	Screen []string
	// SamePerson is a similarity in percent that a further face must reach with one of the
	// user's own; 0 for no such condition.
	SamePerson float64
}

// The reasons of guards, which are part of the API. That of a list may be followed by a colon
// and its name.
const (
	ReasonAnotherUser = "provided face belongs to another user"
	ReasonOnList      = "provided face is on a list"
	ReasonNotTheUsers = "provided face is not the user's"
)

// Guarded is an enrolment that a guard has refused. It unwraps to the Refusal that the client
// may read.
type Guarded struct {
	Refusal error
	// Resembled is whom the face resembles, or is too unlike: not for the client to know.
	Resembled ports.AuditResemblance
}

// Error is that of the refusal: whom a face resembles is not logged.
func (g *Guarded) Error() string { return g.Refusal.Error() }

// Unwrap returns the refusal.
func (g *Guarded) Unwrap() error { return g.Refusal }

// guarded refuses an enrolment because of the resemblance to a user.
func (g *Gallery) guarded(reason, collection, userID string, score float64) error {
	return &Guarded{refuse(reason), ports.AuditResemblance{
		Collection: collection, UserID: userID, Similarity: g.options.Curve.Percent(score),
	}}
}

// guard checks what can be checked before a face is stored, and returns the mode with the
// condition that the store checks.
func (g *Gallery) guard(ctx context.Context, client ports.Client, e Enrolment, vector []float32, mode ports.Mode) (ports.Mode, error) {
	c := g.collections[e.Collection]
	if mode.Kind() == ports.KindFurtherFace && c.SamePerson > 0 {
		if err := g.checkSamePerson(ctx, e, vector, c.SamePerson); err != nil {
			return mode, err
		}
	}
	for _, list := range c.Screen {
		if err := g.screen(ctx, client, list, vector); err != nil {
			return mode, err
		}
	}
	if c.Unique > 0 {
		mode = mode.Unlike(g.options.Curve.Cosine(c.Unique))
	}
	return mode, nil
}

// checkSamePerson refuses a further face that is too unlike all of the user's own. A user who
// is not there is for the store to refuse.
func (g *Gallery) checkSamePerson(ctx context.Context, e Enrolment, vector []float32, threshold float64) error {
	faces, err := g.store.Get(ctx, ports.UserKey{Collection: e.Collection, UserID: e.UserID})
	if errors.Is(err, ports.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	best := -1.0
	for _, r := range faces {
		best = max(best, cosine(vector, r.Vector))
	}
	if g.options.Curve.Percent(best) < threshold {
		return g.guarded(ReasonNotTheUsers, e.Collection, e.UserID, best)
	}
	return nil
}

// screen refuses a face that is on a list. Its name is told to those who may search it.
func (g *Gallery) screen(ctx context.Context, client ports.Client, list string, vector []float32) error {
	threshold := g.collections[list].Threshold
	found, err := g.store.Search(ctx, ports.Query{
		Collection: list, Vector: vector, K: 1, MinScore: g.options.Curve.Cosine(threshold),
	})
	if err != nil || len(found) == 0 || g.options.Curve.Percent(found[0].Score) < threshold {
		return err
	}
	reason := ReasonOnList
	if client.May(ports.OpSearch, list) {
		reason += ": " + list
	}
	return g.guarded(reason, list, found[0].UserID, found[0].Score)
}

// anotherUser turns the Resemblance that a store answers into a refusal.
func (g *Gallery) anotherUser(collection string, err error) error {
	var r *ports.Resemblance
	if errors.As(err, &r) {
		return g.guarded(ReasonAnotherUser, collection, r.Match.UserID, r.Match.Score)
	}
	return err
}
