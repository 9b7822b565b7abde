package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// gatewayFile is the configuration that ships, perhaps with other values.
func gatewayFile(t *testing.T, replacements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(t), "docker", "nginx.conf"))
	require.NoError(t, err)
	for i := 0; i < len(replacements); i += 2 {
		require.Contains(t, string(data), replacements[i])
	}
	return strings.NewReplacer(replacements...).Replace(string(data))
}

// behind returns s as it is reached through a gateway.
func behind(gateway *servers.NginxServer, s *server) *server {
	through := *s
	through.url = gateway.URL()
	return &through
}

// upstreams are the lines of upstream.conf for some imagos.
func upstreams(addresses ...string) string {
	var lines strings.Builder
	for _, a := range addresses {
		fmt.Fprintf(&lines, "server %s max_fails=0;\n", a)
	}
	return lines.String()
}

// spared are the lines of upstream.conf for several imagos: one that fails is left alone for a
// time, unless all of them fail.
func spared(t *testing.T, time string, addresses ...string) string {
	t.Helper()
	var lines strings.Builder
	for _, a := range addresses {
		fmt.Fprintf(&lines, "server %s max_fails=1 fail_timeout=%s;\n", a, time)
	}
	for _, a := range addresses {
		fmt.Fprintf(&lines, "server %s backup max_fails=0;\n", a)
	}
	pattern := strings.NewReplacer("10.0.0.1:8080", addresses[0], "10.0.0.2:8080", addresses[1], "fail_timeout=10s", "fail_timeout="+time, "    #   ", "")
	require.Contains(t, pattern.Replace(gatewayFile(t)), lines.String(), "as the page says")
	return lines.String()
}

func host(s *server) string { return strings.TrimPrefix(s.url, "http://") }

// with makes a request with further headers.
func (s *server) with(headers map[string]string, method, path, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("x-api-key", apiKey)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	a, err := s.do(req)
	require.NoError(s.t, err)
	return a
}

// What a client and imago say to each other passes a gateway unharmed, over TCP and
// over a socket.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]struct{ listen, proxy string }{
		"tcp":    {"127.0.0.1:0", "127.0.0.1"},
		"socket": {"unix://" + filepath.Join(t.TempDir(), "imago.sock"), "unix,127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := launch(t, "IMAGO_SERVER_LISTEN="+own.listen, "IMAGO_SERVER_TRUSTED_PROXIES="+own.proxy)
			upstream := host(s)
			if path, socket := strings.CutPrefix(own.listen, "unix://"); socket {
				upstream = "unix:" + path
			}
			gateway := servers.OwnNginx(t, gatewayFile(t), upstreams(upstream))
			through := behind(gateway, s)
			through.waitReady()
			face := faceJSON(portrait(t))

			require.Equal(t, http.StatusOK, through.enrol("zuzana", portrait(t)).status)
			require.Len(t, through.search(portrait(t)).matches(t), 1)
			require.Equal(t, duplicate, through.enrol("zuzana", portrait(t)).body)
			odd := `a/b%2F?c#d "é`
			require.Equal(t, http.StatusOK, through.enrol(odd, portrait(t)).status)
			require.Equal(t, http.StatusOK, through.unenrol(odd).status, "a percent-encoded ID is data")

			a := through.with(map[string]string{"x-request-id": "from-the-client-1"}, "POST", "/users/search", face)
			require.Equal(t, "from-the-client-1", a.header.Get("x-request-id"))
			a = through.with(nil, "POST", "/users/search", face)
			id := a.header.Get("x-request-id")
			require.NotEmpty(t, id)
			through.with(map[string]string{"x-forwarded-for": "203.0.113.7, 127.0.0.1"}, "POST", "/users/search", face)
			through.with(map[string]string{"x-real-ip": "203.0.113.9"}, "POST", "/users/search", face)
			require.Equal(t, notFound, through.must("GET", "/metrics", "").body)
			s.stop()
			access := accessLog(t, gateway, 7)
			require.Contains(t, access, "id="+id, "one ID in both logs")
			// No letter of it but a is a digit of the hexadecimal request IDs.
			require.NotContains(t, access, "zuzana", "user IDs stay out of the log")
			for _, want := range []string{`"request_id":"from-the-client-1"`, `"request_id":"` + id + `"`, `"remote":"203.0.113.7"`, `"remote":"127.0.0.1"`} {
				require.Contains(t, s.log.String(), want)
			}
			require.NotContains(t, s.log.String(), "203.0.113.9", "what a client says of itself is not believed")

			a = through.must("POST", "/users/search", face)
			require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
			require.Equal(t, http.StatusServiceUnavailable, a.problem(t).Status)
			require.NotEmpty(t, a.header.Get("Retry-After"))
			require.NotEmpty(t, a.header.Get("x-request-id"))
		})
	}
}

