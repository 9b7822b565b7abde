package gallery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"imago/core/calibration"
	"imago/core/extraction"
	"imago/core/naming"
	"imago/core/quality"
	"imago/ports"
)

// Collection is a list of faces beside the inventory.
type Collection struct {
	Name string
	// Shared means that only the client that enrolled a face is told its
	// user ID and may unenrol it.
	Shared bool
	// Retention is how long after the last enrolment of a face a user is kept; 0 means
	// no end.
	Retention time.Duration
	// KeepChips has the chips of faces stored too, for which Options.Chips must be there.
	KeepChips bool
	// Threshold is that of searches that name none, in percent: by it others screen, and
	// outcomes are counted.
	Threshold float64
	Guards
}

// Extractor makes templates from pictures; see package extraction.
type Extractor interface {
	Probe(ctx context.Context, picture []byte) ([]float32, error)
	Explain(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, extraction.Explanation, error)
	ProbeAll(ctx context.Context, picture []byte, most int, gate quality.Gate) ([]extraction.Template, error)
	Enrol(ctx context.Context, picture []byte, gate quality.Gate) (extraction.Template, error)
}

// ChipCipher encrypts chips for a store; see package facechip.
type ChipCipher interface {
	Seal(chip *ports.Chip, user ports.UserKey, faceID string) ([]byte, error)
}

// Options are the settings of a Gallery.
type Options struct {
	// Lists are the collections beside the inventory.
	Lists []Collection
	// Retention, KeepChips, Threshold and Guards are those of the inventory, as of a
	// Collection.
	Retention time.Duration
	KeepChips bool
	Threshold float64
	Guards    Guards
	// Chips encrypts the chips that are kept. It may be nil where no collection keeps any.
	Chips ChipCipher
	// Curve is that of the network whose vectors the store holds.
	Curve calibration.Curve
	// Measured is what else is known of that network.
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
	options     Options
	// Of every collection; not changed after New.
	sizes map[string]*size
	pace  map[string]*pace
}

// New returns a Gallery over an extractor and a store of the same embedding
// space.
func New(extractor Extractor, store ports.VectorStore, o Options) *Gallery {
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gallery{
		extractor: extractor, store: store, options: o,
		collections: map[string]Collection{naming.Inventory: {
			Name: naming.Inventory, Retention: o.Retention, KeepChips: o.KeepChips, Threshold: o.Threshold, Guards: o.Guards,
		}},
		lists: namesOf(o.Lists),
		sizes: map[string]*size{}, pace: map[string]*pace{},
	}
	for _, c := range o.Lists {
		g.collections[c.Name] = c
	}
	for name := range g.collections {
		g.sizes[name], g.pace[name] = new(size), new(pace)
	}
	return g
}

// Enrolment is a face to be stored.
type Enrolment struct {
	Collection string
	UserID     string
	// FaceID names the face among those of the user; empty for a random one. A caller
	// that chooses it can recognise its own enrolment when it repeats one.
	FaceID string
	// Picture is a JPEG or PNG file. It is only read and not retained.
	Picture []byte
	// ExpiresAt is when the user expires, unless the retention of the collection ends
	// before; zero leaves a further face with what holds for the user, and means never for
	// a new user or a replacement.
	ExpiresAt time.Time
	// Enrolled, if it is not nil, is set when the face is stored.
	Enrolled *Enrolled
}

// Enrolled is what was stored of a picture.
type Enrolled struct {
	// FaceID names the face among those of the user.
	FaceID string
	// Explanation is what was seen. It has no reasons.
	Explanation extraction.Explanation
}

// Enrol stores the face of a picture as a new user of a collection. When it
// returns nil the user is found by every later search.
//
// Errors: ErrExists when the user has a face in the collection; ErrNotFound for
// an unknown collection; a Refusal for an unacceptable ID or picture. A client that
// may not read the collection learns that a user exists only with a picture that could
// be enrolled.
func (g *Gallery) Enrol(ctx context.Context, client ports.Client, e Enrolment) error {
	if _, err := g.collection(e.Collection); err != nil {
		return err
	}
	if err := g.checkEnrolment(e); err != nil {
		return err
	}
	// An enrolment that cannot succeed is refused before the costly work; Add decides.
	if client.May(ports.OpRead, e.Collection) {
		_, err := g.records(ctx, client, e.Collection, e.UserID)
		switch {
		case err == nil:
			return fmt.Errorf("gallery: enrol: %w", ports.ErrExists)
		case !errors.Is(err, ports.ErrNotFound):
			return err
		}
	}
	return g.add(ctx, client, e, ports.NewUser())
}

// add extracts the template of a picture and stores it.
func (g *Gallery) add(ctx context.Context, client ports.Client, e Enrolment, mode ports.Mode) error {
	template, err := g.extractor.Enrol(ctx, e.Picture, g.options.Gate)
	if err != nil {
		return err
	}
	return g.storeTemplate(ctx, client, e, template, mode)
}

