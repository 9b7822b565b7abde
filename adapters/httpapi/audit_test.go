package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
)

// book is an audit log in memory.
type book struct {
	mu      sync.Mutex
	entries []ports.AuditEntry
	err     error
}

func (b *book) write(e ports.AuditEntry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.entries = append(b.entries, e)
	return nil
}

// audited is the whole API over a gallery with an audit log.
func audited(g httpapi.Gallery, b *book, required bool) http.Handler {
	o := options(g)
	o.Lists = []config.Collection{{Name: "blacklist"}}
	o.Keys = keys{theKey: {Name: "gateway"}, "a-key-for-searches": {Name: "reader", Operations: []ports.Operation{ports.OpSearch}}}
	o.Audit = httpapi.Audit{Write: b.write, Required: required}
	return httpapi.New(o).Handler()
}

// what are the parts of an entry that the tests below compare.
type what struct {
	phase, client, operation, collection, userID string
	status                                       int
}

func (b *book) said() []what {
	var out []what
	for _, e := range b.entries {
		out = append(out, what{e.Phase, e.Client, e.Operation, e.Collection, e.UserID, e.Status})
	}
	return out
}

func TestEveryOperationIsAudited(t *testing.T) {
	for _, tt := range []struct {
		method, path, body string
		operation, list    string
		userID             string
		changes            bool
	}{
		{"POST", "/users/u1", face(), "enrol", "users", "u1", true},
		{"POST", "/users/blacklist/u1", face(), "enrol", "blacklist", "u1", true},
		{"PUT", "/users/u1", face(), "replace", "users", "u1", true},
		{"POST", "/users/u1/faces", face(), "add_face", "users", "u1", true},
		{"POST", "/users/blacklist/u1/faces", face(), "add_face", "blacklist", "u1", true},
		{"DELETE", "/users/a%22b%0Ac", "", "unenrol", "users", "a\"b\nc", true},
		{"DELETE", "/users/u1/faces/f1", "", "remove_face", "users", "u1", true},
		{"DELETE", "/users/blacklist/u1/faces/f1", "", "remove_face", "blacklist", "u1", true},
		{"POST", "/users/search", face(), "search", "users", "", false},
		{"POST", "/users/blacklist/search", face(), "search", "blacklist", "", false},
		{"POST", "/users/u1/verify", face(), "verify", "users", "u1", false},
		{"POST", "/users/blacklist/u1/verify", face(), "verify", "blacklist", "u1", false},
		{"GET", "/users/u1", "", "read", "users", "u1", false},
		{"GET", "/users", "", "list", "users", "", false},
		{"GET", "/users/blacklist", "", "list", "blacklist", "", false},
		{"POST", "/faces/detect", face(), "detect", "", "", false},
		{"POST", "/faces/search", `{"face":"` + encoded() + `","collections":["blacklist","users"]}`, "search_faces", "", "", false},
		{"GET", "/collections", "", "collections", "", "", false},
		{"GET", "/calibration", "", "calibration", "users", "", false},
		{"GET", "/calibration/blacklist", "", "calibration", "blacklist", "", false},
	} {
		for _, required := range []bool{false, true} {
			b := &book{}
			r := request(tt.method, tt.path, tt.body)
			r.Header.Set("X-Request-Id", "id-1")
			require.Equal(t, 200, do(audited(&fakeGallery{}, b, required), r).StatusCode, tt.path)
			outcome := what{"outcome", "gateway", tt.operation, tt.list, tt.userID, 200}
			want := []what{outcome}
			if required && tt.changes {
				intent := outcome
				intent.phase, intent.status = "intent", 0
				want = []what{intent, outcome}
			}
			require.Equal(t, want, b.said(), "%s %s", tt.method, tt.path)
			last := b.entries[len(b.entries)-1]
			require.Equal(t, "id-1", last.RequestID)
			require.Equal(t, "192.0.2.1", last.Address)
			require.False(t, last.Time.IsZero())
			require.Positive(t, last.Duration)
		}
	}
}

