package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/ports"
)

func TestEnrol(t *testing.T) {
	for _, tt := range []struct{ path, collection, userID string }{
		{"/users/u1", "users", "u1"},
		{"/users/f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", "users", "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e"},
		{"/users/blacklist/u1", "blacklist", "u1"},
		{"/users/blacklist", "users", "blacklist"}, // the core refuses reserved words
		{"/users/faces", "users", "faces"},
		{"/users/a%2Fb", "users", "a/b"},
		{"/users/%2E%2E", "users", ".."},
		{"/users/%2e", "users", "."},
		{"/users/%2F%2F", "users", "//"},
		{"/users/..%2F..%2Fetc", "users", "../../etc"},
		{"/users/%25", "users", "%"},
		{"/users/a%22b%5Cc", "users", `a"b\c`},
		{"/users/%E6%97%A5%E6%9C%AC", "users", "日本"},
		{"/users/%ff", "users", "\xff"},
		{"/users/a+b%20c", "users", "a+b c"},
		{"/users/a;b=c", "users", "a;b=c"},
		{"/users/whitelist/%73earch", "", ""}, // the mux decodes before it matches: a search
	} {
		t.Run(tt.path, func(t *testing.T) {
			called := false
			g := &gallery{enrol: func(_ context.Context, c ports.Client, collection, userID string, p []byte) error {
				called = true
				require.Equal(t, "gateway", c.Name)
				require.Equal(t, tt.collection, collection)
				require.Equal(t, tt.userID, userID)
				require.Equal(t, picture, p)
				return nil
			}}
			r := do(handler(g), request("POST", tt.path, face()))
			require.Equal(t, http.StatusOK, r.StatusCode)
			if tt.collection == "" {
				require.False(t, called)
				return
			}
			require.True(t, called)
			require.Empty(t, text(t, r))
			require.Equal(t, "0", r.Header.Get("Content-Length"))
		})
	}
}

func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		path, body string
		want       ports.Probe
	}{
		{"/users/search", face(), ports.Probe{Collection: "users", Threshold: 80, Limit: 10}},
		{"/users/blacklist/search", face(), ports.Probe{Collection: "blacklist", Threshold: 80, Limit: 10}},
		{
			"/users/search", `{"face":"` + encoded() + `","threshold":75.5,"limit":3,"tracking":{"a":[1,{}]}}`,
			ports.Probe{Collection: "users", Threshold: 75.5, Limit: 3},
		},
		{ // the reference's sample, with its trailing comma
			"/users/search", "{\n\"face\": \"" + encoded() + "\",\n\"threshold\": 75.5,\n}",
			ports.Probe{Collection: "users", Threshold: 75.5, Limit: 10},
		},
		{
			"/users/search", `{"threshold":0,"limit":1e1,"face":"` + encoded() + `"}`,
			ports.Probe{Collection: "users", Threshold: 0, Limit: 10},
		},
	} {
		t.Run(tt.body, func(t *testing.T) {
			tt.want.Picture = picture
			g := &gallery{search: func(_ context.Context, _ ports.Client, p ports.Probe) ([]ports.Candidate, error) {
				require.Equal(t, tt.want, p)
				return []ports.Candidate{{UserID: "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", Similarity: 99.99953}, {Similarity: 90}}, nil
			}}
			r := do(handler(g), request("POST", tt.path, tt.body))
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t,
				`{"matches":[{"userId":"f7eab18f-e5d3-4dac-9d4d-cfb969ef848e","similarity":99.99953},{"similarity":90}]}`, text(t, r))
		})
	}
}

// A number beyond every float goes to the core as infinite and one beyond every
// int as very large, so that one place decides about ranges.
func TestSearchLeavesRangesToTheCore(t *testing.T) {
	g := &gallery{search: func(_ context.Context, _ ports.Client, p ports.Probe) ([]ports.Candidate, error) {
		require.Greater(t, p.Threshold, 1e308)
		require.Less(t, p.Limit, -1000)
		return nil, ports.Refuse(ports.ErrInvalid, "threshold must be a number from 0 to 100")
	}}
	body := `{"face":"` + encoded() + `","threshold":1e999,"limit":-1e300}`
	require.Equal(t, []string{"threshold must be a number from 0 to 100"},
		requireProblem(t, http.StatusBadRequest, do(handler(g), request("POST", "/users/search", body))))
}

func TestUnenrol(t *testing.T) {
	for _, tt := range []struct{ path, collection, userID string }{
		{"/users/u1", "users", "u1"},
		{"/users/whitelist/a%2Fb", "whitelist", "a/b"},
	} {
		var got []string
		g := &gallery{unenrol: func(_ context.Context, _ ports.Client, collection, userID string) error {
			got = append(got, collection, userID)
			return nil
		}}
		r := do(handler(g), request("DELETE", tt.path, ""))
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Empty(t, text(t, r))
		require.Equal(t, []string{tt.collection, tt.userID}, got)
	}
}

