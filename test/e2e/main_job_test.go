package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const notFound = `{"status":404,"title":"Not Found","detail":"Server cannot find the requested resource.",` +
	`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/404"}`

const duplicate = `{"status":400,"title":"Bad Request","detail":"Invalid request.",` +
	`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/400","errors":["provided userId already exists"]}`

func TestEnrolSearchUnenrol(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, list := range []string{"", "blacklist/", "whitelist/"} {
		path := "/users/" + list
		face := faceJSON(portrait(t))
		require.JSONEq(t, notFound, s.must("POST", path+"search", face).body, "nobody is enrolled")

		a := s.must("POST", path+"alice", face)
		require.Equal(t, http.StatusOK, a.status, a.body)
		require.Empty(t, a.body)

		found := s.must("POST", path+"search", face).matches(t)
		require.Len(t, found, 1)
		require.Equal(t, "alice", found[0].UserID)
		require.InDelta(t, 99.9995, found[0].Similarity, 0.001)

		a = s.must("POST", path+"alice", face)
		require.Equal(t, http.StatusBadRequest, a.status)
		require.Equal(t, duplicate, a.body)

		a = s.must("DELETE", path+"alice", "")
		require.Equal(t, http.StatusOK, a.status)
		require.Empty(t, a.body)
		a = s.must("POST", path+"search", face)
		require.Equal(t, http.StatusNotFound, a.status)
		require.Equal(t, notFound, a.body)
		require.Equal(t, http.StatusNotFound, s.must("DELETE", path+"alice", "").status)
	}
}

func TestNoFace(t *testing.T) {
	t.Parallel()
	s := start(t)
	landscape := fixture.Landscape(t)
	want := strings.Replace(duplicate, "provided userId already exists", "no face detected in the provided image", 1)
	require.Equal(t, want, s.enrol("nobody", landscape).body)
	require.Equal(t, want, s.search(landscape).body)
}

func TestSeveralFacesAreRefusedAtEnrolmentOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	group := fixture.Pair(t)
	a := s.enrol("group", group)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, []string{"more than one face detected in the provided image"}, a.problem(t).Errors)
	require.Equal(t, http.StatusNotFound, s.search(group).status, "the largest face is searched and unknown")
}

// One man is enrolled from one picture: his other pictures find him, and those of
// another man, of nobody and of a drawing do not.
func TestOneManIsFoundAndAnotherIsNot(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.Equal(t, http.StatusOK, s.enrol("obama", fixture.ReadPortrait(t, "obama.jpg")).status)
	for _, name := range []string{"obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg", "32bit.png"} {
		found := s.search(fixture.ReadPortrait(t, name)).matches(t)
		require.Len(t, found, 1, name)
		require.Equal(t, "obama", found[0].UserID, name)
	}
	biden := fixture.ReadPortrait(t, "biden.jpg")
	require.Equal(t, notFound, s.search(biden).body)
	require.Equal(t, notFound, s.search(portrait(t)).body)
	require.Equal(t, http.StatusOK, s.enrol("biden", biden).status)
	require.Equal(t, "biden", s.search(biden).matches(t)[0].UserID)
	require.Equal(t, http.StatusOK, s.unenrol("obama").status)
	require.Equal(t, notFound, s.search(fixture.ReadPortrait(t, "obama2.jpg")).body)
}

// Three people in six pictures: each person's pictures match that person only.
func TestPersonsAreToldApart(t *testing.T) {
	t.Parallel()
	s := start(t)
	for id, file := range map[string]string{"A": "001_A.jpg", "B": "007_B.jpg", "C": "009_C.jpg"} {
		a := s.enrol(id, fixture.Read(t, file))
		require.Equal(t, http.StatusOK, a.status, "%s: %s", file, a.body)
	}
	for file, id := range map[string]string{
		"001_A.jpg": "A", "003_A.jpg": "A", "005_A.jpg": "A", "007_B.jpg": "B", "009_C.jpg": "C",
	} {
		found := s.search(fixture.Read(t, file)).matches(t)
		require.Len(t, found, 1, file)
		require.Equal(t, id, found[0].UserID, file)
	}
}

// Picture 1 of each of eight people is enrolled and the other four are searched
// at threshold 0: how often is the right person first, how often above 80 %?
func TestCastRankOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	people := []string{"amy", "bernadette", "howard", "leonard", "penny", "raj", "sheldon", "stuart"}
	for _, p := range people {
		a := s.enrol(p, fixture.Read(t, "cast", p+"1.png"))
		require.Equal(t, http.StatusOK, a.status, "%s: %s", p, a.body)
	}
	probes, first, above, strangers := 0, 0, 0, 0
	for _, p := range people {
		for i := 2; i <= 5; i++ {
			body := strings.TrimSuffix(faceJSON(fixture.Read(t, "cast", fmt.Sprintf("%s%d.png", p, i))), "}") + `,"threshold":0}`
			found := s.must("POST", "/users/search", body).matches(t)
			require.Len(t, found, len(people))
			probes++
			if found[0].UserID == p {
				first++
			}
			for _, m := range found {
				switch {
				case m.Similarity >= 80 && m.UserID == p:
					above++
				case m.Similarity >= 80:
					strangers++
				}
			}
		}
	}
	t.Logf("cast: rank-1 %d of %d, right person above 80 %%: %d, strangers above 80 %%: %d", first, probes, above, strangers)
	require.GreaterOrEqual(t, first, 31, "rank-1 of %d probes", probes)
	require.GreaterOrEqual(t, above, 24, "right person above the default threshold")
	require.Zero(t, strangers, "strangers above the default threshold")
}