func TestSearchesAreAuditedAsTold(t *testing.T) {
	b := &book{}
	told := []gallery.Match{{UserID: "u1", Similarity: 99}, {Similarity: 90}}
	g := &fakeGallery{search: func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) { return told, nil }}
	do(audited(g, b, false), request("POST", "/users/search", `{"face":"`+encoded()+`","threshold":75.5,"limit":3}`))
	require.Len(t, b.entries, 1)
	require.Equal(t, []ports.AuditMatch{{UserID: "u1", Similarity: 99}, {Similarity: 90}}, b.entries[0].Matches)
	require.Equal(t, 75.5, b.entries[0].Threshold)
	require.Equal(t, 3, b.entries[0].Limit)
}

func TestRefusalsAreAudited(t *testing.T) {
	notThere := func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) { return nil, nil }
	refusing := &fakeGallery{
		search: notThere,
		enrol: func(context.Context, ports.Client, string, string, []byte) error {
			return ports.Refuse(ports.ErrInvalid, extraction.ReasonNoFace, "something else", quality.ReasonTooSmall)
		},
		unenrol: func(context.Context, ports.Client, string, string) error { panic("lost my head") },
	}
	for _, tt := range []struct {
		name, key, method, path, body string
		client                        string
		status                        int
		reasons                       []string
	}{
		{"no match", theKey, "POST", "/users/search", face(), "gateway", 404, []string{"no_match"}},
		{"no such list", theKey, "POST", "/users/nolist/search", face(), "gateway", 404, []string{"no_such_list"}},
		{"several reasons", theKey, "POST", "/users/u1", face(), "gateway", 400, []string{"no_face", "invalid", "face_too_small"}},
		{"no code of its own", theKey, "POST", "/users/u1", `{"face":7}`, "gateway", 400, []string{"invalid"}},
		{"a defect", theKey, "DELETE", "/users/u1", "", "gateway", 500, []string{"internal"}},
		{"out of scope", "a-key-for-searches", "DELETE", "/users/u1", "", "reader", 403, []string{"forbidden"}},
		{"no key", "", "POST", "/users/u1", face(), "", 401, []string{"unauthorized"}},
		{"a wrong key", "not-a-key", "POST", "/users/u1", face(), "", 401, []string{"unauthorized"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &book{}
			r := request(tt.method, tt.path, tt.body)
			r.Header.Set("X-Api-Key", tt.key)
			require.Equal(t, tt.status, do(audited(refusing, b, false), r).StatusCode)
			require.Len(t, b.entries, 1)
			require.Equal(t, "outcome", b.entries[0].Phase)
			require.Equal(t, tt.client, b.entries[0].Client)
			require.Equal(t, tt.status, b.entries[0].Status)
			require.Equal(t, tt.reasons, b.entries[0].Reasons)
		})
	}
}

func TestOtherRequestsAreNotAudited(t *testing.T) {
	b := &book{}
	h := audited(&fakeGallery{}, b, true)
	for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml", "/nowhere"} {
		do(h, request("GET", path, ""))
	}
	require.Equal(t, 405, do(h, request("PATCH", "/users/u1", "")).StatusCode)
	require.Empty(t, b.entries)
}

// Where every change needs its line, nothing is changed and nothing told without
// one; elsewhere the API serves on.
func TestAuditThatCannotBeWritten(t *testing.T) {
	for _, required := range []bool{false, true} {
		changed := 0
		change := func(context.Context, ports.Client, string, string, []byte) error { changed++; return nil }
		g := &fakeGallery{
			enrol: change, replace: change, addFace: change,
			unenrol: func(context.Context, ports.Client, string, string) error { changed++; return nil },
		}
		var log fixture.Log
		o := options(g)
		o.Log = log.Logger()
		b := &book{err: errors.New("disk full")}
		o.Audit = httpapi.Audit{Write: b.write, Required: required}
		h := httpapi.New(o).Handler()
		for _, r := range []*http.Request{
			request("POST", "/users/u1", face()), request("PUT", "/users/u1", face()), request("POST", "/users/u1/faces", face()),
			request("DELETE", "/users/u1", ""), request("POST", "/users/search", face()),
			request("GET", "/users/u1", ""), request("GET", "/users", ""),
			request("POST", "/faces/detect", face()), request("GET", "/collections", ""), request("GET", "/calibration", ""),
		} {
			name := r.Method + " " + r.URL.Path
			a := do(h, r)
			if !required {
				require.Equal(t, 200, a.StatusCode, name)
				continue
			}
			require.Equal(t, "5", a.Header.Get("Retry-After"), name)
			require.Empty(t, requireProblem(t, 503, a), name)
		}
		r := request("DELETE", "/users/u1", "")
		r.Header.Del("X-Api-Key")
		want := map[bool]int{false: 401, true: 503}[required]
		require.Equal(t, want, do(h, r).StatusCode, "nor is a refusal told")
		require.Equal(t, map[bool]int{false: 4, true: 0}[required], changed)
		require.Contains(t, log.String(), `msg="cannot write audit entry"`)
		require.Contains(t, log.String(), "disk full")
	}
}

