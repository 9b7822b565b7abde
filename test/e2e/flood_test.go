package e2e

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// zeros is zlib data that unpacks to at least so many zeros, a thousand of them a
// byte, and has no end.
func zeros(t *testing.T, bytesOfZeros int) []byte {
	t.Helper()
	const piece = 16 << 20
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, piece))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return append([]byte("\x78\x9c"), bytes.Repeat(b.Bytes(), bytesOfZeros/piece+1)...)
}

// A tiny PNG with gigabytes behind its last row costs what a tiny PNG costs. Was
// it unpacked, the time for the request would be over.
func TestSurplusOfPNGCostsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_INFERENCE_WORKERS=1", "IMAGO_SERVER_TIMEOUTS_REQUEST=2s")
	file := pngOf(64, 64, 8, 2, zeros(t, 4_500<<20))
	require.Less(t, len(file), 5<<20)
	for range 3 {
		a := s.search(file)
		require.Equal(t, http.StatusBadRequest, a.status, a.body)
		require.Equal(t, []string{"no face detected in the provided image"}, a.problem(t).Errors)
	}
}

// Bodies of megabytes that say little are gone through in time.
func TestTediousBodies(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_INFERENCE_WORKERS=1")
	const size = 6_900_000
	many := func(text string) string { return strings.Repeat(text, size/len(text)) }
	for name, body := range map[string]string{
		"white space":        many(" ") + faceJSON(portrait(t)),
		"space in base64":    `{"face":"` + many(" ") + `"}`,
		"escapes":            `{"face":"` + many(`\u0041`) + `"}`,
		"escaped quotes":     `{"face":"` + many(`\"`) + `"}`,
		"backslashes":        `{"face":"` + many(`\\`) + `"}`,
		"dots":               `{"face":"` + many(".") + `"}`,
		"four dots":          `{"face":"` + many("A") + `....` + `"}`,
		"padding":            `{"face":"` + many("=") + `"}`,
		"data URL":           `{"face":"data:image/` + many("x") + `"}`,
		"nesting":            `{"face":"QUJD","tracking":` + many("[") + `}`,
		"nested objects":     `{"face":"QUJD","tracking":` + many(`{"a":`) + `}`,
		"many members":       `{"face":"QUJD"` + many(`,"a":1`) + `}`,
		"one member again":   `{"face":"QUJD"` + many(`,"face":""`) + `}`,
		"members in members": `{"face":"QUJD","tracking":{"a":1` + many(`,"a":1`) + `}}`,
		"a long name":        `{"` + many("a") + `":1}`,
		"a long number":      `{"face":"QUJD","threshold":` + many("1") + `}`,
		"a long fraction":    `{"face":"QUJD","threshold":0.` + many("0") + `1}`,
		"a great exponent":   `{"face":"QUJD","threshold":1e` + many("9") + `}`,
		"trailing commas":    `{"face":"QUJD","tracking":{"a":[` + many("[1,],") + `]}}`,
	} {
		a := s.must(http.MethodPost, "/users/search", body)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge}, a.status, "%s: %s", name, a.body)
		require.Less(t, len(a.body), 4<<10, name)
	}
	require.Less(t, s.peakRSS(), int64(512<<20))
}

// flood opens connections from an address of its own, sends some text on each, and
// holds them. What becomes of them is of no interest.
func (s *server) flood(n int, text string) (all []net.Conn) {
	s.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: callTimeout}
	for range n {
		conn, err := dialer.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(s.t, err)
		s.t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetWriteDeadline(time.Now().Add(callTimeout))
		_, _ = io.WriteString(conn, text)
		all = append(all, conn)
	}
	return all
}

// One key that announces hundreds of large pictures and sends one byte of each, with
// all the time in the world, takes nothing from others; its uploads are ended.
func TestSlowUploadsShutNobodyOut(t *testing.T) {
	t.Parallel()
	slow, stanza := newKey(t, "slow", "--rate", "100", "--burst", "1000")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+stanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path, "IMAGO_SERVER_TIMEOUTS_BODY=10m", "IMAGO_SERVER_TIMEOUTS_SHUTDOWN=1s")
	before := s.rss()
	var conns []net.Conn
	for _, f := range []struct{ n, length int }{{60, 6_900_000}, {100, 100_000}, {240, 1000}} { // the memory to its last byte, then the places
		conns = append(conns, s.flood(f.n, fmt.Sprintf("POST /users/search HTTP/1.1\r\nHost: x\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n{", slow, f.length))...)
	}
	body := faceJSON(portrait(t))
	for range 10 {
		require.Equal(t, http.StatusNotFound, s.must(http.MethodPost, "/users/search", body).status)
		require.Equal(t, http.StatusNotFound, s.must(http.MethodPost, "/users/search", strings.Repeat(" ", 6_000_000)+body).status, "a large one")
	}
	require.Less(t, s.rss()-before, int64(200<<20))
	statuses := map[int]int{}
	for _, conn := range conns {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(callTimeout)))
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		statuses[r.StatusCode]++
	}
	require.Len(t, statuses, 2)
	require.Positive(t, statuses[http.StatusRequestTimeout])
	require.Positive(t, statuses[http.StatusServiceUnavailable])
}

