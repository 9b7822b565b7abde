package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

// asking is the body of a search in several collections with more members.
func asking(members string) string { return `{"face":"` + encoded() + `",` + members + `}` }

// recording is a gallery that finds u1 in the inventory alone, and tells what was asked.
func recording(asked *[]gallery.Probe) *fakeGallery {
	return &fakeGallery{search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
		*asked = append(*asked, p)
		if p.Collection != "users" {
			return nil, nil
		}
		return []gallery.Match{{UserID: "u1", Similarity: 99}}, nil
	}}
}

func TestSearchInSeveralCollections(t *testing.T) {
	const users80, black, white = `{"collection":"users","threshold":80,"matches":[{"userId":"u1","similarity":99}]}`,
		`{"collection":"blacklist","threshold":92.5,"matches":[]}`, `{"collection":"whitelist","threshold":80,"matches":[]}`
	const seen = `"explanation":{"box":{"x":71.6,"y":82.4,"width":176.2,"height":228.9},"faces":1,"turn":0,"quality":["face is blurred in the provided image"],"codes":["face_blurred"]}`
	const where = `"box":{"x":71.6,"y":82.4,"width":176.2,"height":228.9}`
	for members, want := range map[string]string{
		`"collections":["users","blacklist","whitelist"]`:       `{"results":[` + users80 + `,` + black + `,` + white + `]}`,
		`"collections":["blacklist",]`:                          `{"results":[` + black + `]}`,
		`"collections":["blacklist"],"explain":true`:            `{"results":[` + black + `],` + seen + `}`,
		`"collections":["users","blacklist"],"threshold":75`:    strings.NewReplacer("80", "75", "92.5", "75").Replace(`{"results":[` + users80 + `,` + black + `]}`),
		`"collections":["users"],"faces":"all"`:                 `{"faces":[{` + where + `,"results":[` + users80 + `]},{` + where + `,"results":[` + users80 + `]}]}`,
		`"collections":["users"],"faces":"all","explain":true`:  `{"faces":[{` + where + `,"results":[` + users80 + `],` + seen + `},{` + where + `,"results":[` + users80 + `],` + seen + `}]}`,
		`"collections":["users"],"faces":null,"threshold":null`: `{"results":[` + users80 + `]}`,
	} {
		var asked []gallery.Probe
		r := do(httpapi.New(withLists(recording(&asked))).Handler(), request("POST", "/faces/search", asking(members)))
		require.Equal(t, http.StatusOK, r.StatusCode, members)
		require.Equal(t, want, text(t, r), members)
		require.Equal(t, 10, asked[0].Limit)
		require.Equal(t, picture, asked[0].Picture)
	}
}