// storeTemplate stores a template as a face.
func (g *Gallery) storeTemplate(ctx context.Context, client ports.Client, e Enrolment, t extraction.Template, mode ports.Mode) error {
	mode, err := g.guard(ctx, client, e, t.Vector, mode)
	if err != nil {
		return err
	}
	r := ports.Record{
		Collection: e.Collection, UserID: e.UserID, FaceID: cmp.Or(e.FaceID, rand.Text()), Vector: t.Vector,
		Owner: client.Name, EnrolledAt: g.options.Now().UTC().Truncate(time.Microsecond), ExpiresAt: e.ExpiresAt,
	}
	if g.collections[e.Collection].KeepChips {
		if r.Chip, err = g.options.Chips.Seal(t.Chip, r.User(), r.FaceID); err != nil {
			return fmt.Errorf("gallery: encrypt the chip: %w", err)
		}
	}
	if err := g.store.Add(ctx, r, mode); err != nil {
		return g.anotherUser(e.Collection, hideForbidden(err))
	}
	if e.Enrolled != nil {
		*e.Enrolled = Enrolled{FaceID: r.FaceID, Explanation: t.Explanation}
	}
	return nil
}

// hideForbidden turns ErrForbidden into ErrNotFound: a user of a shared list whom another
// client enrolled looks like one who does not exist.
func hideForbidden(err error) error {
	if errors.Is(err, ports.ErrForbidden) {
		return errHidden
	}
	return err
}

// errHidden does not wrap the ErrForbidden that it replaces.
var errHidden = fmt.Errorf("gallery: no such user of this client: %w", ports.ErrNotFound)

// Unenrol removes all faces of a user from a collection. When it returns nil no
// later search finds the user.
//
// Errors: ErrNotFound when the user or the collection is not there, or when another
// client enrolled the user in a shared collection.
func (g *Gallery) Unenrol(ctx context.Context, client ports.Client, collection, userID string) error {
	return g.remove(ctx, client, ports.WholeUser(ports.UserKey{Collection: collection, UserID: userID}))
}

// RemoveFace removes one face of a user who has others.
//
// Errors: those of Unenrol; ErrNotFound when the user has no such face; ErrOnlyFace when the
// user has no other.
func (g *Gallery) RemoveFace(ctx context.Context, client ports.Client, collection, userID, faceID string) error {
	if err := naming.CheckID(faceID); err != nil {
		return refuse("faceId " + err.Error())
	}
	return g.remove(ctx, client, ports.OneFace(ports.UserKey{Collection: collection, UserID: userID}, faceID))
}

func (g *Gallery) remove(ctx context.Context, client ports.Client, removal ports.Removal) error {
	c, err := g.collection(removal.User().Collection)
	if err != nil {
		return err
	}
	if err := g.checkUserID(removal.User().UserID); err != nil {
		return err
	}
	owners, err := c.ownersFor(client)
	if err != nil {
		return err
	}
	return hideForbidden(g.store.Remove(ctx, removal, owners))
}

// ownersFor returns whose users a client may change: in a shared collection its own,
// which a client without a name has none of.
func (c Collection) ownersFor(client ports.Client) (ports.Owners, error) {
	switch {
	case !c.Shared:
		return ports.Everybody(), nil
	case client.Name == "":
		return ports.Owners{}, errHidden
	default:
		return ports.OwnedBy(client.Name), nil
	}
}

func (g *Gallery) collection(name string) (Collection, error) {
	c, ok := g.collections[name]
	if !ok {
		return Collection{}, fmt.Errorf("gallery: collection %q: %w", name, ports.ErrNotFound)
	}
	return c, nil
}

// checkUserID refuses what cannot be a user's ID in any collection.
func (g *Gallery) checkUserID(id string) error {
	if err := naming.CheckUserID(id, g.lists...); err != nil {
		return refuse(err.Error())
	}
	return nil
}

// checkEnrolment refuses what cannot be enrolled, whatever the picture.
func (g *Gallery) checkEnrolment(e Enrolment) error {
	if err := g.checkUserID(e.UserID); err != nil {
		return err
	}
	return CheckExpiresAt(e.ExpiresAt, g.options.Now())
}

// CheckExpiresAt refuses the expiry of an enrolment that would have expired at once; zero is
// none.
func CheckExpiresAt(at, now time.Time) error {
	if !at.IsZero() && !at.After(now) {
		return refuse("expiresAt must be in the future")
	}
	return nil
}

func namesOf(lists []Collection) []string {
	names := make([]string, 0, len(lists))
	for _, c := range lists {
		names = append(names, c.Name)
	}
	return names
}

func refuse(reason string) error { return ports.Refuse(ports.ErrInvalid, reason) }