// Connections without work give way: whatever they are held with, probes of health
// and clients with a key are served at once.
func TestThereIsAlwaysAWayIn(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_SERVER_TIMEOUTS_BODY=10m", "IMAGO_SERVER_TIMEOUTS_HEADER=5m", "IMAGO_SERVER_TIMEOUTS_SHUTDOWN=1s")
	const refused = "POST /users/search HTTP/1.1\r\nHost: x\r\nX-Api-Key: wrong\r\n"
	for name, text := range map[string]string{
		"refused bodies":         refused + "Content-Length: 6900000\r\n\r\n{",
		"refused bodies, chunks": refused + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"silence":                "",
		"half a header":          refused,
		"no end of headers":      refused + strings.Repeat("X-A: b\r\n", 100),
		"answers not taken":      strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 300),
		"answered":               "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		s.flood(1100, text)
		client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			r, err := client.Get(s.url + path)
			require.NoError(t, err, name)
			require.NoError(t, r.Body.Close())
			require.Equal(t, http.StatusOK, r.StatusCode, name)
		}
		require.Equal(t, http.StatusNotFound, s.search(portrait(t)).status, name)
	}
}

// A picture that costs a hundred times as much as others is paid for by its key.
func TestRateCountsCost(t *testing.T) {
	t.Parallel()
	key, stanza := newKey(t, "kiosk", "--rate", "0.5", "--burst", "4")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+stanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path, "IMAGO_SERVER_TIMEOUTS_REQUEST=3m")
	search := func(picture []byte) answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/users/search", strings.NewReader(faceJSON(picture)))
		require.NoError(t, err)
		req.Header.Set("x-api-key", key)
		a, err := s.do(req)
		require.NoError(t, err)
		return a
	}
	for range 2 {
		require.Equal(t, http.StatusNotFound, search(portrait(t)).status, "an ordinary picture costs one")
	}
	const side = 8000
	costly := pngOf(side, side, 16, 6, zeros(t, side*(side*8+1)))
	require.Less(t, len(costly), 1<<20)
	a := search(costly)
	require.Equal(t, http.StatusBadRequest, a.status, a.body)
	a = s.mustAs(key, "GET", "/users")
	require.Equal(t, http.StatusTooManyRequests, a.status)
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, wait, 4, "half a second of processor time costs two calls")
}

// What may be two requests to somebody in between is one here, and the last on its
// connection (RFC 9112, 6.1).
func TestRequestsAreNotSmuggled(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.Equal(t, http.StatusOK, s.enrol("alice", portrait(t)).status)
	body := faceJSON(portrait(t))
	second := "DELETE /users/alice HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + apiKey + "\r\n\r\n"
	line := "POST /users/search HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + apiKey + "\r\n"
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	for name, message := range map[string]string{
		"both":                  line + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
		"both, the other way":   line + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunks,
		"folded":                line + "Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" + chunks,
		"extensions":            line + "Transfer-Encoding: chunked\r\n\r\n" + strings.Replace(chunks, "\r\n", ";a=\"b\"\r\n", 1),
		"two lengths":           line + fmt.Sprintf("Content-Length: %d\r\nContent-Length: 4\r\n\r\n%s", len(body), body),
		"two lengths, one line": line + fmt.Sprintf("Content-Length: %d, 4\r\n\r\n%s", len(body), body),
		"an unknown coding":     line + "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n" + chunks,
		"an older version":      strings.Replace(line, "1.1", "1.0", 1) + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
		"no picture":            "DELETE /users/nobody HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + apiKey + "\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
	} {
		withConn(strings.TrimPrefix(s.url, "http://"), func(c *net.TCPConn) {
			_, err := io.WriteString(c, message+second)
			require.NoError(t, err, name)
			in := bufio.NewReader(c)
			r, err := http.ReadResponse(in, nil)
			require.NoError(t, err, name)
			require.True(t, r.Close, name)
			_, _ = io.Copy(io.Discard, r.Body) // what is left unread may have the connection reset
			_, err = http.ReadResponse(in, nil)
			require.Error(t, err, "%s: there is a second answer", name)
		})
	}
	require.Len(t, s.search(portrait(t)).matches(t), 1)
}
