package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// shown is what the API tells of a user.
type shown struct {
	UserID string `json:"userId"`
	Faces  []struct {
		EnrolledAt time.Time `json:"enrolledAt"`
	}
	ExpiresAt time.Time `json:"expiresAt"`
}

func (s *server) show(path string) shown {
	s.t.Helper()
	a := s.must(http.MethodGet, path, "")
	require.Equal(s.t, http.StatusOK, a.status, a.body)
	var u shown
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &u), a.body)
	return u
}

// expiring is the body of an enrolment with an expiry.
func expiring(picture []byte, at time.Time) string {
	return strings.Replace(faceJSON(picture), "{", `{"expiresAt":"`+at.Format(time.RFC3339Nano)+`",`, 1)
}

// requireNobody checks that a user is in no answer of an imago.
func requireNobody(t *testing.T, s *server, id string, picture []byte) {
	t.Helper()
	path := "/users/" + id
	for _, request := range []struct{ method, path, body string }{
		{"GET", path, ""},
		{"DELETE", path, ""},
		{"PUT", path, faceJSON(picture)},
		{"POST", path + "/faces", faceJSON(picture)},
		{"POST", "/users/search", faceJSON(picture)},
		{"POST", path + "/verify", faceJSON(picture)},
	} {
		a := s.must(request.method, request.path, request.body)
		require.Equal(t, http.StatusNotFound, a.status, "%s %s: %s", request.method, request.path, a.body)
		require.Empty(t, a.problem(t).Errors, "it is as if there had never been such a user")
	}
	require.NotContains(t, s.must("GET", "/users", "").body, `"`+id+`"`)
}

// expiryLines returns the users whose erasure the audit logs have.
func expiryLines(t *testing.T, logs []string) (users []string) {
	t.Helper()
	for _, path := range logs {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			var one trail
			require.NoError(t, json.Unmarshal([]byte(line), &one), line)
			if one.Operation == "expire" {
				require.Equal(t, []any{"outcome", "users", 200, ""}, []any{one.Phase, one.Collection, one.Status, one.Client}, line)
				users = append(users, one.UserID)
			}
		}
	}
	return users
}

// A user who has expired is gone from every answer of every instance at once, and erased
// within the time; the ID is free again. It is so over every backend.
func TestExpiry(t *testing.T) {
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := append(settings(t), "IMAGO_EXPIRY_ERASE_WITHIN=4s", "IMAGO_INVENTORY_RETENTION=30d")
			var logs []string
			instance := func() *server {
				logs = append(logs, filepath.Join(dir, string(rune('a'+len(logs)))+".jsonl"))
				return start(t, append(env, "IMAGO_AUDIT_PATH="+logs[len(logs)-1])...)
			}
			first := instance()
			second := first
			if name != "memory" {
				second = instance()
			}
			obama, biden := fixture.ReadPortrait(t, "obama.jpg"), fixture.ReadPortrait(t, "biden.jpg")

			require.Equal(t, http.StatusOK, first.enrol("kept", biden).status)
			kept := second.show("/users/kept")
			require.Equal(t, kept.Faces[0].EnrolledAt.Add(30*24*time.Hour), kept.ExpiresAt, "by the retention")
			far := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Microsecond)
			require.Equal(t, http.StatusOK, second.must("POST", "/users/guest", expiring(obama, far)).status)
			require.Equal(t, far, first.show("/users/guest").ExpiresAt, "it is earlier than the retention")

			require.Equal(t, http.StatusOK, first.must("POST", "/users/guest/faces", faceJSON(obama)).status)
			require.Equal(t, far, second.show("/users/guest").ExpiresAt, "a further face without one leaves it")
			soon := time.Now().Add(10 * time.Second).UTC().Truncate(time.Microsecond)
			require.Equal(t, http.StatusOK, first.must("POST", "/users/guest/faces", expiring(obama, soon)).status)
			require.Equal(t, soon, second.show("/users/guest").ExpiresAt, "one with an expiry sets it for all")
			require.Len(t, second.show("/users/guest").Faces, 3)
			require.Len(t, second.search(obama).matches(t), 1)

			gone := func() bool { return second.must("GET", "/users/guest", "").status == http.StatusNotFound }
			require.Eventually(t, gone, time.Minute, 10*time.Millisecond)
			require.False(t, time.Now().Before(soon), "gone too early")
			for _, s := range []*server{first, second} {
				requireNobody(t, s, "guest", obama)
			}
			require.Eventually(t, func() bool { return len(expiryLines(t, logs)) > 0 }, time.Minute, 20*time.Millisecond)
			require.Equal(t, http.StatusOK, first.enrol("guest", obama).status, "the ID is free again")
			require.Equal(t, http.StatusOK, second.must("PUT", "/users/guest", expiring(obama, time.Now().Add(time.Second))).status)
			require.Eventually(t, gone, time.Minute, 10*time.Millisecond)
			require.Equal(t, http.StatusOK, second.enrol("guest", obama).status, "whether it is erased or not")
			require.Eventually(t, func() bool {
				return strings.Contains(first.must("GET", "/metrics", "").body+second.must("GET", "/metrics", "").body, `imago_expired_users_total{collection="users"} 1`)
			}, time.Minute, 20*time.Millisecond)
			require.Len(t, first.search(obama).matches(t), 1)
			require.Equal(t, kept, second.show("/users/kept"))
			for _, user := range expiryLines(t, logs) {
				require.Equal(t, "guest", user)
			}
		})
	}
}

