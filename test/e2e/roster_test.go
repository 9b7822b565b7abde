package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

type roster struct {
	Users  []rosterUser `json:"users"`
	Cursor string       `json:"cursor"`
}

type rosterUser struct {
	UserID string `json:"userId"`
	Faces  []struct {
		FaceID     string `json:"faceId"`
		EnrolledAt string `json:"enrolledAt"`
	} `json:"faces"`
}

func read[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), &v))
	return v
}

// A user with two faces is found by both; replacing leaves only the new one.
func TestSeveralFacesAndReplacement(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_INVENTORY_SAME_PERSON=0")
	obama, biden, drawn := fixture.ReadPortrait(t, "obama.jpg"), fixture.ReadPortrait(t, "biden.jpg"), portrait(t)
	require.Equal(t, http.StatusNotFound, s.must("PUT", "/users/u", faceJSON(obama)).status)
	require.Equal(t, http.StatusNotFound, s.must("POST", "/users/u/faces", faceJSON(obama)).status)
	require.Equal(t, http.StatusOK, s.enrol("u", obama).status)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/u/faces", faceJSON(biden)).status)
	for _, picture := range [][]byte{obama, biden} {
		found := s.search(picture).matches(t)
		require.Len(t, found, 1)
		require.InDelta(t, 99.9995, found[0].Similarity, 0.001)
	}
	require.Len(t, read[rosterUser](t, s.must("GET", "/users/u", "")).Faces, 2)

	require.Equal(t, http.StatusOK, s.must("PUT", "/users/u", faceJSON(drawn)).status)
	require.Len(t, s.search(drawn).matches(t), 1)
	require.Equal(t, http.StatusNotFound, s.search(obama).status)
	require.Equal(t, http.StatusNotFound, s.search(biden).status)
	require.Len(t, read[rosterUser](t, s.must("GET", "/users/u", "")).Faces, 1)

	require.Equal(t, http.StatusBadRequest, s.must("PUT", "/users/u", faceJSON(fixture.Landscape(t))).status)
	require.Len(t, s.search(drawn).matches(t), 1, "a refused replacement changes nothing")
}

func TestListingUsers(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := range 5 {
		require.Equal(t, http.StatusOK, s.enrol(fmt.Sprintf("u%d", i), portrait(t)).status)
	}
	var seen []string
	for path := "/users?limit=2"; path != ""; {
		page := read[roster](t, s.must("GET", path, ""))
		for _, u := range page.Users {
			seen = append(seen, u.UserID)
			require.Len(t, u.Faces, 1)
		}
		path = ""
		if page.Cursor != "" {
			path = "/users?limit=2&cursor=" + page.Cursor
		}
	}
	require.Equal(t, []string{"u0", "u1", "u2", "u3", "u4"}, seen)
	require.Empty(t, read[roster](t, s.must("GET", "/users/blacklist", "")).Users)
	require.NotContains(t, s.must("GET", "/users/u0", "").body, "vector")
}
