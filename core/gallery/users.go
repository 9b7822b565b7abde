package gallery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"imago/ports"
)

// maxFaces is how many faces one user may have in a collection.
const maxFaces = 100

// User is what a client may know of an enrolled user: never a vector.
type User struct {
	UserID string
	Faces  []UserFace
	// ExpiresAt is from when on nobody sees the user any more; zero means never.
	ExpiresAt time.Time
}

// UserFace is what a client may know of one face of a user.
type UserFace struct {
	FaceID     string
	EnrolledAt time.Time
}

// Page is a part of a collection's users in order of their IDs.
type Page struct {
	Users []User
	// Next is the ID with which the next page begins; empty on the last page. It
	// is that of a user whom the client may see.
	Next string
}

// Replace makes the face of a picture the only one of an existing user, in one
// step: a search meanwhile sees either the old faces or the new one.
//
// Errors: those of Enrol, but ErrNotFound where the user is not there, or where
// another client enrolled the user in a shared collection.
func (g *Gallery) Replace(ctx context.Context, client ports.Client, e Enrolment) error {
	return g.change(ctx, client, e, ports.Replacement)
}

// AddFace gives an existing user one more face; a search scores the best.
//
// Errors: those of Replace; ErrExists when the user has a face of that FaceID; a Refusal
// when the user has as many faces as one may have.
func (g *Gallery) AddFace(ctx context.Context, client ports.Client, e Enrolment) error {
	return g.change(ctx, client, e, ports.FurtherFace)
}

// change adds a face to an existing user. If the client may read the collection, a
// change that cannot succeed is refused before the costly work; otherwise the picture is
// checked first, so that a refusal does not tell whether the user exists.
func (g *Gallery) change(ctx context.Context, client ports.Client, e Enrolment, modeFor func(ports.Owners) ports.Mode) error {
	c, err := g.collection(e.Collection)
	if err != nil {
		return err
	}
	if err := g.checkEnrolment(e); err != nil {
		return err
	}
	// The owner is checked before the costly work, and by the store in one step with the
	// change.
	owners, err := c.ownersFor(client)
	if err != nil {
		return err
	}
	mode := modeFor(owners)
	if client.May(ports.OpRead, e.Collection) {
		if err := g.checkChange(ctx, client, e, mode); err != nil {
			return err
		}
		return g.add(ctx, client, e, mode)
	}
	template, err := g.extractor.Enrol(ctx, e.Picture, g.options.Gate)
	if err != nil {
		return err
	}
	if err := g.checkChange(ctx, client, e, mode); err != nil {
		return err
	}
	return g.storeTemplate(ctx, client, e, template, mode)
}

// checkChange returns an error if the user cannot have the new face.
func (g *Gallery) checkChange(ctx context.Context, client ports.Client, e Enrolment, mode ports.Mode) error {
	records, err := g.records(ctx, client, e.Collection, e.UserID)
	switch {
	case err != nil:
		return err
	case mode.Kind() == ports.KindReplacement:
		return nil
	case slices.ContainsFunc(records, func(r ports.Record) bool { return r.FaceID == e.FaceID }):
		return fmt.Errorf("gallery: add a face: %w", ports.ErrExists)
	case len(records) >= maxFaces:
		return refuse(fmt.Sprintf("userId has %d faces already, the most that one user may have", maxFaces))
	}
	return nil
}

// User returns a user.
//
// Errors: ErrNotFound when the user or the collection is not there, or when another
// client enrolled the user in a shared collection.
func (g *Gallery) User(ctx context.Context, client ports.Client, collection, userID string) (User, error) {
	records, err := g.records(ctx, client, collection, userID)
	if err != nil {
		return User{}, err
	}
	user := User{UserID: userID, ExpiresAt: g.expiry(collection, records)}
	for _, r := range records {
		user.Faces = append(user.Faces, faceOf(r))
	}
	return user, nil
}

// Users returns at most limit users (1 to 100) of a collection, ordered by ID
// bytewise and starting with the first that is not less than from. Of a shared
// collection it returns the client's own users only, and nothing in the page
// depends on others.
func (g *Gallery) Users(ctx context.Context, client ports.Client, collection, from string, limit int) (Page, error) {
	c, err := g.collection(collection)
	if err != nil {
		return Page{}, err
	}
	if err := CheckLimit(limit); err != nil {
		return Page{}, err
	}
	selection := ports.Selection{Collection: collection, From: from, Owners: ports.Everybody(), WithoutVectors: true}
	if c.Shared {
		if client.Name == "" {
			return Page{}, nil
		}
		selection.Owners = ports.OwnedBy(client.Name)
	}
	var page Page
	var faces []ports.Record // of the last user of the page
	for r, err := range g.store.Scan(ctx, selection) {
		if err != nil {
			return Page{}, err
		}
		n := len(page.Users)
		fresh := n == 0 || page.Users[n-1].UserID != r.UserID
		if fresh && n == limit {
			page.Next = r.UserID
			return page, nil
		}
		if fresh {
			faces = faces[:0]
			page.Users = append(page.Users, User{UserID: r.UserID})
			n++
		}
		faces = append(faces, r)
		last := &page.Users[n-1]
		last.Faces, last.ExpiresAt = append(last.Faces, faceOf(r)), g.expiry(collection, faces)
	}
	return page, nil
}

// expiry returns when the user with those faces expires, zero for never.
func (g *Gallery) expiry(collection string, faces []ports.Record) time.Time {
	return ports.Expiry(faces, g.collections[collection].Retention)
}

func faceOf(r ports.Record) UserFace {
	return UserFace{FaceID: r.FaceID, EnrolledAt: r.EnrolledAt}
}

// records returns the faces of a user that the client may read and change.
func (g *Gallery) records(ctx context.Context, client ports.Client, collection, userID string) ([]ports.Record, error) {
	if err := g.checkUser(collection, userID); err != nil {
		return nil, err
	}
	records, err := g.store.Get(ctx, ports.UserKey{Collection: collection, UserID: userID})
	if err != nil {
		return nil, err
	}
	if g.collections[collection].Shared && slices.ContainsFunc(records, func(r ports.Record) bool { return r.Owner != client.Name }) {
		return nil, errHidden
	}
	return records, nil
}

// checkUser refuses a user who cannot be in a collection, and a collection that is not
// there.
func (g *Gallery) checkUser(collection, userID string) error {
	if _, err := g.collection(collection); err != nil {
		return err
	}
	return g.checkUserID(userID)
}