func TestSearchInSeveralCollectionsRefuses(t *testing.T) {
	const form = `collections must be an array of names, as in ["users","blacklist"]`
	var asked []gallery.Probe
	o := withLists(recording(&asked))
	o.Lists = append(o.Lists, config.Collection{Name: "sealed", RequireToken: true})
	o.Keys = keys{
		theKey: {Name: "gateway"}, "door": {Name: "door", Collections: []string{"users", "whitelist"}, MinThreshold: 70},
		"reader": {Name: "reader", Operations: []ports.Operation{ports.OpRead}},
	}
	h := httpapi.New(o).Handler()
	many := strings.Repeat(`"`+strings.Repeat("x", 60)+`",`, 200)
	for _, tt := range []struct {
		key, members string
		status       int
		errors       []string
	}{
		{theKey, `"limit":1`, 400, []string{"collections is required"}},
		{theKey, `"collections":null`, 400, []string{"collections is required"}},
		{theKey, `"collections":"users"`, 400, []string{form}},
		{theKey, `"collections":[1]`, 400, []string{form}},
		{theKey, `"collections":[null]`, 400, []string{form}},
		{theKey, `"collections":[""]`, 400, []string{form}},
		{theKey, `"collections":[["users"]]`, 400, []string{form}},
		{theKey, `"collections":[]`, 400, []string{"collections must name at least one collection"}},
		{theKey, `"collections":["users","blacklist","users"]`, 400, []string{`collections names "users" twice`}},
		{theKey, `"collections":[` + many + `]`, 400, []string{"collections must be at most 8192 bytes of JSON"}},
		{theKey, `"collections":["users"],"faces":"largest"`, 400, []string{`faces must be "all"; leave it out for the largest face`}},
		{theKey, `"collections":["users"],"faces":true`, 400, []string{`faces must be "all"; leave it out for the largest face`}},
		{theKey, `"collections":["users"],"threshold":101,"limit":0`, 400, []string{"threshold must be a number from 0 to 100", "limit must be a whole number from 1 to 100"}},
		{theKey, `"collections":["users","sealed"]`, 400, []string{"plain pictures are not accepted here: encrypt the picture and send the token (JWE compact serialization) as face"}},
		{theKey, `"collections":["users","nolist"]`, 404, []string{`there is no list "nolist": GET /collections shows those that the key may use`}},
		{"door", `"collections":["users","blacklist"]`, 403, []string{`the key may not search "blacklist"`}},
		{"door", `"collections":["users","nolist"]`, 403, []string{`the key may not search "nolist"`}},
		{"reader", `"collections":["users"]`, 403, nil},
	} {
		r := request("POST", "/faces/search", asking(tt.members))
		r.Header.Set("X-Api-Key", tt.key)
		require.Equal(t, tt.errors, requireProblem(t, tt.status, do(h, r)), tt.members)
	}
	require.Empty(t, asked, "nothing was searched")
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprintf(`"l%d"`, i)
	}
	require.Len(t, requireProblem(t, 404, do(h, request("POST", "/faces/search", asking(`"collections":[`+strings.Join(names, ",")+`]`)))), 8)

	r := request("POST", "/faces/search", asking(`"collections":["whitelist","users"]`))
	r.Header.Set("X-Api-Key", "door")
	require.Equal(t, http.StatusOK, do(h, r).StatusCode)
	require.Equal(t, []float64{80, 80}, []float64{asked[0].Threshold, asked[1].Threshold})
}

// The audit log has one line, which names every collection; the metrics count each.
func TestSearchInSeveralCollectionsIsRecorded(t *testing.T) {
	var asked []gallery.Probe
	b, counted := &book{}, map[string]int{}
	o := withLists(recording(&asked))
	o.Audit = httpapi.Audit{Write: b.write}
	o.Searched = func(collection string, found bool) { counted[fmt.Sprint(collection, " ", found)]++ }
	o.Best = func(collection string, best gallery.Best) { counted[fmt.Sprint(collection, " ", best.Outcome)]++ }
	h := httpapi.New(o).Handler()
	do(h, request("POST", "/faces/search", asking(`"collections":["users","blacklist"],"faces":"all","limit":3`)))
	do(h, request("POST", "/faces/search", asking(`"collections":["users"],"purpose":"closest","threshold":0`)))
	do(h, request("POST", "/faces/search", asking(`"collections":["users","nolist"]`)))
	require.Equal(t, map[string]int{"users true": 2, "blacklist false": 2, "users match": 2}, counted)
	require.Len(t, b.entries, 3)
	found := []ports.AuditMatch{{UserID: "u1", Similarity: 99}}
	require.Equal(t, []ports.AuditSearch{
		{Face: 0, Collection: "users", Threshold: 80, Matches: found}, {Face: 0, Collection: "blacklist", Threshold: 92.5},
		{Face: 1, Collection: "users", Threshold: 80, Matches: found}, {Face: 1, Collection: "blacklist", Threshold: 92.5},
	}, b.entries[0].Searches)
	require.Equal(t, []any{2, 3, "search_faces"}, []any{b.entries[0].Faces, b.entries[0].Limit, b.entries[0].Operation})
	require.Equal(t, "closest", b.entries[1].Purpose)
	require.Equal(t, []string{"users", "nolist"}, b.entries[2].Collections)
	require.Equal(t, []any{404, []string{"no_such_list"}}, []any{b.entries[2].Status, b.entries[2].Reasons})
	require.Empty(t, b.entries[2].Searches)
}