// The reference's sample answers, byte for byte but for the white space between
// tokens.
func TestReferenceAnswers(t *testing.T) {
	const (
		duplicate = `{"status":400,"title":"Bad Request","detail":"Invalid request.",` +
			`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/400",` +
			`"errors":["provided userId already exists"]}`
		noFace = `{"status":400,"title":"Bad Request","detail":"Invalid request.",` +
			`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/400",` +
			`"errors":["no face detected in the provided image"]}`
		notFound = `{"status":404,"title":"Not Found","detail":"Server cannot find the requested resource.",` +
			`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/404"}`
	)
	noFaceError := ports.Refuse(ports.ErrInvalid, "no face detected in the provided image")
	for _, tt := range []struct {
		name, method, path, body string
		err                      error
		status                   int
		want                     string
	}{
		{"duplicate", "POST", "/users/u1", face(), ports.ErrExists, 400, duplicate},
		{"no face at enrolment", "POST", "/users/u1", face(), noFaceError, 400, noFace},
		{"no face at search", "POST", "/users/search", face(), noFaceError, 400, noFace},
		{"no match", "POST", "/users/search", face(), ports.ErrNotFound, 404, notFound},
		{"unenrol unknown", "DELETE", "/users/u1", "", ports.ErrNotFound, 404, notFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := do(handler(failing(tt.err)), request(tt.method, tt.path, tt.body))
			require.Equal(t, tt.status, r.StatusCode)
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t, tt.want, text(t, r))
		})
	}
}

func TestKeys(t *testing.T) {
	o := options(&gallery{})
	o.Auth = keys{
		theKey:   {Name: "all"},
		"search": {Name: "searcher", Operations: []ports.Operation{ports.OpSearch}},
		"list":   {Name: "lister", Collections: []string{"blacklist"}},
		"users":  {Name: "user", Collections: []string{"users"}},
	}
	h := httpapi.New(o).Handler()
	for _, tt := range []struct {
		keys         []string
		method, path string
		want         int
	}{
		{nil, "POST", "/users/u1", 401},
		{[]string{""}, "POST", "/users/u1", 401},
		{[]string{"wrong"}, "POST", "/users/u1", 401},
		{[]string{theKey, theKey}, "POST", "/users/u1", 401},
		{[]string{theKey}, "POST", "/users/u1", 200},
		{[]string{"search"}, "POST", "/users/u1", 403},
		{[]string{"search"}, "POST", "/users/search", 200},
		{[]string{"search"}, "POST", "/users/blacklist/search", 200},
		{[]string{"search"}, "DELETE", "/users/u1", 403},
		{[]string{"list"}, "POST", "/users/u1", 403},
		{[]string{"list"}, "POST", "/users/blacklist/u1", 200},
		{[]string{"list"}, "DELETE", "/users/blacklist/u1", 200},
		{[]string{"list"}, "POST", "/users/whitelist/search", 403},
		{[]string{"users"}, "POST", "/users/unknown/u1", 403},
		{[]string{"list"}, "POST", "/users/unknown/search", 403},
		{nil, "POST", "/users/unknown/search", 401},
		{[]string{"wrong"}, "POST", "/users/unknown/search", 401},
	} {
		r := request(tt.method, tt.path, face())
		r.Header["X-Api-Key"] = tt.keys
		got := do(h, r)
		require.Equal(t, tt.want, got.StatusCode, "%v %s %s", tt.keys, tt.method, tt.path)
		if tt.want != 200 {
			require.Empty(t, requireProblem(t, tt.want, got))
		}
		require.Equal(t, tt.want == 401, got.Header.Get("WWW-Authenticate") != "")
	}
}

// A list that is not there is no list that nobody is on: the answer says so, to
// those who may know, and nothing is asked of the gallery.
func TestUnknownLists(t *testing.T) {
	notReached := errors.New("the gallery was asked")
	h := handler(failing(notReached))
	for _, list := range []string{"blacklst", "Blacklist", "blacklist%20", "search", "faces"} {
		for _, call := range []string{"POST /users/%s/search", "POST /users/%s/u1", "PUT /users/%s/u1", "DELETE /users/%s/u1", "GET /users/%s/u1", "POST /users/%s/u1/faces", "GET /calibration/%s"} {
			method, path, _ := strings.Cut(fmt.Sprintf(call, list), " ")
			r := request(method, path, "")
			r.Body = untouchable{t}
			name, err := url.PathUnescape(list)
			require.NoError(t, err)
			require.Equal(t, []string{fmt.Sprintf("there is no list %q: GET /collections shows those that the key may use", name)}, requireProblem(t, 404, do(h, r)), "%s %s", method, path)
		}
	}
	// The inventory is no list, so this path is not a second name for it.
	for _, call := range []string{"POST /users/users/search", "POST /users/users/u1", "DELETE /users/users/u1"} {
		method, path, _ := strings.Cut(call, " ")
		require.Equal(t, []string{`there is no list "users": the paths of the inventory name no list, as in /users/{userId}`}, requireProblem(t, 404, do(h, request(method, path, face()))))
	}
	long := strings.Repeat("x", 500)
	require.Less(t, len(requireProblem(t, 404, do(h, request("DELETE", "/users/"+long+"/u1", "")))[0]), 200)
}

func TestNoMatchesIsNotFound(t *testing.T) {
	g := &gallery{search: func(context.Context, ports.Client, ports.Probe) ([]ports.Candidate, error) { return nil, nil }}
	requireProblem(t, 404, do(handler(g), request("POST", "/users/search", face())))
}