// A change that was made stays made, and the answer says so, when the line of
// its outcome cannot be written: its intent is on record.
func TestOutcomeOfAChangeThatCannotBeWritten(t *testing.T) {
	b := &book{}
	g := &fakeGallery{enrol: func(context.Context, ports.Client, string, string, []byte) error {
		b.err = errors.New("disk full")
		return nil
	}}
	require.Equal(t, 200, do(audited(g, b, true), request("POST", "/users/u1", face())).StatusCode)
	require.Equal(t, []what{{"intent", "gateway", "enrol", "users", "u1", 0}}, b.said())
}

func TestSearchesAndRefusalsAreCounted(t *testing.T) {
	type search struct {
		collection string
		found      bool
	}
	var searches []search
	var refusals []string
	var measured []bool
	matches, err := []gallery.Match{{UserID: "u1"}}, error(nil)
	g := &fakeGallery{search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
		measured = append(measured, p.Measure)
		return matches, err
	}}
	o := options(g)
	o.Lists = []config.Collection{{Name: "blacklist"}}
	o.Searched = func(collection string, found bool) { searches = append(searches, search{collection, found}) }
	o.Best = func(string, gallery.Best) {}
	o.Refused = func(reason string) { refusals = append(refusals, reason) }
	h := httpapi.New(o).Handler()
	do(h, request("POST", "/users/search", face()))
	do(h, request("POST", "/users/blacklist/search", face()))
	matches = nil
	do(h, request("POST", "/users/search", face()))
	require.Equal(t, []search{{"users", true}, {"blacklist", true}, {"users", false}}, searches)
	require.Empty(t, refusals, "no match is an answer")
	matches = []gallery.Match{{UserID: "u1"}}
	require.Equal(t, 200, do(h, request("POST", "/users/search", `{"face":"QUJD","threshold":0,"purpose":"closest"}`)).StatusCode)
	require.Len(t, searches, 3, "who is closest below the threshold is no match")
	require.Equal(t, []bool{true, true, true, false}, measured)
	matches = nil
	do(h, request("POST", "/users/made-up-by-a-client/search", face()))
	err = ports.ErrUnavailable
	do(h, request("POST", "/users/search", face()))
	do(h, request("GET", "/nowhere", ""))
	require.Len(t, searches, 3)
	require.Equal(t, []string{"no_such_list", "unavailable", "no_such_path"}, refusals)
}

func TestTraceInLogAndContext(t *testing.T) {
	type mark struct{}
	var log fixture.Log
	var ended []seen
	g := &fakeGallery{unenrol: func(ctx context.Context, _ ports.Client, _, _ string) error {
		require.Equal(t, "span", ctx.Value(mark{}))
		return errors.New("unforeseen")
	}}
	o := options(g)
	o.Log = log.Logger()
	o.Trace = func(r *http.Request, id string) (context.Context, string, func(string, string, int)) {
		require.Equal(t, "id-1", id)
		return context.WithValue(r.Context(), mark{}, "span"), "trace-1", func(route, method string, status int) {
			ended = append(ended, seen{route, method, status})
		}
	}
	h := httpapi.New(o).Handler()
	r := request("DELETE", "/users/u1", "")
	r.Header.Set("X-Request-Id", "id-1")
	require.Equal(t, 500, do(h, r).StatusCode)
	do(h, request("GET", "/healthz", ""))
	require.Equal(t, []seen{{"/users/{userId}", "DELETE", 500}}, ended)
	require.Regexp(t, `msg="request failed" component=httpapi request_id=id-1 trace_id=trace-1`, log.String())
	require.Regexp(t, `msg=request component=httpapi request_id=id-1 trace_id=trace-1 .*reasons=\[internal\]`, log.String())
}
