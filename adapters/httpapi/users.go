package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"imago/adapters/httpapi/body"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/ports"
)

// Gallery is what the API needs of the core. Its errors are those of ports;
// those that the client can do something about are Refusals. Pictures are
// only read and not retained.
type Gallery interface {
	// Enrol stores the face of a picture as a new user of a collection.
	Enrol(ctx context.Context, c ports.Client, e gallery.Enrolment) error
	// Replace makes the face of a picture the only one of an existing user.
	Replace(ctx context.Context, c ports.Client, e gallery.Enrolment) error
	// AddFace gives an existing user one more face.
	AddFace(ctx context.Context, c ports.Client, e gallery.Enrolment) error
	// Unenrol removes all faces of a user.
	Unenrol(ctx context.Context, c ports.Client, collection, userID string) error
	// RemoveFace removes one face of a user who has others.
	RemoveFace(ctx context.Context, c ports.Client, collection, userID, faceID string) error
	// User returns what the client may know of a user.
	User(ctx context.Context, c ports.Client, collection, userID string) (gallery.User, error)
	// Users returns at most limit users, starting with the first whose ID is
	// not less than from.
	Users(ctx context.Context, c ports.Client, collection, from string, limit int) (gallery.Page, error)
	// Search returns the users who look like the face of a picture, best first.
	// That nobody was found is no error.
	Search(ctx context.Context, c ports.Client, p gallery.Probe) (gallery.Result, error)
	// SearchFaces is Search in several collections, for the largest face or for each.
	SearchFaces(ctx context.Context, c ports.Client, p gallery.FacesProbe) ([]gallery.FaceResult, error)
	// Verify compares the face of a picture with the faces of one user.
	Verify(ctx context.Context, c ports.Client, v gallery.Verification) (gallery.Verified, error)
	// Assess says what a threshold in percent means in a collection, whose
	// number of users is at most maxAge old; 0 counts now.
	Assess(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (gallery.Assessment, error)
}

// users answers requests about users and their faces.
type users struct {
	gallery     Gallery
	collections collections
}

// change returns the handler of requests with a picture for the user of the path.
func (u users) change(do func(context.Context, ports.Client, gallery.Enrolment) error) pictureHandler {
	return func(ctx context.Context, x *exchange, r *http.Request, c caller, q request) error {
		if err := x.auditIntent(); err != nil {
			return err
		}
		e := gallery.Enrolment{Collection: c.collection.Name, UserID: r.PathValue("userId"), Picture: q.picture, ExpiresAt: q.expiresAt}
		if q.explain {
			e.Enrolled = new(gallery.Enrolled)
		}
		if err := do(ctx, c.Client, e); err != nil {
			var guarded *gallery.Guarded
			if errors.As(err, &guarded) {
				x.entry.Resembled = &guarded.Resembled
			}
			return err
		}
		x.entry.Faces = 1
		if !q.explain {
			return x.done()
		}
		x.auditOutcome()
		return x.answer(enrolled{e.Enrolled.FaceID, newExplanation(e.Enrolled.Explanation)})
	}
}

// unenrol serves DELETE /users/{userId} and, with a face, DELETE
// /users/{userId}/faces/{faceId}, both also under a list. A body means nothing and is not
// read.
func (u users) unenrol(ctx context.Context, x *exchange, r *http.Request, c caller) error {
	userID, faceID := r.PathValue("userId"), r.PathValue("faceId")
	if err := x.auditIntent(); err != nil {
		return err
	}
	var err error
	if faceID == "" {
		err = u.gallery.Unenrol(ctx, c.Client, c.collection.Name, userID)
	} else {
		err = u.gallery.RemoveFace(ctx, c.Client, c.collection.Name, userID, faceID)
	}
	if err != nil {
		return err
	}
	return x.done()
}

// show serves GET /users/{userId} and GET /users/{list}/{userId}.
func (u users) show(ctx context.Context, x *exchange, r *http.Request, c caller) error {
	wrong := checkQuery(r.URL.Query())
	wrong.add(u.collections.checkUserID(r))
	if err := wrong.err(); err != nil {
		return err
	}
	found, err := u.gallery.User(ctx, c.Client, c.collection.Name, r.PathValue("userId"))
	if err != nil {
		return err
	}
	x.entry.Faces = len(found.Faces)
	return x.answer(newUser(found))
}

// defaultPage is the number of users in a page when the client names none.
const defaultPage = 100

// list serves GET /users and, for a list, GET /users/{list}.
func (u users) list(ctx context.Context, x *exchange, r *http.Request, c caller) error {
	query := r.URL.Query()
	wrong := checkQuery(query, "limit", "cursor")
	limit, err := readPageLimit(query)
	wrong.add(err)
	from, err := readCursor(query.Get("cursor"))
	wrong.add(err)
	if err := wrong.err(); err != nil {
		return err
	}
	found, err := u.gallery.Users(ctx, c.Client, c.collection.Name, from, limit)
	if err != nil {
		return err
	}
	out := page{Users: make([]user, 0, len(found.Users)), Cursor: base64.RawURLEncoding.EncodeToString([]byte(found.Next))}
	for _, one := range found.Users {
		x.entry.Faces += len(one.Faces)
		out.Users = append(out.Users, newUser(one))
	}
	return x.answer(out)
}

// checkQuery refuses parameters that are not known or given twice, so that a
// misspelt one does not pass in silence.
func checkQuery(query url.Values, known ...string) (wrong mistakes) {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(wrong) == body.MaxReasons:
			return wrong
		case !slices.Contains(known, name):
			wrong.add(refuse("unknown query parameter " + body.Quote(name)))
		case len(query[name]) > 1:
			wrong.add(refuse(fmt.Sprintf("query parameter %q is given twice", name)))
		}
	}
	return wrong
}

// readPageLimit returns how many users a page may have.
func readPageLimit(query url.Values) (int, error) {
	if !query.Has("limit") {
		return defaultPage, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		return 0, refuse("limit must be a whole number")
	}
	return limit, gallery.CheckLimit(limit)
}

// readCursor returns the user ID in a cursor. One that was not given by an earlier page
// opens nothing: it is a place in the order of IDs, and the page behind it has nothing
// but what the client may see.
func readCursor(text string) (string, error) {
	encoding := base64.RawURLEncoding.Strict()
	from, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodeToString(from) != text || text != "" && naming.CheckID(string(from)) != nil {
		return "", refuse("cursor must be one that an earlier page gave")
	}
	return string(from), nil
}

// page is a page of users. The cursor is the ID with which the next one begins, a user
// of the client's like those of the page, in base64 so that clients take it for what it
// is, opaque.
type page struct {
	Users  []user `json:"users"`
	Cursor string `json:"cursor,omitempty"`
}

// enrolled is the answer to an enrolment that asks for an explanation.
type enrolled struct {
	FaceID      string      `json:"faceId"`
	Explanation explanation `json:"explanation"`
}

type user struct {
	UserID    string     `json:"userId"`
	Faces     []userFace `json:"faces"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

type userFace struct {
	FaceID     string    `json:"faceId"`
	EnrolledAt time.Time `json:"enrolledAt"`
}

func newUser(u gallery.User) user {
	out := user{UserID: u.UserID, Faces: make([]userFace, 0, len(u.Faces))}
	for _, f := range u.Faces {
		out.Faces = append(out.Faces, userFace(f))
	}
	if !u.ExpiresAt.IsZero() {
		out.ExpiresAt = &u.ExpiresAt
	}
	return out
}
