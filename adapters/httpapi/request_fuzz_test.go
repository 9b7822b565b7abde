package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/ports"
)

// FuzzRequest puts any bytes that net/http takes for a request through the whole
// API. Whatever it asks, the answer is one that the description has, never a
// failure; nothing is done without the key, more than once, or for a refusal;
// and what is done has the user and the picture of the request.
func FuzzRequest(f *testing.F) {
	for _, seed := range requestSeeds() {
		f.Add([]byte(seed))
	}
	g := &calledGallery{}
	o := options(g.gallery())
	o.Lists = []config.Collection{{Name: "blacklist"}}
	o.Server.Limits.ImageBytes = 4 << 10
	o.Detect = func(_ context.Context, picture []byte) (extraction.Detection, error) {
		g.note("detect", "", picture)
		return exampleDetection, nil
	}
	o.Keys = keys{theKey: {Name: "gateway"}, theSearchKey: {Name: "door", Operations: []ports.Operation{ports.OpSearch}}}
	h := httpapi.New(o).Handler()
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		g.calls = nil
		r.RemoteAddr = "192.0.2.1:1234"
		key, path, method := presented(r), r.URL.EscapedPath(), r.Method
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		answer := rec.Result()
		requireAnswer(t, answer)
		require.LessOrEqual(t, len(g.calls), 1, "nothing is done twice")
		for _, c := range g.calls {
			require.Contains(t, []string{theKey, theSearchKey}, key, "%s without a key", c.operation)
			require.True(t, key == theKey || c.operation == "search" || c.operation == "assess" || c.operation == "detect", "%s with a key for searches", c.operation)
			require.Contains(t, []int{200, 400, 404}, answer.StatusCode)
			require.Contains(t, methodsOf[c.operation], method, "%s by %s", c.operation, method)
			requireUser(t, c, path)
			require.LessOrEqual(t, len(c.picture), 4<<10)
			require.Equal(t, c.changes(), len(c.picture) > 0, c.operation)
		}
	})
}

// theSearchKey is a key that may search only.
const theSearchKey = "a-key-for-searches"

func requestSeeds() (seeds []string) {
	body := strings.TrimSuffix(face(), "}") + `,"tracking":{"a":[1,null]}}`
	search := strings.TrimSuffix(face(), "}") + `,"threshold":75.5,"limit":10}`
	for _, one := range [][3]string{
		{"POST", "/users/alice", body}, {"POST", "/users/blacklist/mallory", body}, {"POST", "/users/search", search}, {"PUT", "/users/%61%2Fb", body},
		{"POST", "/users/alice/faces", body}, {"POST", "/faces/detect", face()}, {"DELETE", "/users/mallory", ""}, {"GET", "/users?limit=2&cursor=YQ", ""},
		{"GET", "/users/blacklist", ""}, {"GET", "/users/blacklist/u", ""}, {"GET", "/calibration?threshold=80", ""}, {"GET", "/calibration/blacklist", ""},
		{"GET", "/collections", ""}, {"HEAD", "/openapi.yaml", ""}, {"GET", "/readyz", ""}, {"OPTIONS", "*", ""}, {"POST", "//users/./alice", body},
		{"POST", "/users/blacklist/search/", search}, {"POST", "/users/blacklst/search", search}, {"DELETE", "/users/Blacklist/u", ""}, {"POST", "/users/alice", "\ufeff" + body},
		{"POST", "/users/search", strings.TrimSuffix(face(), "}") + `,"threshold":null,"limit":null,"tracking":null}`}, {"POST", "/users/alice", "\xff\xfe{\x00}\x00"},
	} {
		for _, key := range []string{theKey, theSearchKey, "wrong"} {
			seeds = append(seeds, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: imago\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nX-Request-Id: a-1\r\nContent-Length: %d\r\n\r\n%s",
				one[0], one[1], key, len(one[2]), one[2]))
		}
	}
	return append(seeds,
		"POST /users/search HTTP/1.1\r\nHost: a\r\nX-Api-Key: "+theKey+"\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"face\":\"QUJD\"}\n\r\n0\r\n\r\n",
		"POST /users/a HTTP/1.0\r\nX-Api-Key: "+theKey+"\r\nContent-Encoding: gzip\r\nContent-Type: multipart/form-data\r\nContent-Length: 99999\r\n\r\n{",
		"GET /users HTTP/1.1\r\nHost: a\r\nX-Api-Key: "+theKey+"\r\nX-Api-Key: "+theKey+"\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
}

// presented returns the one key of a request, "" for none or several.
func presented(r *http.Request) string {
	if all := r.Header.Values("X-Api-Key"); len(all) == 1 {
		return all[0]
	}
	return ""
}

// fuzzCall is what a request led to.
type fuzzCall struct {
	operation, userID string
	picture           []byte
}

// changes reports whether an operation needs a picture.
func (c fuzzCall) changes() bool {
	switch c.operation {
	case "unenrol", "removeFace", "user", "users", "assess":
		return false
	}
	return true
}

// methodsOf are the methods that lead to each operation.
var methodsOf = map[string][]string{
	"enrol": {"POST"}, "search": {"POST"}, "addFace": {"POST"}, "detect": {"POST"}, "replace": {"PUT"}, "unenrol": {"DELETE"}, "removeFace": {"DELETE"},
	"user": {"GET", "HEAD"}, "users": {"GET", "HEAD"}, "assess": {"GET", "HEAD"},
}

// calledGallery remembers what it was asked.
type calledGallery struct{ calls []fuzzCall }

func (g *calledGallery) note(operation, userID string, picture []byte) {
	g.calls = append(g.calls, fuzzCall{operation, userID, bytes.Clone(picture)})
}

