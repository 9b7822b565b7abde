package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trail is what a line of the audit log says.
type trail struct {
	Time, Phase, Client, Address, Operation, Collection string
	RequestID                                           string `json:"request_id"`
	UserID                                              string `json:"user_id"`
	Status, Faces                                       int
	Reasons                                             []string
	Search                                              *struct {
		Threshold  float64
		Limit      int
		MatchCount int `json:"match_count"`
		Matches    []struct {
			UserID     string `json:"user_id"`
			Similarity float64
		}
	}
	DurationMS float64 `json:"duration_ms"`
}

func readTrail(t *testing.T, path string) (all []trail) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var one trail
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		_, err := time.Parse(time.RFC3339Nano, one.Time)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(one.Time, "Z"), "UTC")
		require.NotEmpty(t, one.RequestID)
		require.Equal(t, "127.0.0.1", one.Address)
		all = append(all, one)
	}
	return all
}

// withKey makes a request with a key, or with none.
func (s *server) withKey(key, method, path, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	req.Header.Set("Content-Type", "application/json")
	a, err := s.do(req)
	require.NoError(s.t, err)
	return a
}

// newKeys makes a key for searches only and returns it with its file.
func newKeys(t *testing.T, name string) (key, file string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), imago(t), "keys", "new", name, "--operations", "search").Output()
	require.NoError(t, err)
	key, stanza := splitKey(t, string(out))
	file = filepath.Join(t.TempDir(), "keys.yaml")
	require.NoError(t, os.WriteFile(file, []byte("keys:\n"+stanza), 0o600))
	return key, file
}

func TestAuditLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	reader, file := newKeys(t, "reader")
	s := start(t, "IMAGO_AUDIT_PATH="+path, "IMAGO_AUDIT_SYNC=true", "IMAGO_AUDIT_REQUIRED=true", "IMAGO_AUTH_KEYS_FILE="+file)
	face := faceJSON(portrait(t))
	const awkward = `o'neil "x" \ 50%`
	for _, call := range []struct {
		key, method, path, body string
		status                  int
	}{
		{apiKey, "POST", "/users/" + segment(awkward), face, 200},
		{apiKey, "POST", "/users/" + segment(awkward), face, 400},
		{reader, "POST", "/users/search", strings.TrimSuffix(face, "}") + `,"threshold":75.5,"limit":3}`, 200},
		{reader, "POST", "/users/blacklist/search", face, 404},
		{reader, "DELETE", "/users/" + segment(awkward), "", 403},
		{"a-wrong-key-of-somebody", "DELETE", "/users/" + segment(awkward), "", 401},
		{"", "POST", "/users/search", face, 401},
		{apiKey, "POST", "/users/forged%0A%7B%22status%22:200%7D", face, 400},
		{apiKey, "POST", "/users/b", `{"face":"` + base64.StdEncoding.EncodeToString([]byte("GIF89a, not a JPEG")) + `"}`, 400},
		{apiKey, "DELETE", "/users/" + segment(awkward), "", 200},
	} {
		require.Equal(t, call.status, s.withKey(call.key, call.method, call.path, call.body).status, "%s %s", call.method, call.path)
	}
	s.kill() // what was answered is on disk

	type short struct {
		phase, client, operation, collection, userID string
		status                                       int
		reason                                       string
	}
	var got []short
	all := readTrail(t, path)
	for _, one := range all {
		got = append(got, short{one.Phase, one.Client, one.Operation, one.Collection, one.UserID, one.Status, strings.Join(one.Reasons, " ")})
	}
	require.Equal(t, []short{
		{"intent", "env", "enrol", "users", awkward, 0, ""},
		{"outcome", "env", "enrol", "users", awkward, 200, ""},
		{"intent", "env", "enrol", "users", awkward, 0, ""},
		{"outcome", "env", "enrol", "users", awkward, 400, "exists"},
		{"outcome", "reader", "search", "users", "", 200, ""},
		{"outcome", "reader", "search", "blacklist", "", 404, "no_match"},
		{"outcome", "reader", "unenrol", "users", awkward, 403, "forbidden"},
		{"outcome", "", "unenrol", "users", awkward, 401, "unauthorized"},
		{"outcome", "", "search", "users", "", 401, "unauthorized"},
		// An ID that cannot be accepted is refused before a change is intended.
		{"outcome", "env", "enrol", "users", "forged\n{\"status\":200}", 400, "invalid"},
		{"intent", "env", "enrol", "users", "b", 0, ""},
		{"outcome", "env", "enrol", "users", "b", 400, "image_format"},
		{"intent", "env", "unenrol", "users", awkward, 0, ""},
		{"outcome", "env", "unenrol", "users", awkward, 200, ""},
	}, got)
	search := all[4].Search
	require.NotNil(t, search)
	require.Equal(t, 75.5, search.Threshold)
	require.Equal(t, 3, search.Limit)
	require.Equal(t, 1, search.MatchCount)
	require.Equal(t, awkward, search.Matches[0].UserID)
	require.InDelta(t, 99.9995, search.Matches[0].Similarity, 0.001)
	require.Positive(t, all[4].DurationMS)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// As logrotate does it: the file is renamed and imago told.
func TestAuditLogRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, "IMAGO_AUDIT_PATH="+path, "IMAGO_AUDIT_MATCHES=false")
	require.Equal(t, http.StatusOK, s.enrol("before", portrait(t)).status)
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "on SIGHUP") }, startTimeout, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, s.search(portrait(t)).status)
	old, fresh := readTrail(t, path+".1"), readTrail(t, path)
	require.Len(t, old, 1)
	require.Equal(t, "before", old[0].UserID)
	require.Len(t, fresh, 1)
	require.Equal(t, 1, fresh[0].Search.MatchCount)
	require.Empty(t, fresh[0].Search.Matches, "audit.matches is off")
}

