package gallery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"imago/core/calibration"
	"imago/core/quality"
	"imago/ports"
)

// Collection is a list of faces beside the inventory.
type Collection struct {
	Name string
	// Shared means that only the client that enrolled a face is told its
	// user ID and may unenrol it.
	Shared bool
}

// maxLimit is the largest number of matches a search may ask for.
const maxLimit = 100

// Extractor makes templates from pictures; see package extraction.
type Extractor interface {
	Probe(ctx context.Context, picture []byte) ([]float32, error)
	Enrol(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, error)
}

// Options are the settings of a Gallery.
type Options struct {
	// Lists are the collections beside the inventory.
	Lists []Collection
	// Curve belongs to the network whose vectors the store holds.
	Curve calibration.Curve
	// Measured is what is known of that network beside the curve.
	Measured Measurement
	// Gate is what a picture must pass to be enrolled.
	Gate quality.Gate
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Gallery enrols faces, searches them and unenrols them. It is safe for
// concurrent use. Its methods answer the errors of ports: a Refusal for input
// that cannot be accepted, and otherwise the sentinel that applies.
type Gallery struct {
	extractor   Extractor
	store       ports.VectorStore
	collections map[string]Collection
	lists       []string // the names of all but the inventory
	curve       calibration.Curve
	measured    Measurement
	sizes       map[string]*size // of every collection; not changed after New
	gate        quality.Gate
	now         func() time.Time
}

// New returns a Gallery over an extractor and a store of the same embedding
// space.
func New(extractor Extractor, store ports.VectorStore, o Options) *Gallery {
	g := &Gallery{
		extractor: extractor, store: store,
		collections: map[string]Collection{Inventory: {Name: Inventory}},
		lists:       namesOf(o.Lists),
		sizes:       map[string]*size{Inventory: new(size)},
		curve:       o.Curve, measured: o.Measured, gate: o.Gate, now: o.Now,
	}
	for _, c := range o.Lists {
		g.collections[c.Name] = c
		g.sizes[c.Name] = new(size)
	}
	if g.now == nil {
		g.now = time.Now
	}
	return g
}

// Collections returns the names of all collections, in no particular order.
func (g *Gallery) Collections() []string {
	names := make([]string, 0, len(g.collections))
	for name := range g.collections {
		names = append(names, name)
	}
	return names
}

// Enrolment is a face that is to be stored.
type Enrolment struct {
	Collection string
	UserID     string
	// FaceID is the name of the face among those of the user; empty means a new
	// random one.
	FaceID string
	// Picture is a JPEG or PNG file. It is only read and not retained.
	Picture []byte
}

// Enrol stores the face of a picture as a new user of a collection. When it
// returns nil the user is found by every later search.
//
// Errors: ErrExists when the user has a face in the collection; ErrNotFound for
// an unknown collection; a Refusal for an unacceptable ID or picture. Whether a user
// exists whom the client may not see is told to nobody whose picture is not one that
// could be enrolled.
func (g *Gallery) Enrol(ctx context.Context, client ports.Client, collection, userID string, picture []byte) error {
	return g.EnrolAs(ctx, client, Enrolment{Collection: collection, UserID: userID, Picture: picture})
}

// EnrolAs is Enrol with a face ID of the caller's choice, which makes an
// enrolment recognisable when it is repeated.
func (g *Gallery) EnrolAs(ctx context.Context, client ports.Client, e Enrolment) error {
	if _, err := g.collection(e.Collection); err != nil {
		return err
	}
	if err := g.checkUserID(e.UserID); err != nil {
		return err
	}
	// A repeated enrolment is answered before the costly work; Add decides.
	if client.May(ports.OpRead, e.Collection) {
		_, err := g.own(ctx, client, e.Collection, e.UserID)
		switch {
		case err == nil:
			return fmt.Errorf("gallery: enrol: %w", ports.ErrExists)
		case !errors.Is(err, ports.ErrNotFound):
			return err
		}
	}
	return g.add(ctx, client, e, ports.First)
}

// add extracts the template of a picture and stores it.
func (g *Gallery) add(ctx context.Context, client ports.Client, e Enrolment, mode ports.Mode) error {
	vector, err := g.extractor.Enrol(ctx, e.Picture, g.gate)
	if err != nil {
		return err
	}
	return g.keep(ctx, client, e, vector, mode)
}

// keep stores a template.
func (g *Gallery) keep(ctx context.Context, client ports.Client, e Enrolment, vector []float32, mode ports.Mode) error {
	return hideOthers(g.store.Add(ctx, ports.Record{
		Collection: e.Collection, UserID: e.UserID, FaceID: cmp.Or(e.FaceID, rand.Text()), Vector: vector,
		Owner: client.Name, EnrolledAt: g.now().UTC().Truncate(time.Microsecond),
	}, mode))
}

// hideOthers answers about a user of a shared list whom another client enrolled as
// about one who is not there.
func hideOthers(err error) error {
	if errors.Is(err, ports.ErrForbidden) {
		return errHidden
	}
	return err
}

// errHidden has nothing of the error that it stands for.
var errHidden = fmt.Errorf("gallery: no such user of this client: %w", ports.ErrNotFound)

// Search returns the users of a collection that look like the largest face of
// the probe's picture: similarity at least the threshold, best first, at most
// limit, one candidate a user. In a shared collection the user ID is empty
// where another client enrolled the face.
//
// Errors: ErrNotFound when nobody reaches the threshold and for an unknown
// collection; a Refusal for an unacceptable threshold, limit or picture, around
// ErrForbidden for a threshold that is too low for the client.
func (g *Gallery) Search(ctx context.Context, client ports.Client, p ports.Probe) ([]ports.Candidate, error) {
	collection, err := g.collection(p.Collection)
	if err != nil {
		return nil, err
	}
	if err := checkBounds(p); err != nil {
		return nil, err
	}
	if err := checkLeast(client, p.Threshold); err != nil {
		return nil, err
	}
	vector, err := g.extractor.Probe(ctx, p.Picture)
	if err != nil {
		return nil, err
	}
	matches, err := g.store.Search(ctx, ports.Query{
		Collection: p.Collection, Vector: vector, K: p.Limit, MinScore: g.curve.Cosine(p.Threshold),
	})
	if err != nil {
		return nil, err
	}
	candidates := make([]ports.Candidate, 0, len(matches))
	for _, m := range matches {
		similarity := g.curve.Percent(m.Score)
		if similarity < p.Threshold {
			break
		}
		c := ports.Candidate{UserID: m.UserID, Similarity: similarity}
		if collection.Shared && m.Owner != client.Name {
			c.UserID = ""
		}
		candidates = append(candidates, c)
	}
	if len(candidates) == 0 {
		return nil, fmt.Errorf("gallery: search: no match: %w", ports.ErrNotFound)
	}
	return candidates, nil
}

// checkLeast refuses what would tell a client of people who hardly resemble the probe.
func checkLeast(client ports.Client, threshold float64) error {
	if threshold >= client.MinThreshold {
		return nil
	}
	return ports.Refuse(ports.ErrForbidden, fmt.Sprintf(
		"threshold %v is below %v, the least that this key may search with (min_threshold in the keys file)", threshold, client.MinThreshold))
}

func checkBounds(p ports.Probe) error {
	if err := checkThreshold(p.Threshold); err != nil {
		return err
	}
	if p.Limit < 1 || p.Limit > maxLimit {
		return refuse(fmt.Sprintf("limit must be a whole number from 1 to %d", maxLimit))
	}
	return nil
}

// Unenrol removes all faces of a user from a collection. When it returns nil no
// later search finds the user.
//
// Errors: ErrNotFound when the user or the collection is not there, or when another
// client enrolled the user in a shared collection.
func (g *Gallery) Unenrol(ctx context.Context, client ports.Client, collection, userID string) error {
	c, err := g.collection(collection)
	if err != nil {
		return err
	}
	if err := g.checkUserID(userID); err != nil {
		return err
	}
	if !c.Shared {
		return g.store.Remove(ctx, collection, userID, "")
	}
	// An empty name would mean anybody's faces to the store.
	if client.Name == "" {
		return errHidden
	}
	return hideOthers(g.store.Remove(ctx, collection, userID, client.Name))
}

func (g *Gallery) collection(name string) (Collection, error) {
	c, ok := g.collections[name]
	if !ok {
		return Collection{}, fmt.Errorf("gallery: collection %q: %w", name, ports.ErrNotFound)
	}
	return c, nil
}
