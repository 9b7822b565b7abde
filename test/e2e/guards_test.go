package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// Guards refuse on every backend, also in a replacement and by `imago enroll`, and of those who
// enrol one person at the same time one wins.
func TestGuards(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			audit := filepath.Join(t.TempDir(), "audit.log")
			env := append(settings(t), "IMAGO_AUDIT_PATH="+audit, "IMAGO_INVENTORY_UNIQUE=80", "IMAGO_INVENTORY_SCREEN=blacklist")
			s := start(t, env...)
			obama, again := faceJSON(fixture.ReadPortrait(t, "obama.jpg")), faceJSON(fixture.ReadPortrait(t, "obama2.jpg"))
			biden := faceJSON(fixture.ReadPortrait(t, "biden.jpg"))
			refused := func(method, path, body, reason string) {
				t.Helper()
				a := s.must(method, path, body)
				require.Equal(t, http.StatusBadRequest, a.status, a.body)
				require.Contains(t, a.body, `"errors":["`+reason+`"]`)
			}

			statuses := make([]int, 10)
			fixture.Together(len(statuses), func(i int) error {
				statuses[i] = s.must("POST", fmt.Sprintf("/users/obama-%d", i), []string{obama, again}[i%2]).status
				return nil
			})
			won := -1
			for i, status := range statuses {
				if status == http.StatusOK {
					require.Equal(t, -1, won, "two users have one face")
					won = i
				}
			}
			require.GreaterOrEqual(t, won, 0, "%v", statuses)
			winner := fmt.Sprintf("/users/obama-%d", won)
			refused("POST", "/users/impostor", again, "provided face belongs to another user")
			require.Equal(t, http.StatusOK, s.must("PUT", winner, obama).status, "the user's own face does not count")
			refused("POST", winner+"/faces", biden, "provided face is not the user's")
			require.Equal(t, http.StatusOK, s.must("POST", winner+"/faces", again).status)
			require.Equal(t, http.StatusOK, s.must("POST", "/users/whitelist/obama", obama).status, "a list has guards of its own")

			require.Equal(t, http.StatusOK, s.must("POST", "/users/blacklist/banned", biden).status)
			refused("POST", "/users/biden", biden, "provided face is on a list: blacklist")
			refused("PUT", winner, biden, "provided face is on a list: blacklist")

			lines, err := os.ReadFile(audit)
			require.NoError(t, err)
			require.Contains(t, string(lines), `"reasons":["face_of_another_user"],"resembled":{"collection":"users","user_id":"`+winner[len("/users/"):]+`","similarity":`)
			require.Contains(t, string(lines), `"reasons":["face_on_list"],"resembled":{"collection":"blacklist","user_id":"banned","similarity":99.9995}`)
			require.Contains(t, string(lines), `"reasons":["face_not_the_users"],"resembled":{"collection":"users","user_id":"`+winner[len("/users/"):]+`","similarity":`)
			require.Contains(t, s.must("GET", "/metrics", "").body, `face_of_another_user`)
		})
	}
}

// `imago enroll` keeps to the guards, and names the pictures that they refuse.
func TestGuardsOfEnroll(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, map[string]string{"biden/1.jpg": "biden.jpg", "biden/2.jpg": "obama.jpg", "one.jpg": "obama.jpg", "other.jpg": "obama2.jpg"})
	env := append(pipelineEnvironment(t), "IMAGO_INVENTORY_UNIQUE=80", "IMAGO_STORE_MEMORY_PATH="+filepath.Join(t.TempDir(), "imago.db"))
	r := finish(t, command(t, "", env, "enroll", "--workers", "1", dir))
	require.Equal(t, 3, r.code, r.err)
	require.Contains(t, r.out+r.err, "provided face is not the user's")
	require.Contains(t, r.out+r.err, "provided face belongs to another user")
	require.NotContains(t, r.out+r.err, "resembles")
}
