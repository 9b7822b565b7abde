package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const (
	apiKey       = "e2e-key-of-at-least-sixteen-characters"
	startTimeout = 3 * time.Minute
	callTimeout  = 3 * time.Minute
)

// build builds imago once for all tests of the run.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "imago-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "imago")
	return path, fixture.Build(path)
})

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // the faulty network's
	code := m.Run()
	if path, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func imago(t testing.TB) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	return path
}

// server is a running imago.
type server struct {
	t       testing.TB
	process *fixture.Process
	cmd     *exec.Cmd
	url     string
	client  *http.Client
	log     *fixture.Log
	exited  <-chan struct{}
}

// start runs `imago serve` with the development models and a RAM-only store
// unless env says otherwise, and waits until it is ready.
func start(t testing.TB, env ...string) *server {
	t.Helper()
	s := launch(t, env...)
	s.waitReady()
	return s
}

func launch(t testing.TB, env ...string) *server {
	t.Helper()
	p := fixture.Serve(t, imago(t), apiKey, env...)
	client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	t.Cleanup(client.CloseIdleConnections) // before imago is stopped
	return &server{t: t, process: p, cmd: p.Cmd, url: "http://" + p.Address, client: client, log: p.Log, exited: p.Exited}
}

func (s *server) waitReady() {
	s.t.Helper()
	require.True(s.t, fixture.Ready(s.client, s.url), "imago does not get ready:\n%s", s.log)
}

// kill ends the process at once, as a power cut would.
func (s *server) kill() { s.process.Kill() }

// stop ends the process in an orderly way; it fails the test when that takes
// too long.
func (s *server) stop() {
	s.client.CloseIdleConnections()
	s.process.Stop(s.t)
}

// peakRSS returns the largest resident memory of the process so far, in bytes.
func (s *server) peakRSS() int64 { return s.memory("VmHWM") }

// rss returns the resident memory of the process now, in bytes.
func (s *server) rss() int64 { return s.memory("VmRSS") }

func (s *server) memory(field string) int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(s.t, err)
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, field+": %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	s.t.Fatalf("no %s in /proc", field)
	return 0
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem is the reference's error object.
type problem struct {
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Type   string   `json:"type"`
	Errors []string `json:"errors"`
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(t, a.status, p.Status)
	return p
}

// match is one entry of a search answer.
type match struct {
	UserID     string  `json:"userId"`
	Similarity float64 `json:"similarity"`
}

func (a answer) matches(t testing.TB) []match {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	var m struct {
		Matches []match `json:"matches"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &m))
	return m.Matches
}

// call makes a request with the key; the error is for goroutines that may not
// fail the test.
func (s *server) call(ctx context.Context, method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("x-api-key", apiKey)
	req.Header.Set("Content-Type", "application/json")
	return s.do(req)
}

func (s *server) do(req *http.Request) (answer, error) {
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b)}, err
}

func (s *server) must(method, path, body string) answer {
	s.t.Helper()
	a, err := s.call(s.t.Context(), method, path, body)
	require.NoError(s.t, err, "%s", s.log)
	return a
}

// segment escapes an ID for a path; dots too where they would mean a folder.
func segment(id string) string {
	if id == "." || id == ".." {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

func (s *server) enrol(id string, picture []byte) answer {
	s.t.Helper()
	return s.must(http.MethodPost, "/users/"+segment(id), faceJSON(picture))
}

func (s *server) search(picture []byte) answer {
	s.t.Helper()
	return s.must(http.MethodPost, "/users/search", faceJSON(picture))
}

func (s *server) unenrol(id string) answer {
	s.t.Helper()
	return s.must(http.MethodDelete, "/users/"+segment(id), "")
}

func faceJSON(picture []byte) string {
	return `{"face":"` + base64.StdEncoding.EncodeToString(picture) + `"}`
}

// portrait is a drawn face that comes with the source.
func portrait(t testing.TB) []byte {
	t.Helper()
	return fixture.Drawing(t)
}
