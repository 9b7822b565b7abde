package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/gallery"
	"imago/ports"
)

func TestEnrol(t *testing.T) {
	for _, tt := range []struct{ path, collection, userID string }{
		{"/users/u1", "users", "u1"},
		{"/users/f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", "users", "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e"},
		{"/users/blacklist/u1", "blacklist", "u1"},
		{"/users/a%2Fb", "users", "a/b"},
		{"/users/%2E%2E", "users", ".."},
		{"/users/%2e", "users", "."},
		{"/users/%2F%2F", "users", "//"},
		{"/users/..%2F..%2Fetc", "users", "../../etc"},
		{"/users/%25", "users", "%"},
		{"/users/a%22b%5Cc", "users", `a"b\c`},
		{"/users/%E6%97%A5%E6%9C%AC", "users", "日本"},
		{"/users/a+b%20c", "users", "a+b c"},
		{"/users/a;b=c", "users", "a;b=c"},
		{"/users/whitelist/%73earch", "", ""}, // the mux decodes before it matches: a search
	} {
		t.Run(tt.path, func(t *testing.T) {
			called := false
			g := &fakeGallery{enrol: func(_ context.Context, c ports.Client, collection, userID string, p []byte) error {
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
		want       gallery.Probe
	}{
		{"/users/search", face(), gallery.Probe{Collection: "users", Threshold: 80, Limit: 10, Assess: true}},
		{"/users/blacklist/search", face(), gallery.Probe{Collection: "blacklist", Threshold: 80, Limit: 10, Assess: true}},
		{
			"/users/search", `{"face":"` + encoded() + `","threshold":75.5,"limit":3,"tracking":{"a":[1,{}]}}`,
			gallery.Probe{Collection: "users", Threshold: 75.5, Limit: 3, Assess: true},
		},
		{ // the reference's sample, with its trailing comma
			"/users/search", "{\n\"face\": \"" + encoded() + "\",\n\"threshold\": 75.5,\n}",
			gallery.Probe{Collection: "users", Threshold: 75.5, Limit: 10, Assess: true},
		},
		{
			"/users/search", `{"threshold":0,"limit":1e1,"face":"` + encoded() + `"}`,
			gallery.Probe{Collection: "users", Threshold: 0, Limit: 10, Assess: true},
		},
	} {
		t.Run(tt.body, func(t *testing.T) {
			tt.want.Picture = picture
			g := &fakeGallery{search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
				require.Equal(t, tt.want, p)
				return []gallery.Match{{UserID: "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", Similarity: 99.99953}, {Similarity: 90}}, nil
			}}
			r := do(handler(g), request("POST", tt.path, tt.body))
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t,
				`{"matches":[{"userId":"f7eab18f-e5d3-4dac-9d4d-cfb969ef848e","similarity":99.99953},{"similarity":90}]}`, text(t, r))
		})
	}
}

// All that is wrong with a request is told at once, with a code for each sentence.
func TestAllMistakesAreToldAtOnce(t *testing.T) {
	const badID, badThreshold, badLimit = `userId "faces" is reserved`, "threshold must be a number from 0 to 100", "limit must be a whole number from 1 to 100"
	const isPlain = "plain pictures are not accepted here: encrypt the picture and send the token (JWE compact serialization) as face"
	large := `"face":"` + base64Of(strings.Repeat("x", 5<<20+1)) + `"`
	o := options(failing(errors.New("the gallery was asked")))
	o.Lists = append(o.Lists, config.Collection{Name: "sealed", RequireToken: true})
	h := httpapi.New(o).Handler()
	for _, tt := range []struct {
		request, body string
		errors, codes []string
	}{
		{"POST /users/search", `{"face":"` + encoded() + `","threshold":1e999,"limit":-1e300}`, []string{badThreshold, badLimit}, nil},
		{"POST /users/search", `{"treshold":80,"threshold":101,"limit":0}`, []string{`unknown field "treshold"`, "face is required", badThreshold, badLimit}, nil},
		{"POST /users/search", `{"threshold":"80","limit":1.5,"face":"***"}`, []string{"threshold must be a number", "limit must be an integer", "face is not valid base64"}, nil},
		{"POST /users/search", `{"limit":0,` + large + `}`, []string{badLimit, "the provided image exceeds the maximum supported size of 5 MB"}, []string{"invalid", "too_large"}},
		{"POST /users/sealed/search", `{"limit":0,"face":"` + encoded() + `"}`, []string{badLimit, isPlain}, []string{"invalid", "token_required"}},
		// A token, which may be opened once only, is not opened for nothing.
		{"POST /users/search", `{"limit":0,"face":"e30.e30.e30.e30.e30"}`, []string{badLimit}, nil},
		{"POST /users/faces", `{"threshold":80}`, []string{badID, `unknown field "threshold"`, "face is required"}, nil},
		{"PUT /users/faces", `[`, []string{badID, "the request body must be a JSON object"}, nil},
		{"POST /users/faces/faces", `{"face":""}`, []string{badID, "face must not be empty"}, nil},
		{"GET /users/faces?b=1&a=2", "", []string{`unknown query parameter "a"`, `unknown query parameter "b"`, badID}, nil},
		{"GET /users?limit=0&cursor=!&a=1&limit=1", "", []string{`unknown query parameter "a"`, `query parameter "limit" is given twice`, badLimit, "cursor must be one that an earlier page gave"}, nil},
		{"GET /users/blacklist?limit=x&cursor=!", "", []string{"limit must be a whole number", "cursor must be one that an earlier page gave"}, nil},
		{"GET /calibration?threshold=101&a=1", "", []string{`unknown query parameter "a"`, badThreshold}, nil},
		{"GET /calibration?threshold=x&a=1", "", []string{`unknown query parameter "a"`, "threshold must be a number"}, nil},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		require.Equal(t, tt.errors, requireProblem(t, http.StatusBadRequest, do(h, request(method, path, tt.body))), tt.request)
		r := request(method, path, tt.body)
		r.Header.Set("Accept", "application/problem+json")
		var p struct{ Errors, Codes []string }
		require.NoError(t, json.Unmarshal([]byte(text(t, do(h, r))), &p))
		require.Equal(t, tt.errors, p.Errors, tt.request)
		want := tt.codes
		if want == nil {
			want = slices.Repeat([]string{"invalid"}, len(tt.errors))
		}
		require.Equal(t, want, p.Codes, tt.request)
	}
}

// A program tells every refusal by its code, also one without a sentence.
func TestCodes(t *testing.T) {
	blurred := ports.Refuse(ports.ErrInvalid, "no face detected in the provided image", "something else", "face is blurred in the provided image")
	for _, tt := range []struct {
		request string
		err     error
		codes   string
	}{
		{"POST /users/search", nil, `["no_match"]`},
		{"POST /users/u1", ports.ErrExists, `["exists"]`},
		{"POST /users/u1", blurred, `["no_face","invalid","face_blurred"]`},
		{"DELETE /users/u1", ports.ErrNotFound, `["not_found"]`},
		{"POST /users/nowhere/u1", nil, `["no_such_list"]`},
		{"GET /nowhere", nil, `["no_such_path"]`},
		{"PATCH /users/u1", nil, `["method_not_allowed"]`},
		{"DELETE /users/u1", ports.ErrForbidden, `["forbidden"]`},
		{"DELETE /users/u1", ports.ErrUnauthorized, `["unauthorized"]`},
		{"DELETE /users/u1", ports.ErrRateLimited, `["rate_limited"]`},
		{"DELETE /users/u1", ports.ErrOverloaded, `["overloaded"]`},
		{"DELETE /users/u1", errors.New("unexpected"), `["internal"]`},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		for accept, want := range map[string]bool{
			"application/problem+json": true, "application/problem+json;q=0.5, application/json;q=0.4": true,
			"": false, "application/*": false, "application/problem+json;q=0.5, */*;q=0.8": false,
		} {
			r := request(method, path, face())
			r.Header.Set("Accept", accept)
			body := text(t, do(handler(failing(tt.err)), r))
			if want {
				require.True(t, strings.HasSuffix(body, `,"codes":`+tt.codes+"}"), "%s: %s", tt.request, body)
			} else {
				require.NotContains(t, body, "codes")
			}
		}
	}
}

// What was seen is told to those who ask, also where nobody is found; to all others the
// answers are the reference's.
func TestExplain(t *testing.T) {
	const box, blurred = `"box":{"x":71.6,"y":82.4,"width":176.2,"height":228.9},"faces":1,"turn":0`, `"quality":["face is blurred in the provided image"],"codes":["face_blurred"]`
	matches := &fakeGallery{}
	nobody := &fakeGallery{search: func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) { return nil, nil }}
	for _, tt := range []struct {
		g                     httpapi.Gallery
		request, plain, asked string
	}{
		{matches, "POST /users/search", `{"matches":[{"userId":"u1","similarity":100}]}`, `{"matches":[{"userId":"u1","similarity":100}],"explanation":{` + box + `,` + blurred + `}}`},
		{nobody, "POST /users/blacklist/search", notFound, strings.TrimSuffix(notFound, "}") + `,"explanation":{` + box + `,` + blurred + `}}`},
		{matches, "POST /users/u1", "", `{"faceId":"5RUFQ2ZH3JZ6S4T7WLNVTX2YHM","explanation":{` + box + `,"quality":[],"codes":[]}}`},
		{matches, "PUT /users/u1", "", `{"faceId":"5RUFQ2ZH3JZ6S4T7WLNVTX2YHM","explanation":{` + box + `,"quality":[],"codes":[]}}`},
		{matches, "POST /users/blacklist/u1/faces", "", `{"faceId":"5RUFQ2ZH3JZ6S4T7WLNVTX2YHM","explanation":{` + box + `,"quality":[],"codes":[]}}`},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		h := handler(tt.g)
		for value, want := range map[string]string{"true": tt.asked, "false": tt.plain, "null": tt.plain, "": tt.plain} {
			member := ""
			if value != "" {
				member = `,"explain":` + value
			}
			require.Equal(t, want, text(t, do(h, request(method, path, `{"face":"`+encoded()+`"`+member+`}`))), "%s %s", tt.request, value)
		}
		for _, value := range []string{`"true"`, "1", "0", "[]", "{}", `"yes"`} {
			body := `{"face":"` + encoded() + `","explain":` + value + `}`
			require.Equal(t, []string{"explain must be true or false"}, requireProblem(t, 400, do(h, request(method, path, body))), value)
		}
	}
	require.Equal(t, []string{`unknown field "explain"`}, requireProblem(t, 400, do(handler(matches), request("POST", "/faces/detect", `{"face":"`+encoded()+`","explain":true}`))))
}

// An enrolment of any kind says when the user expires; what is no time, or is over, is
// refused with all else that is wrong.
func TestExpiresAt(t *testing.T) {
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	for _, target := range []string{"POST /users/u1", "PUT /users/whitelist/u1", "POST /users/blacklist/u1/faces"} {
		method, path, _ := strings.Cut(target, " ")
		g := &fakeGallery{}
		send := func(value string) *http.Response {
			return do(handler(g), request(method, path, `{"face":"`+encoded()+`","expiresAt":`+value+`}`))
		}
		for _, value := range []string{
			at.Format(time.RFC3339Nano), at.Add(300).Format(time.RFC3339Nano), at.In(time.FixedZone("", -5*60*60-30*60)).Format(time.RFC3339Nano),
		} {
			require.Equal(t, 200, send(`"`+value+`"`).StatusCode)
		}
		require.Equal(t, 200, send("null").StatusCode)
		require.Equal(t, []time.Time{at, at, at, {}}, g.expires, target)

		for _, value := range []string{
			"1893456000", "true", "{}", `""`, `"soon"`, `"2030-01-31"`, `"2030-01-31T18:00:00"`, `"2030-01-31 18:00:00Z"`,
			`"2030-02-30T18:00:00Z"`, `"2030-01-31T18:00:00+25:00"`, `"2030-01-31T18:00:00,5Z"`, `"30-01-31T18:00:00Z"`,
		} {
			require.Equal(t, []string{"expiresAt must be a date and time with a time zone such as 2030-01-31T18:00:00Z (RFC 3339)"},
				requireProblem(t, 400, send(value)), value)
		}
		for _, past := range []string{"2020-01-31T18:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", time.Now().Add(-time.Second).Format(time.RFC3339)} {
			require.Equal(t, []string{"expiresAt must be in the future"}, requireProblem(t, 400, send(`"`+past+`"`)), past)
		}
		require.Equal(t, []string{"expiresAt must be in the future", "face is not valid base64"},
			requireProblem(t, 400, do(handler(g), request(method, path, `{"face":"*","expiresAt":"2020-01-31T18:00:00Z"}`))))
		require.Len(t, g.expires, 4)
	}
	for _, target := range []string{"/users/search", "/faces/detect"} {
		r := request("POST", target, `{"face":"`+encoded()+`","expiresAt":"2030-01-31T18:00:00Z"}`)
		require.Equal(t, []string{`unknown field "expiresAt"`}, requireProblem(t, 400, do(handler(&fakeGallery{}), r)))
	}
}

func TestUnenrol(t *testing.T) {
	for _, tt := range []struct{ path, collection, userID string }{
		{"/users/u1", "users", "u1"},
		{"/users/whitelist/a%2Fb", "whitelist", "a/b"},
	} {
		var got []string
		g := &fakeGallery{unenrol: func(_ context.Context, _ ports.Client, collection, userID string) error {
			got = append(got, collection, userID)
			return nil
		}}
		r := do(handler(g), request("DELETE", tt.path, ""))
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Empty(t, text(t, r))
		require.Equal(t, []string{tt.collection, tt.userID}, got)
	}
}

const notFound = `{"status":404,"title":"Not Found","detail":"Server cannot find the requested resource.",` +
	`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/404"}`

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
		{"no match", "POST", "/users/search", face(), nil, 404, notFound},
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
	o := options(&fakeGallery{})
	o.Keys = keys{
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