// A search that broke off is sent again, to the next imago. Nothing else is that
// changes something, however its path is written: /users/x%2Fsearch enrols x/search.
func TestNginxRepeatsSearchesOnly(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	var paths sync.Map
	breaking := func() string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			paths.Store(r.Method+" "+r.RequestURI+" "+string(body), true)
			sent.Add(1)
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	s := &server{t: t, client: &http.Client{Timeout: callTimeout}}
	through := behind(servers.OwnNginx(t, gatewayFile(t), upstreams(breaking(), breaking())), s)
	for path, times := range map[string]int64{
		"/users/search": 2, "/users/blacklist/search": 2, "/users/search?x=1": 2,
		"/users/x%2Fsearch": 1, "/users/x%2fsearch": 1, "/users/blacklist%2Fsearch": 1, "/users/y%2F..%2Fsearch": 1, "/users/x%2Fy/search": 1,
		"/users//search": 1, "/users/./search": 1, "/users/alice/../search": 1, "/users/alice": 1, "/users/%2Fsearch": 1, "/users/blacklist/x%2Fsearch": 1,
	} {
		sent.Store(0)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, through.url+"/", strings.NewReader("picture"))
		require.NoError(t, err)
		req.URL.Opaque = strings.Replace(path, "?x=1", "", 1)
		if strings.Contains(path, "?") {
			req.URL.RawQuery = "x=1"
		}
		a, err := through.do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, a.status, path)
		require.Equal(t, times, sent.Load(), path)
		_, there := paths.Load("POST " + path + " picture")
		require.True(t, there, "%s is sent on as it came", path)
	}
}

// Whose word about the client's address counts is imago's to say.
func TestNginxThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	s := start(t)
	gateway := servers.OwnNginx(t, gatewayFile(t), upstreams(host(s)))
	behind(gateway, s).with(map[string]string{"x-forwarded-for": "203.0.113.7"}, "GET", "/collections", "")
	s.stop()
	require.NotContains(t, s.log.String(), "203.0.113.7")
}

// Whoever refuses a large body, the client gets a problem object.
func TestLargeBodiesBehindNginx(t *testing.T) {
	t.Parallel()
	s := start(t)
	through := behind(servers.OwnNginx(t, gatewayFile(t), upstreams(host(s))), s)
	picture := make([]byte, 5<<20)
	copy(picture, portrait(t))
	require.NotEqual(t, http.StatusRequestEntityTooLarge, through.search(picture).status, "the largest picture passes")
	for size, who := range map[int]string{5<<20 + 1: "imago", 7 << 20: "imago", 20 << 20: "nginx"} {
		a := through.must("POST", "/users/search", `{"face":"`+base64.StdEncoding.EncodeToString(make([]byte, size))+`"}`)
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status, a.body)
		p := a.problem(t)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.Equal(t, who == "imago", len(p.Errors) == 1, "%s: %s", who, a.body)
		require.NotEmpty(t, a.header.Get("x-request-id"))
	}
}

// An imago that is stuck does not hold clients indefinitely, and one that is too slow
// answers for itself.
func TestTimeoutsBehindNginx(t *testing.T) {
	t.Parallel()
	slow := start(t, "IMAGO_SERVER_TIMEOUTS_REQUEST=100ms", "IMAGO_INFERENCE_WORKERS=1", "IMAGO_INFERENCE_DETECT_SIZES=4096")
	through := behind(servers.OwnNginx(t, gatewayFile(t, "proxy_read_timeout 35s", "proxy_read_timeout 2s"), upstreams(host(slow))), slow)
	a := through.search(fixture.ReadPortrait(t, "obama3.jpg"))
	require.Equal(t, http.StatusGatewayTimeout, a.status, a.body)
	require.NotEmpty(t, a.problem(t).Detail)

	slow.freeze()
	a = through.must("DELETE", "/users/nobody", "")
	require.NoError(t, slow.cmd.Process.Signal(syscall.SIGCONT))
	require.Equal(t, http.StatusGatewayTimeout, a.status, a.body)
	require.NotEmpty(t, a.problem(t).Detail)
}

// An imago that is frozen costs one search its time, and nobody an answer: the search goes to the
// other imago, and what comes later goes there at once. One that is believed to be lost is asked all
// the same when there is no other.
func TestFrozenBehindNginx(t *testing.T) {
	t.Parallel()
	frozen, healthy := start(t), start(t)
	for _, s := range []*server{frozen, healthy} {
		require.Equal(t, http.StatusOK, s.enrol("a", portrait(t)).status)
	}
	gateway := servers.OwnNginx(t, gatewayFile(t, "proxy_read_timeout 10s", "proxy_read_timeout 2s"), spared(t, "1h", host(frozen), host(healthy)))
	through := behind(gateway, healthy)
	frozen.freeze()
	const searches = 12
	for range searches {
		require.Len(t, through.search(portrait(t)).matches(t), 1)
	}
	access := accessLog(t, gateway, searches)
	require.Equal(t, 1, strings.Count(access, host(frozen)), access)
	require.Equal(t, searches, strings.Count(access, host(healthy)), access)

	frozen.thaw()
	healthy.stop()
	require.Len(t, through.search(portrait(t)).matches(t), 1, "no 502 for all")
	require.Len(t, through.search(portrait(t)).matches(t), 1)
	frozen.stop()
	require.Equal(t, http.StatusServiceUnavailable, through.search(portrait(t)).status)
}

