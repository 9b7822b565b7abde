package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/gallery"
	"imago/ports"
)

// Each operation that takes a picture reaches its method with what the request
// says.
func TestPictureOperations(t *testing.T) {
	for _, tt := range []struct{ method, path, operation, collection, userID string }{
		{"POST", "/users/u1", "enrol", "users", "u1"},
		{"PUT", "/users/u1", "replace", "users", "u1"},
		{"PUT", "/users/blacklist/u1", "replace", "blacklist", "u1"},
		{"POST", "/users/u1/faces", "addFace", "users", "u1"},
		{"POST", "/users/a%2Fb/faces", "addFace", "users", "a/b"},
		{"POST", "/users/blacklist/u1/faces", "addFace", "blacklist", "u1"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			var called []string
			note := func(operation string) func(context.Context, ports.Client, string, string, []byte) error {
				return func(_ context.Context, c ports.Client, collection, userID string, picture []byte) error {
					require.Equal(t, "gateway", c.Name)
					require.NotEmpty(t, picture)
					called = append(called, operation, collection, userID)
					return nil
				}
			}
			g := &fakeGallery{enrol: note("enrol"), replace: note("replace"), addFace: note("addFace")}
			r := do(handler(g), request(tt.method, tt.path, face()))
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Empty(t, text(t, r))
			require.Equal(t, []string{tt.operation, tt.collection, tt.userID}, called)
		})
	}
}

func TestUser(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	g := &fakeGallery{user: func(_ context.Context, _ ports.Client, collection, userID string) (gallery.User, error) {
		return gallery.User{UserID: collection + ":" + userID, Faces: []gallery.UserFace{{FaceID: "f1", EnrolledAt: when}}}, nil
	}}
	for path, id := range map[string]string{"/users/u1": "users:u1", "/users/whitelist/u1": "whitelist:u1"} {
		r := do(handler(g), request("GET", path, ""))
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, `{"userId":"`+id+`","faces":[{"faceId":"f1","enrolledAt":"2026-01-02T03:04:05.000006Z"}]}`, text(t, r))
	}
	require.NotEmpty(t, requireProblem(t, 400, do(handler(g), request("GET", "/users/u1?verbose=1", ""))))
}

func TestUsers(t *testing.T) {
	var asked []any
	g := &fakeGallery{users: func(_ context.Context, _ ports.Client, collection, from string, limit int) (gallery.Page, error) {
		asked = []any{collection, from, limit}
		return gallery.Page{Users: []gallery.User{{UserID: "u1"}}, Next: `u"2`}, nil
	}}
	o := options(g)
	o.Lists = []config.Collection{{Name: "blacklist"}}
	h := httpapi.New(o).Handler()
	cursor := base64.RawURLEncoding.EncodeToString([]byte(`u"2`))
	for path, want := range map[string][]any{
		"/users":                   {"users", "", 100},
		"/users?limit=7":           {"users", "", 7},
		"/users?cursor=" + cursor:  {"users", `u"2`, 100},
		"/users/blacklist?limit=1": {"blacklist", "", 1},
	} {
		r := do(h, request("GET", path, ""))
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		require.Equal(t, `{"users":[{"userId":"u1","faces":[]}],"cursor":"`+cursor+`"}`, text(t, r))
		require.Equal(t, want, asked, path)
	}
	for _, query := range []string{"limit=ten", "limit=", "limit=1&limit=2", "cursor=%25", "offset=3", "cursor=YQ%0A", "cursor=YR", "cursor=AA", "cursor=_w", "cursor=" + base64.RawURLEncoding.EncodeToString(make([]byte, 300))} {
		require.NotEmpty(t, requireProblem(t, 400, do(h, request("GET", "/users?"+query, ""))), query)
	}
}

func TestLastPageHasNoCursor(t *testing.T) {
	require.Equal(t, `{"users":[]}`, text(t, do(handler(&fakeGallery{}), request("GET", "/users", ""))))
}