func TestOneOfManyConcurrentEnrolmentsWins(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := faceJSON(portrait(t))
	const callers = 100
	answers := make(chan answer, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			a, err := s.call(t.Context(), "POST", "/users/twin", body)
			if err != nil {
				a.body = err.Error()
			}
			answers <- a
		})
	}
	all.Wait()
	close(answers)
	won := 0
	for a := range answers {
		if a.status == http.StatusOK {
			won++
			continue
		}
		require.Equal(t, http.StatusBadRequest, a.status, a.body)
		require.Equal(t, duplicate, a.body)
	}
	require.Equal(t, 1, won)
}

// The reference's own curl samples, read from the reference, work as pasted
// once their placeholders are replaced.
func TestReferenceSamples(t *testing.T) {
	t.Parallel()
	s := start(t)
	document, err := os.ReadFile(filepath.Join(filepath.Dir(fixture.Faces(t)), "reference", "identity-api-users.txt"))
	require.NoError(t, err)
	samples := curlSamples(string(document))
	require.Len(t, samples, 3, "enrol, search, unenrol")
	fill := strings.NewReplacer(
		"{IDENTITY_API_BASE_URL}", s.url, "{API_KEY}", apiKey, "{USER_ID}", "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e",
		"{FACE_IMAGE}", base64.StdEncoding.EncodeToString(portrait(t)), "{THRESHOLD}", "75.5")
	for i, want := range []string{`^$`, `^{"matches":\[{"userId":"f7eab18f-e5d3-4dac-9d4d-cfb969ef848e","similarity":99\.999\d+}\]}$`, `^$`} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", fill.Replace(samples[i])+" --silent --fail-with-body")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Regexp(t, want, strings.TrimSpace(string(out)))
	}
}

// curlSamples cuts the commands out of the document: each starts with curl and
// goes on while lines end in a backslash or a quote is open.
func curlSamples(document string) (samples []string) {
	rest := document
	for {
		i := strings.Index(rest, "curl --location")
		if i < 0 {
			return samples
		}
		rest = rest[i:]
		end, open := 0, false
		for end < len(rest) {
			c := rest[end]
			if c == '\'' {
				open = !open
			}
			if c == '\n' && !open && rest[end-1] != '\\' {
				break
			}
			end++
		}
		samples = append(samples, rest[:end])
		rest = rest[end:]
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.yaml"} {
		res, err := s.client.Get(s.url + path)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode, path)
		require.NotEmpty(t, res.Header.Get("x-request-id"), path)
	}
	s.enrol("metered", portrait(t))
	metrics := s.must("GET", "/metrics", "").body
	for _, stage := range []string{"decode", "detect", "embed", "store_add"} {
		require.Regexp(t, `imago_stage_duration_seconds_count\{[^}]*stage="`+stage+`"[^}]*\} [1-9]`, metrics)
	}
	check := exec.CommandContext(t.Context(), imago(t), "healthcheck")
	check.Env = []string{"IMAGO_SERVER_LISTEN=" + strings.TrimPrefix(s.url, "http://")}
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestAccess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), imago(t), "keys", "new", "reader", "--operations", "search", "--collections", "users").Output()
	require.NoError(t, err)
	key, stanza := splitKey(t, string(out))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.yaml"), []byte("keys:\n"+stanza), 0o600))
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+filepath.Join(dir, "keys.yaml"))

	as := func(key, method, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(faceJSON(portrait(t))))
		require.NoError(t, err)
		if key != "" {
			req.Header.Set("x-api-key", key)
		}
		req.Header.Set("Content-Type", "application/json")
		a, err := s.do(req)
		require.NoError(t, err)
		if a.status >= 300 {
			require.Equal(t, a.status, a.problem(t).Status)
		}
		return a.status
	}
	require.Equal(t, http.StatusUnauthorized, as("", "POST", "/users/search"))
	require.Equal(t, http.StatusUnauthorized, as("wrong", "POST", "/users/search"))
	require.Equal(t, http.StatusNotFound, as(key, "POST", "/users/search"), "allowed, nobody there")
	require.Equal(t, http.StatusForbidden, as(key, "POST", "/users/alice"))
	require.Equal(t, http.StatusForbidden, as(key, "DELETE", "/users/alice"))
	require.Equal(t, http.StatusForbidden, as(key, "POST", "/users/blacklist/search"))
	require.Equal(t, http.StatusOK, as(apiKey, "POST", "/users/alice"))
	require.Equal(t, http.StatusOK, as(key, "POST", "/users/search"))
	for _, secret := range []string{key, apiKey, base64.StdEncoding.EncodeToString(portrait(t))[:60]} {
		require.NotContains(t, s.log.String(), secret)
	}
}

// splitKey takes the output of `imago keys new` apart: the key and its stanza.
func splitKey(t *testing.T, out string) (key, stanza string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if k, ok := strings.CutPrefix(strings.TrimSpace(line), "key: "); ok {
			key = k
		}
	}
	require.NotEmpty(t, key, out)
	i := strings.Index(out, "  - name:")
	require.GreaterOrEqual(t, i, 0, out)
	return key, out[i:]
}

func TestLogsAreStructured(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.enrol("logged", portrait(t))
	s.stop()
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	require.Greater(t, len(lines), 1)
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), line)
	}
	require.NotContains(t, s.log.String(), "/users/logged", "user IDs stay out of the log")
}
