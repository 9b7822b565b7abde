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
)

// Replace makes the face of a picture the only one of an existing user, in one
// step: a search meanwhile sees either the old faces or the new one.
//
// Errors: those of Enrol, but ErrNotFound where the user is not there, or where
// another client enrolled the user in a shared collection.
func (g *Gallery) Replace(ctx context.Context, client ports.Client, collection, userID string, picture []byte) error {
	return g.change(ctx, client, Enrolment{Collection: collection, UserID: userID, Picture: picture}, ports.Replacement)
}

// AddFace gives an existing user one more face; a search scores the best.
//
// Errors: those of Replace; a Refusal when the user has as many faces as one
// may have.
func (g *Gallery) AddFace(ctx context.Context, client ports.Client, collection, userID string, picture []byte) error {
	return g.AddFaceAs(ctx, client, Enrolment{Collection: collection, UserID: userID, Picture: picture})
}

// AddFaceAs is AddFace with a face ID of the caller's choice. ErrExists when the
// user has a face of that ID, which a client that may see the user is told before the
// picture is looked at.
func (g *Gallery) AddFaceAs(ctx context.Context, client ports.Client, e Enrolment) error {
	return g.change(ctx, client, e, ports.Further)
}

// change adds a face to an existing user. A client that may see users is told before
// the costly work that it is in vain; for all others the picture is judged first.
func (g *Gallery) change(ctx context.Context, client ports.Client, e Enrolment, mode ports.Mode) error {
	if _, err := g.collection(e.Collection); err != nil {
		return err
	}
	if err := g.checkUserID(e.UserID); err != nil {
		return err
	}
	if client.May(ports.OpRead, e.Collection) {
		if err := g.checkChange(ctx, client, e, mode); err != nil {
			return err
		}
		return g.add(ctx, client, e, g.conditional(e.Collection, mode))
	}
	vector, err := g.extractor.Enrol(ctx, e.Picture, g.gate)
	if err != nil {
		return err
	}
	if err := g.checkChange(ctx, client, e, mode); err != nil {
		return err
	}
	return g.keep(ctx, client, e, vector, g.conditional(e.Collection, mode))
}

// checkChange returns what stands against one more face of a user.
func (g *Gallery) checkChange(ctx context.Context, client ports.Client, e Enrolment, mode ports.Mode) error {
	records, err := g.own(ctx, client, e.Collection, e.UserID)
	switch {
	case err != nil:
		return err
	case mode == ports.Replacement:
		return nil
	case slices.ContainsFunc(records, func(r ports.Record) bool { return r.FaceID == e.FaceID }):
		return fmt.Errorf("gallery: add a face: %w", ports.ErrExists)
	case len(records) >= maxFaces:
		return refuse(fmt.Sprintf("userId has %d faces already, the most that one user may have", maxFaces))
	}
	return nil
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
// Errors: ErrNotFound when the user or the collection is not there, or when another
// client enrolled the user in a shared collection.
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
// collection it returns the client's own users only, and nothing in the page
// depends on others.
func (g *Gallery) Users(ctx context.Context, client ports.Client, collection, from string, limit int) (ports.Page, error) {
	c, err := g.collection(collection)
	if err != nil {
		return ports.Page{}, err
	}
	if limit < 1 || limit > maxLimit {
		return ports.Page{}, refuse(fmt.Sprintf("limit must be a whole number from 1 to %d", maxLimit))
	}
	selection := ports.Selection{Collection: collection, From: from, Owners: ports.Everybody(), WithoutVectors: true}
	if c.Shared {
		if client.Name == "" {
			return ports.Page{}, nil
		}
		selection.Owners = ports.OwnedBy(client.Name)
	}
	var page ports.Page
	for r, err := range g.store.Scan(ctx, selection) {
		if err != nil {
			return ports.Page{}, err
		}
		n := len(page.Users)
		if n > 0 && page.Users[n-1].UserID == r.UserID {
			page.Users[n-1].Faces = append(page.Users[n-1].Faces, faceOf(r))
			continue
		}
		if n == limit {
			page.Next = r.UserID
			return page, nil
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
	if c.Shared && slices.ContainsFunc(records, func(r ports.Record) bool { return r.Owner != client.Name }) {
		return nil, errHidden
	}
	return records, nil
}
