package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// facesOf returns the IDs of a user's faces.
func (s *server) facesOf(path string) (ids []string) {
	s.t.Helper()
	var user struct{ Faces []struct{ FaceID string } }
	a := s.must("GET", path, "")
	require.Equal(s.t, http.StatusOK, a.status, a.body)
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &user))
	for _, f := range user.Faces {
		ids = append(ids, f.FaceID)
	}
	return ids
}

// One face of several is removed on every backend, and the last one stays, whoever asks at
// the same time.
func TestRemoveFace(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			audit := filepath.Join(t.TempDir(), "audit.log")
			s := start(t, append(settings(t), "IMAGO_AUDIT_PATH="+audit, "IMAGO_AUDIT_REQUIRED=true", "IMAGO_INVENTORY_SAME_PERSON=0")...)
			obama, biden := faceJSON(fixture.ReadPortrait(t, "obama.jpg")), faceJSON(fixture.ReadPortrait(t, "biden.jpg"))
			for _, user := range []string{"/users/both", "/users/blacklist/both"} {
				require.Equal(t, http.StatusOK, s.must("POST", user, obama).status)
				first := s.facesOf(user)[0]
				require.Equal(t, http.StatusOK, s.must("POST", user+"/faces", biden).status)
				require.Contains(t, s.must("DELETE", user+"/faces/none", "").body, "Server cannot find")
				require.Equal(t, http.StatusOK, s.must("DELETE", user+"/faces/"+first, "").status)
				require.Equal(t, notFound, s.must("DELETE", user+"/faces/"+first, "").body)
				left := s.facesOf(user)
				require.Len(t, left, 1)
				a := s.must("DELETE", user+"/faces/"+left[0], "")
				require.Equal(t, http.StatusBadRequest, a.status)
				require.Contains(t, a.body, `"errors":["provided face is the only one of the user"]`)
			}
			require.Equal(t, notFound, s.must("POST", "/users/search", obama).body)
			require.Equal(t, "both", s.must("POST", "/users/search", biden).matches(t)[0].UserID)
			require.Equal(t, notFound, s.must("DELETE", "/users/nobody/faces/f", "").body)

			// Whoever removes both faces at once keeps one.
			require.Equal(t, http.StatusOK, s.must("POST", "/users/both/faces", obama).status)
			ids := s.facesOf("/users/both")
			statuses := make([]int, 2)
			fixture.Together(2, func(i int) error {
				statuses[i] = s.must("DELETE", "/users/both/faces/"+ids[i], "").status
				return nil
			})
			slices.Sort(statuses)
			require.Equal(t, []int{http.StatusOK, http.StatusBadRequest}, statuses)
			require.Len(t, s.facesOf("/users/both"), 1)

			lines, err := os.ReadFile(audit)
			require.NoError(t, err)
			require.Contains(t, string(lines), `"operation":"remove_face","collection":"users","user_id":"both","face_id":"none","status":404,"reasons":["not_found"]`)
			require.Contains(t, string(lines), `"operation":"remove_face","collection":"users","user_id":"both","face_id":"`+ids[0]+`"`)
			require.Contains(t, string(lines), `"reasons":["only_face"]`)
		})
	}
}