// There is a warning for each collection that is too large for its threshold.
func TestSearchInSeveralCollectionsWarns(t *testing.T) {
	var ignored []any
	o := withLists(assessing(calibration.Rate{Value: 0.7, Bound: calibration.Estimated}, &ignored))
	o.Search.MaxFalseMatch = 0.5
	r := do(httpapi.New(o).Handler(), request("POST", "/faces/search", asking(`"collections":["users","blacklist"],"faces":"all"`)))
	const warning = `false-match;chance="0.7";bound=estimate;limit="0.5";users=1000;collection="`
	require.Equal(t, []string{warning + `users"`, warning + `blacklist"`}, r.Header.Values("X-Imago-Warning"))
}

// A token for one collection is none for several.
func TestTokensForSeveralCollections(t *testing.T) {
	var asked purposes
	o := withLists(&fakeGallery{})
	o.Tokens.Opener = &asked
	h := httpapi.New(o).Handler()
	for _, names := range []string{`"blacklist"`, `"users","blacklist"`} {
		require.Equal(t, 200, do(h, request("POST", "/faces/search", `{"face":"e30.e30.e30.e30.e30","collections":[`+names+`]}`)).StatusCode)
	}
	require.Equal(t, purposes{{Operation: ports.OpSearch, Collection: "blacklist"}, {Operation: ports.OpSearch}}, asked)
}

// What a client sends to find its request by reaches the audit log and the trace of every
// call with a body as it came, of refused ones too, and nothing else.
func TestTracking(t *testing.T) {
	const tracking = `{ "operationId":"6a", "extraData":{"b":[1.50,1e400,null,"<\u00e9>"],"b":2}}`
	for _, call := range []string{
		"POST /users/u1", "PUT /users/u1", "POST /users/u1/faces", "POST /users/blacklist/u1", "POST /users/search", "POST /users/blacklist/search",
		"POST /users/u1/verify", "POST /users/blacklist/u1/verify", "POST /faces/detect", "POST /faces/search",
	} {
		for _, body := range []string{`{"face":"` + encoded() + `","tracking":` + tracking, `{"tracking":` + tracking + `,"face":"***","nonsense":1`} {
			method, path, _ := strings.Cut(call, " ")
			if path == "/faces/search" {
				body += `,"collections":["users"]`
			}
			b, traced := &book{}, []string{}
			o := withLists(&fakeGallery{})
			o.Audit = httpapi.Audit{Write: b.write, Required: true}
			o.Tracked = func(_ context.Context, tracking string) { traced = append(traced, tracking) }
			r := do(httpapi.New(o).Handler(), request(method, path, body+"}"))
			require.Equal(t, []string{tracking}, traced, call)
			require.NotEmpty(t, b.entries)
			for _, e := range b.entries {
				require.Equal(t, tracking, string(e.Tracking), call)
			}
			require.NotContains(t, text(t, r), "6a")
			require.NotContains(t, fmt.Sprint(r.Header), "6a")
		}
	}
}

func TestTrackingBounds(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	arrays := `{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + "}"
	for tracking, want := range map[string][]string{
		`{}`: nil, `null`: nil, nested(16): nil, `{"a":"` + strings.Repeat("x", 1016) + `"}`: nil, `{"{[":"{[{[{[{[{[{[{[{[{[{[{[{["}`: nil,
		`{"a":"` + strings.Repeat("x", 1017) + `"}`: {"tracking must be at most 1024 bytes of JSON"},
		nested(17): {"tracking must not have objects and arrays nested deeper than 16"}, arrays: {"tracking must not have objects and arrays nested deeper than 16"},
		`"text"`: {"tracking must be an object"}, `[{}]`: {"tracking must be an object"},
	} {
		b := &book{}
		r := do(audited(&fakeGallery{}, b, false), request("POST", "/users/u1", asking(`"tracking":`+tracking)))
		if want == nil {
			require.Equal(t, 200, r.StatusCode, tracking)
			continue
		}
		require.Equal(t, want, requireProblem(t, 400, r), tracking)
		require.Nil(t, b.entries[0].Tracking, "what is refused is not written")
	}
	b := &book{}
	do(audited(&fakeGallery{}, b, false), request("POST", "/users/u1", asking(`"tracking":{"a":[1,],}`)))
	require.JSONEq(t, `{"a":[1]}`, string(b.entries[0].Tracking), "a trailing comma is no JSON")
}
