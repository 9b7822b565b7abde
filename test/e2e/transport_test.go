package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// writePair writes a certificate with a name and its key, each atomically.
func writePair(t testing.TB, a fixture.Authority, dir, name string) {
	t.Helper()
	certificate, key := a.Sign(t, name)
	writeKeys(t, filepath.Join(dir, "cert.pem"), string(certificate))
	writeKeys(t, filepath.Join(dir, "key.pem"), string(key))
}

// startTLS starts imago with a certificate of an authority and waits until it
// answers. The client of the server presents the given certificates.
func startTLS(t *testing.T, a fixture.Authority, dir string, present []tls.Certificate, env ...string) *server {
	t.Helper()
	writePair(t, a, dir, "first")
	s := launch(t, append([]string{
		"IMAGO_SERVER_TLS_CERT_FILE=" + filepath.Join(dir, "cert.pem"), "IMAGO_SERVER_TLS_KEY_FILE=" + filepath.Join(dir, "key.pem"),
		"IMAGO_SERVER_OPS_LISTEN=localhost:0",
	}, env...)...)
	s.url = strings.Replace(s.url, "http://", "https://", 1)
	s.client.Transport.(*http.Transport).TLSClientConfig = a.Client(present...)
	return s
}

// served returns the name in the certificate that a new connection is shown.
func (s *server) served(a fixture.Authority) string {
	s.t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), a.Client())
	require.NoError(s.t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// opsURL is the address of the second listener, which is the second to be logged.
func (s *server) opsURL() string {
	s.t.Helper()
	all := func() []string { return fixture.Listeners(s.log.String()) }
	require.Eventually(s.t, func() bool { return len(all()) > 1 }, startTimeout, 5*time.Millisecond)
	return "http://" + all()[1]
}

// opsMetrics returns the metrics from the second listener.
func (s *server) opsMetrics() string {
	s.t.Helper()
	res, err := s.client.Get(s.opsURL() + "/metrics")
	require.NoError(s.t, err)
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return string(metrics)
}

// Certificates are exchanged and broken while clients ask on old and on new
// connections: no request fails.
func TestTLSIsReloadedUnderLoad(t *testing.T) {
	t.Parallel()
	a, dir := fixture.NewAuthority(t, "test authority"), t.TempDir()
	s := startTLS(t, a, dir, nil)
	fresh := *s
	fresh.client = &http.Client{Timeout: callTimeout, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: a.Client()}}
	right := func() string { return apiKey }
	kept := s.load(t.Context(), 2, s.wants(http.StatusOK, right))
	anew := s.load(t.Context(), 2, fresh.wants(http.StatusOK, right))
	require.Equal(t, "first", s.served(a))
	for i := range 4 {
		name := fmt.Sprintf("renewed-%d", i)
		writePair(t, a, dir, name)
		if i%2 == 0 {
			s.hup()
		}
		require.Eventually(t, func() bool { return s.served(a) == name }, startTimeout, 20*time.Millisecond)
		writeKeys(t, filepath.Join(dir, "key.pem"), "garbage")
		s.hup()
		require.Equal(t, name, s.served(a), "a broken pair changes nothing")
	}
	for _, done := range []func() (int64, error){kept, anew} {
		answered, err := done()
		require.NoError(t, err)
		require.Positive(t, answered)
	}
	// What is for operations stays plain on its own listener, and counts.
	metrics := s.opsMetrics()
	require.Regexp(t, `imago_tls_reloads_total\{result="error"\} [1-9]`, metrics)
	require.Regexp(t, `imago_tls_reloads_total\{result="ok"\} [1-9]`, metrics)
	require.Regexp(t, `imago_tls_certificate_expiration_timestamp_seconds 1\.\d+e\+09`, metrics)
	require.Contains(t, s.log.String(), "cannot reload TLS certificates, keeping current ones")
	require.NotContains(t, s.log.String(), "PRIVATE KEY")
}

