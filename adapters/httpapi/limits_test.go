package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/ports"
	"imago/test/fixture"
)

const tooMany = `{"status":429,"title":"Too Many Requests","detail":"Too many requests were sent. Try again later.",` +
	`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/429"}`

// from makes a request with a key from an address.
func from(address, key string) *http.Request {
	r := request("DELETE", "/users/u1", "")
	r.RemoteAddr = address
	r.Header.Set("X-Api-Key", key)
	return r
}

// others returns the statuses of four addresses. Any one of them shares a bucket
// with an address that has been used up with a chance of 1 in 4096.
func others(status func(address string) int) (all []int) {
	for _, address := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"} {
		all = append(all, status(address))
	}
	return all
}

// An attacker is told 401, then 429 with a time. A client with a right key
// behind the same address does not notice.
func TestFloodOfWrongKeys(t *testing.T) {
	var log fixture.Log
	o := options(&fakeGallery{})
	o.Log = log.Logger()
	h := httpapi.New(o).Handler()
	const gateway = "192.0.2.1:1"
	statuses := map[int]int{}
	for i := range 200 {
		r := do(h, from(gateway, fmt.Sprintf("guess-%d", i)))
		statuses[r.StatusCode]++
		if r.StatusCode == http.StatusTooManyRequests {
			require.Equal(t, "1", r.Header.Get("Retry-After"))
			require.Equal(t, tooMany, text(t, r))
		}
		require.Equal(t, 200, do(h, from(gateway, theKey)).StatusCode)
	}
	require.Len(t, statuses, 2)
	require.GreaterOrEqual(t, statuses[401], 20)
	require.GreaterOrEqual(t, statuses[429], 150)
	require.Contains(t, others(func(address string) int { return do(h, from(address+":1", "guess")).StatusCode }), 401, "nobody else pays")
	require.Equal(t, 401, do(h, from(gateway, "")).StatusCode, "no key is no guess")

	require.Equal(t, 1, strings.Count(log.String(), "too many invalid API keys"), "told once")
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "status=429") {
			require.Contains(t, line, "level=DEBUG", "a flood does not fill the log")
			require.Contains(t, line, "remote=192.0.2.1")
		}
	}
	require.NotContains(t, log.String(), "guess-")
}

// The address that counts is the one behind a trusted proxy.
func TestFloodBehindAProxy(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.TrustedProxies = []string{"192.0.2.1"}
	h := httpapi.New(o).Handler()
	status := func(client string) int {
		r := from("192.0.2.1:1", "guess")
		r.Header.Set("X-Forwarded-For", client)
		return do(h, r).StatusCode
	}
	answers := map[int]int{}
	for range 100 {
		answers[status("203.0.113.5")]++
	}
	require.Greater(t, answers[429], 50)
	require.Contains(t, others(status), 401)
}

// limiting answers for every key what it says.
type limiting struct{ err error }

func (l limiting) Authenticate(string) (ports.Client, error) {
	return ports.Client{Name: "busy"}, l.err
}

func (limiting) Charge(string, int) {}

func TestRateLimitedKey(t *testing.T) {
	for after, want := range map[time.Duration]string{
		time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 90 * time.Second: "90",
	} {
		var log fixture.Log
		o := options(&fakeGallery{})
		o.Keys, o.Log = limiting{fmt.Errorf("keys: %w", &ports.RateLimited{After: after})}, log.Logger()
		h := httpapi.New(o).Handler()
		for _, path := range []string{"/users/u1", "/users/blacklist/u1"} {
			r := do(h, request("DELETE", path, ""))
			require.Equal(t, want, r.Header.Get("Retry-After"))
			require.Equal(t, http.StatusTooManyRequests, r.StatusCode)
			require.Equal(t, tooMany, text(t, r))
		}
		require.Contains(t, log.String(), "level=INFO")
		require.Contains(t, log.String(), "client=busy")
	}
}

// The cap on connections: one more waits, is served when another goes, and idle
// ones go when somebody waits.
func TestConnectionsAreCapped(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Limits.Connections = 2
	s, _ := start(t, o)
	healthy := func(conn net.Conn) {
		t.Helper()
		require.NoError(t, conn.SetDeadline(time.Now().Add(readyWithin)))
		send(t, conn, "GET /healthz HTTP/1.1\nHost: x\n\n")
		require.Equal(t, 200, answer(t, conn).StatusCode)
	}
	healthy(connect(t, s.Addr()))
	healthy(connect(t, s.Addr()))
	for range 3 { // the others are idle and have to go
		healthy(connect(t, s.Addr()))
	}
}

// Connections on which nothing is sent are no way to shut others out: the time
// for the header ends them.
func TestSilentConnectionsGiveTheirPlaceBack(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Limits.Connections = 4
	o.Server.Timeouts.Header = 100 * time.Millisecond
	s, _ := start(t, o)
	for range 4 {
		connect(t, s.Addr())
	}
	client := &http.Client{Timeout: readyWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool { // it may itself be too slow with its header
		r, err := client.Get("http://" + s.Addr().String() + "/healthz")
		return err == nil && r.Body.Close() == nil && r.StatusCode == 200
	}, readyWithin, readyEvery)
}

// A client that does not read its answers is cut off, and holds no place in
// which requests are worked on for longer than that.
func TestSlowReaderIsBounded(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Timeouts.Body, o.Server.Timeouts.Request = 100*time.Millisecond, 100*time.Millisecond
	s := httpapi.New(o)
	s.SetWriteGrace(100 * time.Millisecond)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	conn := connect(t, s.Addr()).(*net.TCPConn)
	require.NoError(t, conn.SetReadBuffer(4096))
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(readyWithin)))
	var err error
	for err == nil { // until the server closes
		_, err = io.WriteString(conn, strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 100))
	}
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server gave up: %v", err)
	_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
}
