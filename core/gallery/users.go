package gallery

import (
	"context"
	"fmt"
	"slices"

	"imago/ports"
)

const (
	// maxFaces is how many faces one user may have in a collection.
	maxFaces = 100
	// maxScanned bounds the records that one page looks at, so that a shared
	// list in which few users are the client's own costs no more than another.
	maxScanned = 10_000
)

// Replace makes the face of a picture the only one of an existing user, in one
// step: a search meanwhile sees either the old faces or the new one.
//
// Errors: those of Enrol, but ErrNotFound where the user is not there, and
// ErrForbidden when another client enrolled the user in a shared collection.
func (g *Gallery) Replace(ctx context.Context, client ports.Client, collection, userID string, picture []byte) error {
	if _, err := g.own(ctx, client, collection, userID); err != nil {
		return err
	}
	return g.add(ctx, client, Enrolment{Collection: collection, UserID: userID, Picture: picture}, g.conditional(collection, ports.Replacement))
}

// AddFace gives an existing user one more face; a search scores the best.
//
// Errors: those of Replace; a Refusal when the user has as many faces as one
// may have.
func (g *Gallery) AddFace(ctx context.Context, client ports.Client, collection, userID string, picture []byte) error {
	return g.AddFaceAs(ctx, client, Enrolment{Collection: collection, UserID: userID, Picture: picture})
}

// AddFaceAs is AddFace with a face ID of the caller's choice. ErrExists when the
// user has a face of that ID, which is found out before the picture is looked
// at.
func (g *Gallery) AddFaceAs(ctx context.Context, client ports.Client, e Enrolment) error {
	records, err := g.own(ctx, client, e.Collection, e.UserID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(records, func(r ports.Record) bool { return r.FaceID == e.FaceID }) {
		return fmt.Errorf("gallery: add a face: %w", ports.ErrExists)
	}
	if len(records) >= maxFaces {
		return refuse(fmt.Sprintf("userId has %d faces already, the most that one user may have", maxFaces))
	}
	return g.add(ctx, client, e, g.conditional(e.Collection, ports.Further))
}

// conditional returns the mode for a change of a user in a collection. Who owns
// the user was looked at before the costly work; the store looks again, in one
// step with the change.
func (g *Gallery) conditional(collection string, mode ports.Mode) ports.Mode {
	if g.collections[collection].Shared {
		return mode | ports.IfOwner
	}
	return mode
}

// User returns what may be told of a user.
//
// Errors: ErrNotFound when the user or the collection is not there;
// ErrForbidden when another client enrolled the user in a shared collection.
func (g *Gallery) User(ctx context.Context, client ports.Client, collection, userID string) (ports.User, error) {
	records, err := g.own(ctx, client, collection, userID)
	if err != nil {
		return ports.User{}, err
	}
	user := ports.User{UserID: userID}
	for _, r := range records {
		user.Faces = append(user.Faces, faceOf(r))
	}
	return user, nil
}

// Users returns at most limit users (1 to 100) of a collection, ordered by ID
// bytewise and starting with the first that is not less than from. Of a shared
// collection it returns the client's own users only.
func (g *Gallery) Users(ctx context.Context, client ports.Client, collection, from string, limit int) (ports.Page, error) {
	c, err := g.collection(collection)
	if err != nil {
		return ports.Page{}, err
	}
	if limit < 1 || limit > maxLimit {
		return ports.Page{}, refuse(fmt.Sprintf("limit must be a whole number from 1 to %d", maxLimit))
	}
	var page ports.Page
	scanned, current := 0, ""
	for r, err := range g.store.Scan(ctx, collection, from) {
		if err != nil {
			return ports.Page{}, err
		}
		fresh := r.UserID != current
		current = r.UserID
		// A page ends between users.
		if fresh && (scanned >= maxScanned || len(page.Users) == limit) {
			page.Next = r.UserID
			return page, nil
		}
		scanned++
		if c.Shared && r.Owner != client.Name {
			continue
		}
		if last := len(page.Users) - 1; last >= 0 && page.Users[last].UserID == r.UserID {
			page.Users[last].Faces = append(page.Users[last].Faces, faceOf(r))
			continue
		}
		page.Users = append(page.Users, ports.User{UserID: r.UserID, Faces: []ports.UserFace{faceOf(r)}})
	}
	return page, nil
}

func faceOf(r ports.Record) ports.UserFace {
	return ports.UserFace{FaceID: r.FaceID, EnrolledAt: r.EnrolledAt}
}

// own returns the records of a user that the client may see and change.
func (g *Gallery) own(ctx context.Context, client ports.Client, collection, userID string) ([]ports.Record, error) {
	c, err := g.collection(collection)
	if err != nil {
		return nil, err
	}
	if err := g.checkUserID(userID); err != nil {
		return nil, err
	}
	records, err := g.store.Get(ctx, collection, userID)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if c.Shared && r.Owner != client.Name {
			return nil, fmt.Errorf("gallery: %w: enrolled by another client", ports.ErrForbidden)
		}
	}
	return records, nil
}