func (g *calledGallery) gallery() *fakeGallery {
	change := func(operation string) func(context.Context, ports.Client, string, string, []byte) error {
		return func(_ context.Context, _ ports.Client, collection, userID string, picture []byte) error {
			g.note(operation, userID, picture)
			return invalid(errors.Join(naming.CheckCollection(collection), naming.CheckID(userID)))
		}
	}
	return &fakeGallery{
		enrol: change("enrol"), replace: change("replace"), addFace: change("addFace"),
		search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
			g.note("search", "", p.Picture)
			return []gallery.Match{{UserID: "u1", Similarity: 99.5}}, invalid(naming.CheckCollection(p.Collection))
		},
		unenrol: func(_ context.Context, _ ports.Client, _, userID string) error {
			g.note("unenrol", userID, nil)
			return nil
		},
		removeFace: func(_ context.Context, _ ports.Client, _, userID, _ string) error {
			g.note("removeFace", userID, nil)
			return nil
		},
		user: func(_ context.Context, _ ports.Client, _, userID string) (gallery.User, error) {
			g.note("user", userID, nil)
			return gallery.User{UserID: userID}, nil
		},
		users: func(_ context.Context, _ ports.Client, _, from string, _ int) (gallery.Page, error) {
			g.note("users", "", nil)
			return gallery.Page{Next: from}, nil
		},
		assess: func(_ context.Context, collection string, threshold float64, _ time.Duration) (gallery.Assessment, error) {
			if len(g.calls) == 0 { // a search looks its threshold up, too
				g.note("assess", "", nil)
			}
			return gallery.Assessment{Collection: collection, Threshold: threshold}, nil
		},
	}
}

// requireUser checks that the user of a call is the one in the path.
func requireUser(t *testing.T, c fuzzCall, path string) {
	segments := strings.Split(strings.TrimSuffix(path, "/faces"), "/")
	last, err := url.PathUnescape(segments[len(segments)-1])
	require.NoError(t, err)
	if c.userID != "" && c.operation != "addFace" {
		whole := strings.Split(path, "/")
		if c.operation == "removeFace" {
			whole = whole[:len(whole)-2]
		}
		last, err = url.PathUnescape(whole[len(whole)-1])
		require.NoError(t, err)
	}
	if c.userID != "" {
		require.Equal(t, last, c.userID, path)
	}
}

var soundID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requireAnswer checks that an answer is sound and no failure of the server's.
func requireAnswer(t *testing.T, answer *http.Response) {
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, []int{200, 400, 401, 403, 404, 405, 413, 415, 429}, answer.StatusCode, "%s", body)
	require.Regexp(t, soundID, answer.Header.Get("X-Request-Id"))
	require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
	require.NotContains(t, string(body), theKey)
	for name, values := range answer.Header {
		require.NotContains(t, strings.Join(values, ""), "\n", name)
	}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/") && strings.Contains(answer.Header.Get("Content-Type"), "json") {
		require.True(t, json.Valid(body), "%s", body)
	}
	if answer.StatusCode < 400 {
		return
	}
	var p problem
	require.NoError(t, json.Unmarshal(body, &p), "%s", body)
	require.Equal(t, answer.StatusCode, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
}

// FuzzUsers: a page of users answers the limit and the cursor of the request or
// refuses them, and a cursor leads back to the user that it was made of.
func FuzzUsers(f *testing.F) {
	for _, seed := range [][3]string{
		{"u1", "7", "dTE"}, {`u"2`, "", ""}, {"日本", "-1", "%25"}, {"\xff", "1e2", "dTE="}, {"a/b?c=d&e", "0x10", "_-_-"}, {" ", "٣", "+/+/"}, {"", "99999999999999999999", "\r\n"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	var next, from string
	var limit int
	h := handler(&fakeGallery{users: func(_ context.Context, _ ports.Client, _, f string, l int) (gallery.Page, error) {
		from, limit = f, l
		return gallery.Page{Users: []gallery.User{{UserID: "u"}}, Next: next}, nil
	}})
	ask := func(t *testing.T, query url.Values) (status int, cursor string) {
		r := do(h, request("GET", "/users?"+query.Encode(), ""))
		requireAnswer(t, &http.Response{StatusCode: r.StatusCode, Header: r.Header, Body: io.NopCloser(strings.NewReader(string(peek(t, r))))})
		var page struct{ Cursor string }
		require.NoError(t, json.Unmarshal(peek(t, r), &page))
		return r.StatusCode, page.Cursor
	}
	f.Fuzz(func(t *testing.T, id, number, cursor string) {
		if naming.CheckID(id) != nil {
			id = "" // no store has such a user
		}
		next = id
		status, made := ask(t, url.Values{})
		require.Equal(t, 200, status)
		require.Equal(t, id == "", made == "", "the last page has no cursor")
		status, _ = ask(t, url.Values{"cursor": {made}})
		require.Equal(t, 200, status)
		require.Equal(t, id, from, "the next page begins where this one ends")

		status, _ = ask(t, url.Values{"cursor": {cursor}, "limit": {number}})
		n, badLimit := strconv.Atoi(number)
		start, err := base64.RawURLEncoding.DecodeString(cursor)
		sound := err == nil && base64.RawURLEncoding.EncodeToString(start) == cursor && (cursor == "" || naming.CheckID(string(start)) == nil)
		require.Equal(t, badLimit == nil && n >= 1 && n <= 100 && sound, status == 200, "limit %q, cursor %q", number, cursor)
		if status == 200 {
			require.Equal(t, n, limit)
			require.Equal(t, string(start), from)
		}
	})
}

// peek reads a body and leaves it to be read again.
func peek(t *testing.T, r *http.Response) []byte {
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// invalid is an ErrInvalid for an error.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ports.ErrInvalid, err)
}