// A full disk stops what must be on record, and nothing else.
func TestAuditLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	for required, status := range map[string]int{"true": http.StatusServiceUnavailable, "false": http.StatusOK} {
		s := start(t, "IMAGO_AUDIT_PATH=/dev/full", "IMAGO_AUDIT_REQUIRED="+required)
		require.Equal(t, status, s.enrol("a", portrait(t)).status)
		require.Equal(t, status, s.unenrol("a").status)
		require.NotRegexp(t, `(?m)^imago_audit_errors_total 0$`, s.must("GET", "/metrics", "").body)
		require.Eventually(t, func() bool { return strings.Contains(s.log.String(), `"level":"ERROR","msg":"cannot write audit log"`) }, startTimeout, 10*time.Millisecond)
	}
}

// An imago whose audit log must be written and cannot be leaves rotation, and comes back by
// itself when there is room. No line is cut in two, and the log has the gap.
func TestAuditLogOnAFullDiskLeavesRotation(t *testing.T) {
	t.Parallel()
	small := smallDisk(t)
	if small == nil {
		t.Log("no file system can be mounted here: TestAuditLogOnAFullDisk has to do")
		return
	}
	path := filepath.Join(small.dir, "audit.log")
	env := []string{"IMAGO_AUDIT_PATH=" + path, "IMAGO_AUDIT_REQUIRED=true"}
	s := start(t, env...)
	require.Equal(t, http.StatusOK, s.enrol("a", portrait(t)).status)
	lift := small.full(s, 1000)
	out, err := imagoOutput(t, env, "check")
	require.Error(t, err)
	require.Regexp(t, `audit: FAILED: .*the disk of \S+ is full: 0 kB are left`, out)
	for deadline := time.Now().Add(startTimeout); s.must("GET", "/users/a", "").status == http.StatusOK; {
		require.True(t, time.Now().Before(deadline), "the disk is not full")
	}
	require.Equal(t, http.StatusServiceUnavailable, s.enrol("b", portrait(t)).status)
	requireAuditUnready(t, s)
	again := launch(t, env...)
	requireAuditUnready(t, again)
	again.stop()
	requireWholeLines(t, path)

	lift()
	s.waitReady()
	require.Equal(t, http.StatusOK, s.enrol("b", portrait(t)).status)
	require.Contains(t, requireWholeLines(t, path), `"operation":"gap"`)
	s.stop()
}

func requireAuditUnready(t *testing.T, s *server) {
	t.Helper()
	a := s.must("GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.body, "audit is not ready")
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`"level":"ERROR","msg":"cannot write audit log".*no space left`).MatchString(s.log.String())
	}, startTimeout, 10*time.Millisecond)
	require.Equal(t, 1, strings.Count(s.log.String(), `"level":"ERROR"`), "once for all")
}

// requireWholeLines checks that every line of an audit log is JSON, and returns them.
func requireWholeLines(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(data), "\n"))
	for line := range strings.Lines(string(data)) {
		require.True(t, json.Valid([]byte(line)), line)
	}
	return string(data)
}

// imagoOutput runs a command of imago and returns all that it prints.
func imagoOutput(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), imago(t), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Logs and audit log at their most talkative hold no picture, vector or key.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	reader, file := newKeys(t, "reader")
	s := start(t, "IMAGO_AUDIT_PATH="+path, "IMAGO_AUDIT_REQUIRED=true", "IMAGO_LOG_LEVEL=debug", "IMAGO_AUTH_KEYS_FILE="+file)
	picture := base64.StdEncoding.EncodeToString(portrait(t))
	for _, call := range []struct{ key, method, path, body string }{
		{apiKey, "POST", "/users/a", faceJSON(portrait(t))},
		{apiKey, "POST", "/users/a", faceJSON(portrait(t))},
		{reader, "POST", "/users/search", faceJSON(portrait(t))},
		{apiKey, "POST", "/users/b", `{"face":"` + picture + `"`},
		{apiKey, "POST", "/users/b", `{"face":"` + picture + `*"}`},
		{apiKey, "POST", "/users/b", `{"face":"` + picture[:len(picture)/2] + `"}`},
		{apiKey, "POST", "/users/b", `{"` + picture + `":1}`},
		{apiKey, "POST", "/users/b", `{"face":"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..` + picture[:64] + `.` + picture + `.` + picture[:22] + `"}`},
		{apiKey, "GET", "/users", ""},
		{"wrong-" + apiKey, "GET", "/users", ""},
		{apiKey, "GET", "/users?cursor=" + apiKey, ""},
		{apiKey, "POST", "/faces/detect", faceJSON(portrait(t))},
		{apiKey, "DELETE", "/users/a", ""},
	} {
		s.withKey(call.key, call.method, call.path, call.body)
	}
	s.stop()
	audit, err := os.ReadFile(path)
	require.NoError(t, err)
	said := s.log.String() + string(audit)
	require.Greater(t, strings.Count(said, "\n"), 30)
	for _, secret := range []string{apiKey, reader} {
		require.NotContains(t, said, secret)
	}
	for i := 0; i+24 <= len(picture); i += 8 {
		require.False(t, strings.Contains(said, picture[i:i+24]), "part of the picture")
	}
	// Longer runs than a SHA-256 in hex would be encoded data, and rows of
	// fractions a vector.
	require.NotRegexp(t, regexp.MustCompile(`[A-Za-z0-9+/_=]{65,}`), said)
	require.NotRegexp(t, regexp.MustCompile(`(-?\d\.\d+(e-?\d+)?[,\s]+){4}`), said)
}
