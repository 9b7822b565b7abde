package httpapi_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/core/gallery"
	"imago/ports"
)

// A verification takes the threshold of its collection or of the key, like a search, and
// tells no more than the gallery does.
func TestVerifyRequests(t *testing.T) {
	var asked gallery.Verification
	similarity := 12.5
	g := &fakeGallery{verify: func(_ context.Context, _ ports.Client, v gallery.Verification) (gallery.Verified, error) {
		asked = v
		if v.UserID == "hidden" {
			return gallery.Verified{}, nil
		}
		return gallery.Verified{Similarity: &similarity}, nil
	}}
	b, counted := &book{}, []string{}
	o := withLists(g)
	o.Audit = httpapi.Audit{Write: b.write}
	o.Keys = keys{theKey: {Name: "gateway"}, "careful": {Name: "careful", MinThreshold: 95}, "reader": {Name: "r", Operations: []ports.Operation{ports.OpRead, ports.OpEnrol}}}
	o.Verified = func(collection string, match bool) { counted = append(counted, collection) }
	h := httpapi.New(o).Handler()
	for _, tt := range []struct {
		key, path, members, answer string
		collection                 string
		threshold                  float64
	}{
		{theKey, "/users/u1/verify", "", `{"match":false,"similarity":12.5,"threshold":80}`, "users", 80},
		{theKey, "/users/blacklist/u1/verify", "", `{"match":false,"similarity":12.5,"threshold":92.5}`, "blacklist", 92.5},
		{theKey, "/users/blacklist/u1/verify", `,"threshold":0`, `{"match":false,"similarity":12.5,"threshold":0}`, "blacklist", 0},
		{"careful", "/users/hidden/verify", "", `{"match":false,"threshold":95}`, "users", 95},
	} {
		r := request("POST", tt.path, `{"face":"`+encoded()+`"`+tt.members+`}`)
		r.Header.Set("X-Api-Key", tt.key)
		require.Equal(t, tt.answer, text(t, do(h, r)))
		require.Equal(t, tt.collection, asked.Collection)
		require.Equal(t, tt.threshold, asked.Threshold)
		require.Equal(t, picture, asked.Picture)
		last := b.entries[len(b.entries)-1]
		require.Equal(t, []any{"verify", tt.collection, asked.UserID, 200, tt.threshold}, []any{last.Operation, last.Collection, last.UserID, last.Status, last.Threshold})
		require.Equal(t, asked.UserID == "hidden", last.Verification.Similarity == nil)
	}
	require.Equal(t, []string{"users", "blacklist", "blacklist", "users"}, counted)
	r := request("POST", "/users/u1/verify", face())
	r.Header.Set("X-Api-Key", "reader")
	require.Equal(t, http.StatusForbidden, do(h, r).StatusCode)
	require.Equal(t, []string{`unknown field "purpose"`, "threshold must be a number from 0 to 100"},
		requireProblem(t, 400, do(h, request("POST", "/users/u1/verify", `{"face":"`+encoded()+`","purpose":"closest","threshold":101}`))))
}
