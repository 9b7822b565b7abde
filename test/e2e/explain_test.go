package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// explanation is what was seen of a picture.
type explanation struct {
	Box            struct{ X, Y, Width, Height float64 }
	Faces, Turn    int
	Quality, Codes []string
}

// asking adds the question for an explanation to a body.
func asking(body string) string { return strings.Replace(body, "{", `{"explain":true,`, 1) }

func TestWhatWasSeenIsTold(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("ec", "ECDH-ES+A256KW")
	s := start(t, "IMAGO_TOKEN_KEYS_FILE="+d.keys)
	ask := func(status int, method, path, body string) (faceID string, e explanation) {
		a := s.must(method, path, asking(body))
		require.Equal(t, status, a.status, a.body)
		var out struct {
			FaceID      string `json:"faceId"`
			Explanation *explanation
		}
		require.NoError(t, json.Unmarshal([]byte(a.body), &out))
		require.NotNil(t, out.Explanation, a.body)
		return out.FaceID, *out.Explanation
	}
	face := faceJSON(portrait(t))
	var detected struct {
		Faces []struct {
			Box  struct{ X, Y, Width, Height float64 }
			Turn int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(s.must("POST", "/faces/detect", face).body), &detected))

	// Nobody on a picture that no enrolment would take is told apart from nobody on a good one.
	_, useless := ask(http.StatusNotFound, "POST", "/users/search", faceJSON(fixture.Pair(t)))
	require.Equal(t, 2, useless.Faces)
	require.Equal(t, []string{"several_faces"}, useless.Codes)
	require.Equal(t, []string{"more than one face detected in the provided image"}, useless.Quality)
	_, good := ask(http.StatusNotFound, "POST", "/users/blacklist/search", face)
	require.Empty(t, good.Codes)
	require.Equal(t, detected.Faces[0].Box, good.Box)
	require.Equal(t, detected.Faces[0].Turn, good.Turn)
	require.Equal(t, notFound, s.must("POST", "/users/search", face).body, "who does not ask gets the reference's answer")

	faces := map[string]bool{}
	for _, call := range []string{"POST /users/alice", "POST /users/alice/faces", "PUT /users/alice", "POST /users/blacklist/alice"} {
		method, path, _ := strings.Cut(call, " ")
		id, seen := ask(http.StatusOK, method, path, face)
		require.False(t, faces[id], id)
		faces[id] = true
		require.Equal(t, good, seen)
		require.Contains(t, s.must("GET", strings.TrimSuffix(path, "/faces"), "").body, `"faceId":"`+id+`"`)
	}
	_, found := ask(http.StatusOK, "POST", "/users/search", tokenJSON(d.seal("ec")))
	require.Equal(t, good, found)
	require.Empty(t, s.must("PUT", "/users/alice", face).body)

	a := s.must("POST", "/users/bob", asking(faceJSON(fixture.Pair(t))))
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, useless.Quality, a.problem(t).Errors)
}