func TestClientCertificateIsRequired(t *testing.T) {
	t.Parallel()
	a, stranger, dir := fixture.NewAuthority(t, "test authority"), fixture.NewAuthority(t, "test authority"), t.TempDir()
	writeKeys(t, filepath.Join(dir, "clients.pem"), string(a.PEM))
	pairOf := func(a fixture.Authority) tls.Certificate { return a.Pair(t, "gateway") }
	s := startTLS(t, a, dir, []tls.Certificate{pairOf(a)},
		"IMAGO_SERVER_TLS_CLIENT_AUTH=require", "IMAGO_SERVER_TLS_CLIENT_CA_FILE="+filepath.Join(dir, "clients.pem"),
		"IMAGO_SERVER_TLS_MIN_VERSION=1.3")
	require.Equal(t, http.StatusOK, s.must("GET", "/users", "").status)
	require.Equal(t, http.StatusUnauthorized, s.mustAs("wrong", "GET", "/users").status, "a certificate is no key")
	for name, present := range map[string][]tls.Certificate{"none": nil, "a stranger's": {pairOf(stranger)}} {
		// The server judges after the client has finished, who learns it by reading.
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), a.Client(present...))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(callTimeout)))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorContains(t, err, "tls: ", name)
		_ = conn.Close()
	}
	old := a.Client(pairOf(a))
	old.MaxVersion = tls.VersionTLS12
	_, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), old)
	require.ErrorContains(t, err, "version")

	res, err := http.Get(s.opsURL() + "/readyz")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, "operations are asked in plain")
}

func TestHealthcheckOverTLS(t *testing.T) {
	t.Parallel()
	a, dir := fixture.NewAuthority(t, "test authority"), t.TempDir()
	s := startTLS(t, a, dir, nil, "IMAGO_SERVER_OPS_LISTEN=")
	check := exec.CommandContext(t.Context(), imago(t), "healthcheck")
	check.Env = []string{
		"IMAGO_SERVER_LISTEN=" + strings.TrimPrefix(s.url, "https://"),
		"IMAGO_SERVER_TLS_CERT_FILE=" + filepath.Join(dir, "cert.pem"), "IMAGO_SERVER_TLS_KEY_FILE=" + filepath.Join(dir, "key.pem"),
	}
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// The socket has the configured mode, belongs to one process, and outlives a
// process that was killed only until the next one starts.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "imago.sock")
	env := []string{"IMAGO_SERVER_LISTEN=unix://" + path, "IMAGO_SERVER_SOCKET_MODE=0600", "IMAGO_SERVER_TRUSTED_PROXIES=unix"}
	dial := func(s *server) {
		s.url = "http://imago"
		s.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	s := launch(t, env...)
	dial(s)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/users", nil)
	require.NoError(t, err)
	req.Header.Set("x-api-key", apiKey)
	req.Header.Set("X-Forwarded-For", "6.6.6.6, 203.0.113.7")
	a, err := s.do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.status)
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), `"remote":"203.0.113.7"`) }, startTimeout, 5*time.Millisecond)

	second := exec.CommandContext(t.Context(), imago(t), "serve")
	second.Env, second.Dir = append(append([]string{}, s.cmd.Env...), env...), t.TempDir()
	out, err := second.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "another process is listening")

	s.kill()
	require.FileExists(t, path)
	heir := launch(t, env...)
	dial(heir)
	require.Equal(t, http.StatusOK, heir.must("GET", "/users", "").status)
	heir.stop()
	require.NoFileExists(t, path, heir.log.String())
}

// One worker and few places: clients that are slow with the header, with the
// body or with reading do not keep others from being served, and are cut off.
func TestSlowClientsHoldNoWorker(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_INFERENCE_WORKERS=1", "IMAGO_INFERENCE_QUEUE=8", "IMAGO_SERVER_LIMITS_IN_FLIGHT=12", "IMAGO_SERVER_LIMITS_CONNECTIONS=24",
		"IMAGO_SERVER_TIMEOUTS_HEADER=2s", "IMAGO_SERVER_TIMEOUTS_BODY=20s", "IMAGO_SERVER_TIMEOUTS_SHUTDOWN=1s")
	body := faceJSON(portrait(t))
	const line = "POST /users/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Api-Key: "
	slow := func(text string) net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		return conn
	}
	var headers, bodies []net.Conn
	for range 6 {
		headers = append(headers, slow(line))
		bodies = append(bodies, slow(fmt.Sprintf("%s%s\r\nContent-Length: %d\r\n\r\n%s", line, apiKey, len(body), body[:len(body)-1])))
		slow(strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 500)) // and never read
	}
	for range 5 {
		require.Equal(t, http.StatusNotFound, s.must("POST", "/users/search", body).status, "served all the same")
	}
	for _, conn := range headers { // cut off, with or without a word
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(startTimeout)))
		_, err := io.Copy(io.Discard, conn)
		require.NoError(t, err)
	}
	// A slow body is taken as long as it comes in time.
	_, err := io.WriteString(bodies[0], "}")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(bodies[0]), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	for _, conn := range bodies[1:] {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(startTimeout)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
	}
	require.Equal(t, http.StatusNotFound, s.must("POST", "/users/search", body).status)
}