// accessLog returns the access log when it has at least so many POSTs: nginx writes a line behind
// the answer.
func accessLog(t *testing.T, gateway *servers.NginxServer, posts int) (access string) {
	t.Helper()
	fixture.Until(t, "nginx has logged every request", func() bool {
		var err error
		access, err = gateway.AccessLog()
		require.NoError(t, err)
		return strings.Count(access, "POST") >= posts
	})
	return access
}

// freeze stops the process in the middle of what it does, until the test ends or lets it go on.
func (s *server) freeze() {
	s.t.Helper()
	s.t.Cleanup(func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) })
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(s.t, func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		return err == nil && strings.Contains(string(status), "State:\tT")
	}, startTimeout, time.Millisecond)
}

// thaw lets a frozen process go on.
func (s *server) thaw() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGCONT))
}

// Two imagos over one database are restarted one after the other, again and again,
// behind a gateway and under load: no client sees anything of it, and what was
// acknowledged is there.
func TestRollingRestartBehindNginx(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "socket"} {
		t.Run(transport, func(t *testing.T) { rollingRestart(t, transport == "socket") })
	}
}

func rollingRestart(t *testing.T, socket bool) {
	pg := servers.Postgres(t)
	env := []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + pg.DSN()}
	var listens, addresses []string
	for i, port := range servers.FreePorts(t, 2) {
		listens, addresses = append(listens, fmt.Sprintf("127.0.0.1:%d", port)), append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
		if socket {
			path := filepath.Join(t.TempDir(), fmt.Sprintf("imago%d.sock", i))
			listens[i], addresses[i] = "unix://"+path, "unix:"+path
		}
	}
	gateway := servers.OwnNginx(t, gatewayFile(t), spared(t, "10s", addresses...))
	var imagos [2]*server
	for i := range imagos {
		imagos[i] = behindOwnSocket(launch(t, append(env, "IMAGO_SERVER_LISTEN="+listens[i])...), listens[i])
		imagos[i].waitReady()
	}
	through := behind(gateway, imagos[0])
	through.client = &http.Client{Timeout: callTimeout}
	defer through.client.CloseIdleConnections()
	face := faceJSON(portrait(t))
	require.Equal(t, http.StatusOK, through.enrol("somebody", portrait(t)).status)

	done := make(chan struct{})
	var enrolled, searched atomic.Int64
	failures := make(chan string, 100)
	var clients sync.WaitGroup
	ask := func(method, path string, count *atomic.Int64) {
		a, err := through.call(t.Context(), method, path, face)
		if err == nil && a.status == http.StatusOK {
			count.Add(1)
			return
		}
		select {
		case failures <- fmt.Sprint(method, " ", path, ": ", a.status, " ", a.body, " ", err):
		default:
		}
	}
	for client := range 6 {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if client%2 == 0 {
					ask("POST", "/users/search", &searched)
				} else {
					ask("POST", fmt.Sprintf("/users/u%d-%d", client, i), &enrolled)
				}
			}
		})
	}
	const rounds = 3
	for range rounds {
		for i := range imagos {
			before := searched.Load() + enrolled.Load()
			imagos[i].stop()
			imagos[i] = behindOwnSocket(launch(t, append(env, "IMAGO_SERVER_LISTEN="+listens[i])...), listens[i])
			imagos[i].waitReady()
			require.Eventually(t, func() bool { return searched.Load()+enrolled.Load() > before+10 || len(failures) > 0 }, startTimeout, time.Millisecond)
		}
	}
	close(done)
	clients.Wait()
	close(failures)
	for f := range failures {
		t.Error(f)
	}
	require.EqualValues(t, enrolled.Load()+1, imagos[0].count(), "what was acknowledged, once, and nothing else")
	t.Logf("%d restarts, %d searches, %d enrolments, none failed", 2*rounds, searched.Load(), enrolled.Load())
}

// count returns how many users there are.
func (s *server) count() (users int) {
	s.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Users  []struct{}
			Cursor string
		}
		require.NoError(s.t, json.Unmarshal([]byte(s.must("GET", "/users?limit=100&cursor="+cursor, "").body), &page))
		if users += len(page.Users); page.Cursor == "" {
			return users
		}
		cursor = page.Cursor
	}
}

// behindOwnSocket has the client of s dial its socket, if it has one.
func behindOwnSocket(s *server, listen string) *server {
	if path, socket := strings.CutPrefix(listen, "unix://"); socket {
		s.url = "http://imago"
		s.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	return s
}
