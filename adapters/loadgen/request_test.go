package loadgen

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "imago.example:443": "http://imago.example:443", "[::1]:80": "http://[::1]:80",
		"https://imago.example/": "https://imago.example", "unix:///run/imago.sock": "unix:///run/imago.sock",
	} {
		target, err := ParseTarget(s)
		require.NoError(t, err, s)
		require.Equal(t, want, target.String())
	}
	for _, s := range []string{"", "ftp://a", "http://", "http://a/users", "http://key@a", "unix://relative", "http://a?b", "::"} {
		_, err := ParseTarget(s)
		require.Error(t, err, s)
	}
}

func TestParseMix(t *testing.T) {
	m, err := ParseMix("enrol=1, search=8,unenrol=0")
	require.NoError(t, err)
	require.Equal(t, Mix{search: 8, enrol: 1}, m)
	require.Equal(t, "search=8,enrol=1", m.String())
	for _, s := range []string{"", "search", "search=-1", "search=0", "seek=1", "search=1,", "search=9999999"} {
		_, err := ParseMix(s)
		require.Error(t, err, s)
	}
}

// request is what a server has seen.
type request struct{ method, path, key, body string }

func TestRequests(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]request{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := new(bytes.Buffer)
		_, _ = body.ReadFrom(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen[r.Method+" "+r.URL.EscapedPath()] = request{r.Method, r.URL.EscapedPath(), r.Header.Get("x-api-key"), body.String()}
	}))
	defer server.Close()
	target, err := ParseTarget(server.URL)
	require.NoError(t, err)
	threshold := 75.5
	g := generator(t, Options{
		Target: target, Key: "a-key", Pictures: [][]byte{[]byte("zero"), []byte("one")}, Collection: "black list", Threshold: &threshold,
		Users: 1, Timeout: time.Minute,
	})
	client := target.client(time.Minute)
	defer client.CloseIdleConnections()
	for k := range kind(kinds) {
		require.Empty(t, g.send(t.Context(), client, k, 3).failure)
	}
	face := base64.StdEncoding.EncodeToString([]byte("one"))
	user := "/users/black%20list/" + g.Prefix() + "3"
	require.Equal(t, map[string]request{
		"POST /users/black%20list/search": {"POST", "/users/black%20list/search", "a-key", `{"face":"` + face + `","threshold":75.5}`},
		"POST " + user:                    {"POST", user, "a-key", `{"face":"` + face + `"}`},
		"DELETE " + user:                  {"DELETE", user, "a-key", ""},
	}, seen)
	require.Regexp(t, `^imago-bench-[a-z2-7]{6}-$`, g.Prefix())
}

// The key goes to the target and nowhere else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := newGallery(t)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	target, err := ParseTarget(server.URL)
	require.NoError(t, err)
	client := target.client(time.Minute)
	defer client.CloseIdleConnections()
	g := generator(t, elsewhere.options(t))
	g.options.Target = target
	require.Equal(t, "307", g.send(t.Context(), client, search, 0).failure)
	require.Zero(t, elsewhere.calls)
}

func TestTLSAndUnixSocket(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	target, err := ParseTarget(secure.URL)
	require.NoError(t, err)
	require.Equal(t, "tls", classOf(t, target), "an unknown authority")
	require.Error(t, target.Trust([]byte("no certificate")))
	require.NoError(t, target.Trust(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	require.Empty(t, classOf(t, target))

	path := filepath.Join(t.TempDir(), "imago.sock")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	plain := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = plain.Serve(listener) }()
	defer plain.Close()
	socket, err := ParseTarget("unix://" + path)
	require.NoError(t, err)
	require.Empty(t, classOf(t, socket))
}

// classOf returns the class of failure of a search at a target.
func classOf(t *testing.T, target Target, timeout ...time.Duration) string {
	t.Helper()
	g := generator(t, Options{Target: target, Users: 1, Timeout: time.Minute})
	client := target.client(append(timeout, g.options.Timeout)[0])
	defer client.CloseIdleConnections()
	return g.send(t.Context(), client, search, 0).failure
}

func TestTransportFailures(t *testing.T) {
	release := make(chan struct{})
	for name, c := range map[string]struct {
		class   string
		timeout time.Duration
		do      func(w http.ResponseWriter)
	}{
		"silence":     {"timeout", 50 * time.Millisecond, func(http.ResponseWriter) { <-release }},
		"half a body": {"closed", 0, func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); _, _ = w.Write([]byte("1")) }},
		"hung up": {"closed", 0, func(w http.ResponseWriter) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
		}},
		"reset": {"reset", 0, func(w http.ResponseWriter) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := newGallery(t)
			if name == "silence" {
				defer close(release)
			}
			server.before = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				_, _ = bytes.NewBuffer(nil).ReadFrom(r.Body)
				c.do(w)
				return true
			}
			target, err := ParseTarget(server.URL)
			require.NoError(t, err)
			require.Equal(t, c.class, classOf(t, target, c.timeout))
		})
	}
	nobody, err := ParseTarget("unix://" + filepath.Join(t.TempDir(), "nobody.sock"))
	require.NoError(t, err)
	require.Equal(t, "refused", classOf(t, nobody))
}

func TestProbe(t *testing.T) {
	server := newGallery(t)
	g := generator(t, server.options(t))
	require.NoError(t, g.Probe(t.Context(), SearchOnly()))
	for status, says := range map[int]string{401: "key", 403: "permit"} {
		server.before = func(_ int, w http.ResponseWriter, _ *http.Request) bool { return refuse(w, status, "") }
		require.ErrorContains(t, g.Probe(t.Context(), SearchOnly()), says)
	}
	server.Close()
	require.ErrorContains(t, g.Probe(t.Context(), SearchOnly()), "no answer at "+server.URL)
}

// The picture that is sent by default is the one that the source comes with.
func TestPortrait(t *testing.T) {
	original, err := os.ReadFile(filepath.Join(fixture.Root(t), "test", "testdata", "portrait.jpg"))
	require.NoError(t, err)
	require.Equal(t, original, Portrait())
}

func TestReasonIsBounded(t *testing.T) {
	long, err := json.Marshal(map[string]any{"errors": []string{string(bytes.Repeat([]byte("é\n"), 500))}})
	require.NoError(t, err)
	require.LessOrEqual(t, len(shorten(reason(long))), exampleLimit+len("…"))
	require.Equal(t, "a b", shorten(" a\nb "))
	require.Empty(t, reason([]byte("<html>")))
	require.Equal(t, "Detail.", reason([]byte(`{"detail":"Detail."}`)))
}