// A retention counts from the last enrolment, holds for those who were enrolled before it was
// configured, and goes with a gallery that is exported.
func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := func(db, retention string) string {
		path := filepath.Join(dir, "imago.yaml")
		require.NoError(t, os.WriteFile(path, []byte("store: {memory: {path: "+filepath.Join(dir, db)+"}}\n"+
			"collections: [{name: guests, retention: "+retention+"}]\n"), 0o600))
		return path
	}
	serve := func(db, retention string) *server {
		return start(t, "IMAGO_CONFIG="+config(db, retention), "IMAGO_STORE_MEMORY_PATH="+filepath.Join(dir, db))
	}
	picture := fixture.ReadPortrait(t, "obama.jpg")
	s := serve("a.db", "0")
	require.Equal(t, http.StatusOK, s.must("POST", "/users/guests/ada", faceJSON(picture)).status)
	require.NotContains(t, s.must("GET", "/users/guests/ada", "").body, "expiresAt")
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/guests/eve", expiring(picture, at)).status)
	s.stop()

	s = serve("a.db", "90d")
	before := s.show("/users/guests/ada")
	require.Equal(t, before.Faces[0].EnrolledAt.Add(90*24*time.Hour), before.ExpiresAt, "it holds for earlier users too")
	require.Equal(t, at, s.show("/users/guests/eve").ExpiresAt)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/guests/ada/faces", faceJSON(picture)).status)
	after := s.show("/users/guests/ada")
	last := after.Faces[0].EnrolledAt
	if after.Faces[1].EnrolledAt.After(last) {
		last = after.Faces[1].EnrolledAt
	}
	require.Equal(t, last.Add(90*24*time.Hour), after.ExpiresAt)
	s.stop()

	at = time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	for _, wrong := range []string{"tomorrow", "2031-01-31", "2020-01-31T18:00:00Z"} {
		r := attempt(t, filepath.Join(dir, "a.db"), "enroll", presidents(t), "--expires-at", wrong)
		require.Equal(t, 2, r.code, r.err)
		require.Contains(t, r.err, "--expires-at must be")
	}
	runImago(t, "enroll", presidents(t), "--config", config("a.db", "90d"), "--collection", "guests", "--expires-at", at.Format(time.RFC3339))

	export := filepath.Join(dir, "gallery.jsonl")
	runImago(t, "export", "--config", config("a.db", "90d"), export)
	runImago(t, "import", "--config", config("b.db", "90d"), export)
	s = serve("b.db", "90d")
	require.Equal(t, after, s.show("/users/guests/ada"))
	require.Equal(t, at, s.show("/users/guests/obama").ExpiresAt)
	s.stop()

	// Who has expired is in no export. A retention that was a mistake can be set right as
	// long as nobody was erased by it.
	require.Eventually(t, func() bool {
		return strings.Contains(runImago(t, "export", "--config", config("b.db", "1s"), export), "guests: users 0")
	}, time.Minute, 100*time.Millisecond)
	require.Contains(t, runImago(t, "export", "--config", config("b.db", "90d"), export), "guests: users 4")
}