// The scope of a key covers reading; the name of a list is checked as that list.
func TestUsersScopes(t *testing.T) {
	o := options(&fakeGallery{})
	o.Lists = []config.Collection{{Name: "blacklist"}}
	o.Keys = keys{
		"reader":   {Operations: []ports.Operation{ports.OpRead}},
		"searcher": {Operations: []ports.Operation{ports.OpSearch}},
		"lister":   {Collections: []string{"blacklist"}},
	}
	h := httpapi.New(o).Handler()
	for _, tt := range []struct {
		key, method, path string
		want              int
	}{
		{"reader", "GET", "/users", 200}, {"reader", "GET", "/users/u1", 200}, {"reader", "PUT", "/users/u1", 403},
		{"reader", "POST", "/users/u1/faces", 403}, {"searcher", "GET", "/users", 403}, {"searcher", "GET", "/users/u1", 403},
		{"lister", "GET", "/users", 403}, {"lister", "GET", "/users/u1", 403}, {"lister", "GET", "/users/blacklist", 200},
		{"lister", "GET", "/users/blacklist/u1", 200}, {"lister", "PUT", "/users/blacklist/u1", 200},
	} {
		body := ""
		if tt.method != "GET" {
			body = face()
		}
		r := request(tt.method, tt.path, body)
		r.Header.Set("X-Api-Key", tt.key)
		require.Equal(t, tt.want, do(h, r).StatusCode, "%s %s %s", tt.key, tt.method, tt.path)
	}
}

// A path names a face of a user, and of a user of a list, whatever the face is called.
func TestRemoveFace(t *testing.T) {
	var called []string
	g := &fakeGallery{removeFace: func(_ context.Context, _ ports.Client, collection, userID, faceID string) error {
		called = []string{collection, userID, faceID}
		return nil
	}}
	h := handler(g)
	for path, want := range map[string][]string{
		"/users/u1/faces/f1":                 {"users", "u1", "f1"},
		"/users/u1/faces/faces":              {"users", "u1", "faces"},
		"/users/u1/faces/verify":             {"users", "u1", "verify"},
		"/users/a%2Fb/faces/c%2Fd":           {"users", "a/b", "c/d"},
		"/users/blacklist/u1/faces/f1":       {"blacklist", "u1", "f1"},
		"/users/blacklist/u1/faces/faces":    {"blacklist", "u1", "faces"},
		"/users/blacklist/u%201/faces/f%2F.": {"blacklist", "u 1", "f/."},
	} {
		r := do(h, request("DELETE", path, ""))
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		require.Empty(t, text(t, r))
		require.Equal(t, want, called, path)
		r = do(h, request("POST", path, face()))
		require.Equal(t, "DELETE", r.Header.Get("Allow"), path)
		require.Empty(t, requireProblem(t, 405, r))
	}
	g.removeFace = func(context.Context, ports.Client, string, string, string) error { return ports.ErrOnlyFace }
	r := request("DELETE", "/users/u1/faces/f1", "")
	require.Equal(t, []string{"provided face is the only one of the user"}, requireProblem(t, 400, do(h, r)))
	r.Header.Set("Accept", "application/problem+json")
	require.Contains(t, text(t, do(h, r)), `"codes":["only_face"]`)
	g.removeFace = func(context.Context, ports.Client, string, string, string) error { return ports.ErrNotFound }
	require.Empty(t, requireProblem(t, 404, do(h, request("DELETE", "/users/u1/faces/f1", ""))))
}

// Removing a face needs what unenrolling needs.
func TestRemoveFaceScope(t *testing.T) {
	o := options(&fakeGallery{})
	o.Keys = keys{
		"enroller": {Operations: []ports.Operation{ports.OpEnrol, ports.OpRead}},
		"remover":  {Operations: []ports.Operation{ports.OpUnenrol}, Collections: []string{"users"}},
	}
	h := httpapi.New(o).Handler()
	for _, tt := range []struct {
		key, path string
		want      int
	}{
		{"enroller", "/users/u1/faces/f1", 403}, {"remover", "/users/u1/faces/f1", 200}, {"remover", "/users/blacklist/u1/faces/f1", 403},
	} {
		r := request("DELETE", tt.path, "")
		r.Header.Set("X-Api-Key", tt.key)
		require.Equal(t, tt.want, do(h, r).StatusCode, "%s %s", tt.key, tt.path)
	}
}
