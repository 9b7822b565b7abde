package httpapi

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"imago/config"
	"imago/ports"
)

// Roster is what the API needs of the core to show users and change their
// faces. Its errors are those of ports.
type Roster interface {
	// Replace makes the face of a picture the only one of an existing user.
	Replace(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	// AddFace gives an existing user one more face.
	AddFace(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	// User returns what may be told of a user.
	User(ctx context.Context, c ports.Client, collection, userID string) (ports.User, error)
	// Users returns at most limit users, starting with the first whose ID is
	// not less than from.
	Users(ctx context.Context, c ports.Client, collection, from string, limit int) (ports.Page, error)
}

// replace serves PUT /users/{userId} and PUT /users/{list}/{userId}.
func (s *Server) replace(x *exchange, r *http.Request, c caller) error {
	return s.withPicture(x, r, c, s.gallery.Replace)
}

// addFace serves POST /users/{userId}/faces and POST /users/{list}/{userId}/faces.
func (s *Server) addFace(x *exchange, r *http.Request, c caller) error {
	return s.withPicture(x, r, c, s.gallery.AddFace)
}

// withPicture reads a picture and gives it to an operation on the user of the
// path.
func (s *Server) withPicture(x *exchange, r *http.Request, c caller,
	do func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error) error {
	picture, _, err := s.question(x, r, c, enrolFields)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	if err := s.announce(x); err != nil {
		return err
	}
	if err := do(ctx, c.Client, c.collection, r.PathValue("userId"), picture); err != nil {
		return err
	}
	x.entry.Faces = 1
	s.conclude(x)
	return done(x)
}

// userOrList serves GET /users/{userId}: the name of a list, which cannot be a
// user's ID, stands for the users of that list.
func (s *Server) userOrList() handler {
	user, users := s.api(ports.OpRead, s.user), s.api(ports.OpRead, s.users)
	return func(x *exchange, r *http.Request) error {
		if name := r.PathValue("userId"); s.isList(name) {
			r.SetPathValue("list", name)
			r.SetPathValue("userId", "")
			return users(x, r)
		}
		return user(x, r)
	}
}

func (s *Server) isList(name string) bool {
	return slices.ContainsFunc(s.lists, func(c config.Collection) bool { return c.Name == name })
}

// user serves GET /users/{userId} and GET /users/{list}/{userId}.
func (s *Server) user(x *exchange, r *http.Request, c caller) error {
	if err := checkQuery(r.URL.Query()); err != nil {
		return err
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	u, err := s.gallery.User(ctx, c.Client, c.collection, r.PathValue("userId"))
	if err != nil {
		return err
	}
	x.entry.Faces = len(u.Faces)
	if err := s.disclose(x); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, newUser(u))
	return nil
}

// defaultPage is the number of users in a page when the client names none.
const defaultPage = 100

// users serves GET /users and, for a list, GET /users/{list}.
func (s *Server) users(x *exchange, r *http.Request, c caller) error {
	query := r.URL.Query()
	if err := checkQuery(query, "limit", "cursor"); err != nil {
		return err
	}
	limit := defaultPage
	if text := query.Get("limit"); query.Has("limit") {
		var err error
		if limit, err = strconv.Atoi(text); err != nil {
			return refuse("limit must be a whole number")
		}
	}
	from, err := readCursor(query.Get("cursor"))
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	page, err := s.gallery.Users(ctx, c.Client, c.collection, from, limit)
	if err != nil {
		return err
	}
	for _, u := range page.Users {
		x.entry.Faces += len(u.Faces)
	}
	if err := s.disclose(x); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, newUsers(page))
	return nil
}

// checkQuery refuses parameters that are not known or given twice, so that a
// misspelt one does not pass in silence.
func checkQuery(query url.Values, known ...string) error {
	for name, values := range query {
		if !slices.Contains(known, name) {
			return refuse(fmt.Sprintf("unknown query parameter %q", name))
		}
		if len(values) > 1 {
			return refuse(fmt.Sprintf("query parameter %q is given twice", name))
		}
	}
	return nil
}

// readCursor returns the user ID in a cursor. One that was not given by an earlier page
// opens nothing: it is a place in the order of IDs, and the page behind it has nothing
// but what the client may see.
func readCursor(text string) (string, error) {
	encoding := base64.RawURLEncoding.Strict()
	from, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodeToString(from) != text || text != "" && ports.ValidateUser(inventory, string(from)) != nil {
		return "", refuse("cursor must be one that an earlier page gave")
	}
	return string(from), nil
}

// users is a page of users. The cursor is the ID with which the next one begins, a user
// of the client's like those of the page, in base64 so that clients take it for what it
// is, opaque.
type users struct {
	Users  []user `json:"users"`
	Cursor string `json:"cursor,omitempty"`
}

type user struct {
	UserID string     `json:"userId"`
	Faces  []userFace `json:"faces"`
}

type userFace struct {
	FaceID     string    `json:"faceId"`
	EnrolledAt time.Time `json:"enrolledAt"`
}

func newUsers(page ports.Page) users {
	out := users{Users: make([]user, 0, len(page.Users)), Cursor: base64.RawURLEncoding.EncodeToString([]byte(page.Next))}
	for _, u := range page.Users {
		out.Users = append(out.Users, newUser(u))
	}
	return out
}

func newUser(u ports.User) user {
	out := user{UserID: u.UserID, Faces: make([]userFace, 0, len(u.Faces))}
	for _, f := range u.Faces {
		out.Faces = append(out.Faces, userFace{FaceID: f.FaceID, EnrolledAt: f.EnrolledAt})
	}
	return out
}
