package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// verification is the answer to a comparison with one user.
type verification struct {
	Match       *bool
	Similarity  *float64
	Threshold   float64
	Explanation *explanation
}

// verify compares a face with a user, and expects a status.
func (s *server) verify(key, path, body string, status int) (v verification, a answer) {
	s.t.Helper()
	a = s.withKey(key, "POST", path, body)
	require.Equal(s.t, status, a.status, a.body)
	if status == http.StatusOK {
		require.NoError(s.t, json.Unmarshal([]byte(a.body), &v))
		require.NotNil(s.t, v.Match, a.body)
	}
	return v, a
}

// with adds members to a body.
func with(body, members string) string { return strings.TrimSuffix(body, "}") + "," + members + "}" }

// One user's faces are compared and nobody else's, on every backend: the best of them counts.
func TestVerify(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			audit := filepath.Join(t.TempDir(), "audit.log")
			s := start(t, append(settings(t), "IMAGO_AUDIT_PATH="+audit, "IMAGO_INVENTORY_SAME_PERSON=0")...)
			obama, biden := faceJSON(fixture.ReadPortrait(t, "obama.jpg")), faceJSON(fixture.ReadPortrait(t, "biden.jpg"))
			again := faceJSON(fixture.ReadPortrait(t, "obama2.jpg"))
			for path, face := range map[string]string{"/users/biden": biden, "/users/obama": obama, "/users/blacklist/biden": biden} {
				require.Equal(t, http.StatusOK, s.must("POST", path, face).status)
			}
			same, _ := s.verify(apiKey, "/users/obama/verify", again, http.StatusOK)
			require.True(t, *same.Match, "%v", *same.Similarity)
			require.Equal(t, 80.0, same.Threshold)
			found := s.must("POST", "/users/search", again).matches(t)
			require.InDelta(t, found[0].Similarity, *same.Similarity, 1e-3, "as a search has it")
			other, _ := s.verify(apiKey, "/users/biden/verify", again, http.StatusOK)
			require.False(t, *other.Match, "the gallery has him, but as somebody else")
			require.Less(t, *other.Similarity, 80.0)
			inList, _ := s.verify(apiKey, "/users/blacklist/biden/verify", biden, http.StatusOK)
			require.True(t, *inList.Match)

			// The threshold is inclusive in what the client reads.
			exact := strconv.FormatFloat(*other.Similarity, 'f', -1, 64)
			met, _ := s.verify(apiKey, "/users/biden/verify", with(again, `"threshold":`+exact), http.StatusOK)
			require.True(t, *met.Match)
			require.Equal(t, *other.Similarity, met.Threshold)

			// A further face makes a user match who did not, the other still counts.
			require.Equal(t, http.StatusOK, s.must("POST", "/users/biden/faces", obama).status)
			for _, face := range []string{again, biden} {
				best, _ := s.verify(apiKey, "/users/biden/verify", face, http.StatusOK)
				require.True(t, *best.Match)
			}

			explained, _ := s.verify(apiKey, "/users/obama/verify", asking(faceJSON(fixture.Pair(t))), http.StatusOK)
			require.Equal(t, 2, explained.Explanation.Faces)
			require.Equal(t, []string{"several_faces"}, explained.Explanation.Codes)

			for _, path := range []string{"/users/nobody/verify", "/users/blacklist/obama/verify"} {
				_, a := s.verify(apiKey, path, obama, http.StatusNotFound)
				require.Equal(t, notFound, a.body)
			}
			_, a := s.verify(apiKey, "/users/nolist/obama/verify", obama, http.StatusNotFound)
			require.Contains(t, a.body, `there is no list \"nolist\"`)
			for body, reason := range map[string]string{
				with(obama, `"limit":1`): `unknown field \"limit\"`, with(obama, `"threshold":101`): "threshold must be a number from 0 to 100",
				`{}`: "face is required", faceJSON(fixture.Landscape(t)): "no face detected in the provided image",
			} {
				_, a := s.verify(apiKey, "/users/obama/verify", body, http.StatusBadRequest)
				require.Contains(t, a.body, reason)
			}
			_, a = s.verify(apiKey, "/users/blacklist/verify", obama, http.StatusBadRequest)
			require.Contains(t, a.body, "is reserved")

			lines, err := os.ReadFile(audit)
			require.NoError(t, err)
			require.Contains(t, string(lines), `"operation":"verify","collection":"users","user_id":"obama","status":200,"verification":{"threshold":80,"match":true,"similarity":`)
			require.Contains(t, string(lines), `"operation":"verify","collection":"blacklist","user_id":"obama","status":404,"reasons":["not_found"]`)
			require.Contains(t, s.must("GET", "/metrics", "").body, `imago_verifications_total{collection="users",result="match"} 4`)
			require.Contains(t, s.must("GET", "/metrics", "").body, `imago_verifications_total{collection="users",result="no_match"} 2`)
		})
	}
}
