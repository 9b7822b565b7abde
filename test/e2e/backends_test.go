package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// backends are the settings of every backend, by its name, each with a server of its own
// where it needs one.
var backends = map[string]func(t *testing.T) []string{
	"memory": func(*testing.T) []string { return nil },
	"pgvector": func(t *testing.T) []string {
		return []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + servers.Postgres(t).DSN()}
	},
	"milvus": func(t *testing.T) []string {
		milvus := servers.OwnMilvus(t, servers.MilvusOptions{})
		return []string{"IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS=" + milvus.Address()}
	},
}

// A backend is one section of the configuration: the main job is the same over
// PostgreSQL, several imagos share a gallery, and a gallery outlives them.
func TestPGVectorBackend(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	env := []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + pg.DSN()}
	first, second := start(t, env...), start(t, env...)
	sharedGallery(t, first, second, env)

	first.kill()
	require.Len(t, second.search(fixture.ReadPortrait(t, "obama2.jpg")).matches(t), 1, "the gallery outlives an imago")

	pg.Kill()
	a := second.search(fixture.ReadPortrait(t, "obama2.jpg"))
	require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, http.StatusServiceUnavailable, second.must("GET", "/readyz", "").status)
	require.Equal(t, http.StatusOK, second.must("GET", "/healthz", "").status)
	require.NoError(t, pg.Restart())
	second.waitReady()
	require.Len(t, second.search(fixture.ReadPortrait(t, "obama2.jpg")).matches(t), 1, "nothing is lost")
}

func TestMilvusBackend(t *testing.T) {
	t.Parallel()
	milvus := servers.OwnMilvus(t, servers.MilvusOptions{})
	env := []string{"IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS=" + milvus.Address()}
	first, second := start(t, env...), start(t, env...)
	sharedGallery(t, first, second, env)
	first.kill()
	require.Len(t, second.search(fixture.ReadPortrait(t, "obama2.jpg")).matches(t), 1, "the gallery outlives an imago")
}

// sharedGallery does the main job over two imagos on one backend: what one has
// answered the other sees at once.
func sharedGallery(t *testing.T, first, second *server, env []string) {
	t.Helper()
	obama, biden := fixture.ReadPortrait(t, "obama.jpg"), fixture.ReadPortrait(t, "biden.jpg")
	require.Equal(t, http.StatusOK, first.enrol("obama", obama).status)
	require.Equal(t, duplicate, second.enrol("obama", obama).body)
	require.Equal(t, http.StatusOK, second.enrol("biden", biden).status)
	for _, s := range []*server{first, second} {
		require.Equal(t, "obama", s.search(fixture.ReadPortrait(t, "obama2.jpg")).matches(t)[0].UserID)
		require.Equal(t, "biden", s.search(biden).matches(t)[0].UserID)
	}
	require.Equal(t, http.StatusOK, first.unenrol("biden").status)
	require.Equal(t, http.StatusOK, first.enrol("left", biden).status)
	env = slices.Concat(pipelineEnvironment(t), env, []string{"IMAGO_API_KEY=" + apiKey})
	r := finish(t, command(t, "", env, "check", "--config", lists(t, `""`, "  - name: left\n")))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, `"left" in users (the list left)`)
	r = finish(t, command(t, "", env, "unenrol", "left"))
	require.Zero(t, r.code, r.err)
	require.Equal(t, http.StatusNotFound, second.must("GET", "/users/left", "").status)
	require.Equal(t, notFound, second.search(biden).body)
	require.Equal(t, http.StatusNotFound, second.unenrol("biden").status)

	won := 0
	answers := make(chan answer, 20)
	for i := range cap(answers) {
		s := []*server{first, second}[i%2]
		go func() {
			a, err := s.call(t.Context(), "POST", "/users/twin", faceJSON(biden))
			if err != nil {
				a.body = fmt.Sprint(err)
			}
			answers <- a
		}()
	}
	for range cap(answers) {
		select {
		case a := <-answers:
			if a.status == http.StatusOK {
				won++
				continue
			}
			require.Equal(t, duplicate, a.body)
		case <-time.After(callTimeout):
			t.Fatal("no answer")
		}
	}
	require.Equal(t, 1, won, "concurrent enrolments of one ID over two imagos")
}
