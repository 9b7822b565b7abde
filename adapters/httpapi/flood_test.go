package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/ports"
)

// asKey is head with another key.
func asKey(key string) string { return strings.Replace(head, theKey, key, 1) }

// endsWithin requires that the server closes a connection, whatever it says before.
func endsWithin(t *testing.T, conn net.Conn, d time.Duration) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(d)))
	_, err := io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it is still open")
}

// A key that announces many large bodies and sends none neither takes the memory nor
// the places of others, and is refused when it goes too far.
func TestSlowUploadsShutNobodyOut(t *testing.T) {
	o := options(&fakeGallery{})
	o.Keys = keys{theKey: {Name: "gateway"}, "slow": {Name: "slow"}}
	o.Server.Limits.InFlight, o.Server.Limits.BodyMiB = 128, 16
	var refused atomic.Int64
	o.Instrument = func(_, _ string, status int, _ time.Duration) {
		if status == http.StatusServiceUnavailable {
			refused.Add(1)
		}
	}
	s, url := start(t, o)
	for range 200 {
		send(t, connect(t, s.Addr()), asKey("slow")+"Content-Length: 6000000\n\n{")
	}
	require.Eventually(t, func() bool { return refused.Load() >= 200-96 }, readyWithin, readyEvery, "a key may take three quarters of 128")
	for range 20 {
		body := strings.Repeat(" ", 2<<20) + face() // grows as it arrives
		r, err := http.DefaultClient.Do(newRequest(t, url, body))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.StatusCode, text(t, r))
	}
}

func newRequest(t *testing.T, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/users/u1", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Api-Key", theKey)
	return r
}

// Where others were faster a body is refused in the middle, in the same words as
// before it is read: without an audit line, and the connection goes on.
func TestMemoryForBodiesIsTakenAsTheyArrive(t *testing.T) {
	o := options(&fakeGallery{})
	o.Keys = keys{theKey: {Name: "gateway"}, "other": {Name: "other"}}
	o.Server.Limits.ImageBytes, o.Server.Limits.BodyMiB = 64<<20, 16
	lines := make(chan ports.AuditEntry, 4)
	o.Audit.Write = func(e ports.AuditEntry) error { lines <- e; return nil }
	s, _ := start(t, o)
	body := face() + strings.Repeat(" ", 12<<20)
	first, second := connect(t, s.Addr()), connect(t, s.Addr())
	for conn, key := range map[net.Conn]string{first: theKey, second: "other"} { // there is room for either
		send(t, conn, asKey(key)+"Content-Length: %d\n\n%s", len(body), body[:1])
	}
	send(t, first, "%s", body[1:11<<20]) // as much as the server takes is in its memory or on the way there
	send(t, second, "%s", body[1:11<<20])
	in := map[net.Conn]*bufio.Reader{first: bufio.NewReader(first), second: bufio.NewReader(second)}
	refused := make(chan net.Conn, 2)
	for conn := range in {
		go func() {
			if _, err := in[conn].Peek(1); err == nil {
				refused <- conn
			}
		}()
	}
	loser := receive(t, refused) // nobody is answered before the end of the body but who is refused
	r, err := http.ReadResponse(in[loser], nil)
	require.NoError(t, err)
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	requireProblem(t, http.StatusServiceUnavailable, r)
	winner := first
	if loser == first {
		winner = second
	}
	for _, conn := range []net.Conn{winner, loser} {
		send(t, conn, "%s", body[11<<20:])
	}
	require.Equal(t, winner, receive(t, refused))
	r, err = http.ReadResponse(in[winner], nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode)
	send(t, loser, asKey(theKey)+"Content-Length: %d\n\n%s", len(face()), face())
	r, err = http.ReadResponse(in[loser], nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Len(t, lines, 2)
}

// Whatever connections are held with, there is always a way in: for a probe of
// health and for a key.
func TestConnectionsGiveWay(t *testing.T) {
	for name, hold := range map[string]string{
		"silence":             "",
		"half a header":       "GET /users HTTP/1.1\nHost: x\n",
		"a refused body":      asKey("wrong") + "Content-Length: 5000000\n\n{",
		"an endless body":     asKey("wrong") + "Transfer-Encoding: chunked\n\n5\nhello\n",
		"answers not taken":   strings.Repeat("GET /openapi.yaml HTTP/1.1\nHost: x\n\n", 200),
		"an answered request": "GET /healthz HTTP/1.1\nHost: x\n\n",
		"a body with a key":   head + "Content-Length: 5000000\n\n{",
	} {
		t.Run(name, func(t *testing.T) {
			o := options(&fakeGallery{})
			o.Keys = keys{theKey: {Name: "gateway"}, "other": {Name: "other"}}
			o.Server.Limits.Connections = 16
			o.Server.Timeouts.Header, o.Server.Timeouts.Body, o.Server.Timeouts.Shutdown = time.Minute, time.Hour, 0
			s, _ := start(t, o)
			for range 64 {
				conn := connect(t, s.Addr())
				_ = conn.SetWriteDeadline(time.Now().Add(readyWithin))
				_, _ = io.WriteString(conn, strings.ReplaceAll(hold, "\n", "\r\n")) // it may have been closed already
			}
			for _, ask := range []string{
				"GET /healthz HTTP/1.1\nHost: x\n\n", "GET /readyz HTTP/1.1\nHost: x\n\n",
				fmt.Sprintf(asKey("other")+"Content-Length: %d\n\n%s", len(face()), face()),
			} {
				conn := connect(t, s.Addr())
				require.NoError(t, conn.SetDeadline(time.Now().Add(readyWithin)))
				send(t, conn, "%s", ask)
				require.Equal(t, http.StatusOK, answer(t, conn).StatusCode)
			}
		})
	}
}

// A client that sends a refused body slowly gets to its end, and to its answer.
func TestLingeringFollowsASlowClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header string
		status int
	}{
		"refused by its header":   {asKey("wrong") + "Content-Length: %d\n\n", http.StatusUnauthorized},
		"refused when it is long": {head + "Transfer-Encoding: chunked\n\n%x\n", http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(&fakeGallery{})
			o.Server.Limits.ImageBytes, o.Server.Timeouts.Body = 1<<20, time.Minute
			s, _ := start(t, o)
			conn := connect(t, s.Addr())
			part, parts := strings.Repeat(" ", 384<<10), 8
			send(t, conn, c.header, parts*len(part))
			for range parts {
				time.Sleep(time.Second) // all together longer than silence is waited for
				send(t, conn, "%s", part)
			}
			requireProblem(t, c.status, answer(t, conn))
		})
	}
}

// What follows a refusal is thrown away for a moment only.
func TestLingeringIsShort(t *testing.T) {
	t.Parallel()
	o := options(&fakeGallery{})
	o.Server.Timeouts.Body, o.Server.Timeouts.Shutdown = time.Hour, 0
	s, _ := start(t, o)
	conn := connect(t, s.Addr())
	send(t, conn, asKey("wrong")+"Content-Length: 5000000\n\n{")
	requireProblem(t, 401, answer(t, conn))
	endsWithin(t, conn, readyWithin)
}

// An address whose connections are kept for refused bodies has no more of them kept.
func TestLingeringIsBoundedByAddress(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Limits.Connections = 16
	o.Server.Timeouts.Shutdown = 0
	s, _ := start(t, o)
	closes := map[bool]int{}
	for range 12 {
		conn := connect(t, s.Addr())
		send(t, conn, asKey("")+"Content-Length: 5000\n\n{")
		r := answer(t, conn)
		requireProblem(t, 401, r)
		closes[r.Close]++
	}
	require.Positive(t, closes[false])
	require.Positive(t, closes[true])
}

// A request of whose end others may have another opinion is the last on its
// connection: what follows it, a second request in the eyes of some, is not served.
func TestNothingFollowsAnAmbiguousRequest(t *testing.T) {
	const chunks = "%x\n%s\n0\n\n"
	chunked := fmt.Sprintf(chunks, len(face()), face())
	for name, c := range map[string]struct {
		message string
		want    int
	}{
		"length, then chunks":    {head + "Content-Length: 4\nTransfer-Encoding: chunked\n\n" + chunked, 200},
		"chunks, then length":    {head + "Transfer-Encoding: chunked\nContent-Length: 4\n\n" + chunked, 200},
		"chunks":                 {head + "Transfer-Encoding: chunked\n\n" + chunked, 200},
		"chunks on a new line":   {head + "Transfer-Encoding:\n chunked\nContent-Length: 4\n\n" + chunked, 200},
		"chunks with extensions": {head + "Transfer-Encoding: chunked\n\n" + strings.Replace(chunked, "\n", ";a=b\n", 1), 200},
		"HTTP/1.0 with chunks":   {strings.Replace(head, "1.1", "1.0", 1) + "Connection: keep-alive\nTransfer-Encoding: chunked\nContent-Length: 0\n\n", 400},
		"HTTP/1.0":               {strings.Replace(head, "1.1", "1.0", 1) + fmt.Sprintf("Connection: keep-alive\nContent-Length: %d\n\n%s", len(face()), face()), 200},
		"two lengths":            {head + fmt.Sprintf("Content-Length: %d\nContent-Length: 4\n\n%s", len(face()), face()), 400},
		"lengths in one line":    {head + fmt.Sprintf("Content-Length: %d, %d\n\n%s", len(face()), len(face()), face()), 400},
		"a length with a sign":   {head + fmt.Sprintf("Content-Length: +%d\n\n%s", len(face()), face()), 400},
		"a space before a colon": {head + fmt.Sprintf("Content-Length : %d\n\n%s", len(face()), face()), 400},
		"two codings":            {head + "Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n" + chunked, 501},
		"chunks twice":           {head + "Transfer-Encoding: chunked, chunked\n\n" + chunked, 501},
		"another coding":         {head + "Transfer-Encoding: gzip, chunked\n\n" + chunked, 501},
		"a coding misspelt":      {head + "Transfer-Encoding: xchunked\nContent-Length: 4\n\n" + chunked, 501},
		"refused":                {asKey("wrong") + "Content-Length: 4\nTransfer-Encoding: chunked\n\n" + chunked, 401},
		"without a picture":      {strings.Replace(head, "POST", "DELETE", 1) + "Content-Length: 4\nTransfer-Encoding: chunked\n\n" + chunked, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var smuggled atomic.Bool
			o := options(&fakeGallery{unenrol: func(_ context.Context, _ ports.Client, _, userID string) error {
				smuggled.Store(smuggled.Load() || userID == "smuggled")
				return nil
			}})
			s, _ := start(t, o)
			conn := connect(t, s.Addr())
			send(t, conn, c.message+"DELETE /users/smuggled HTTP/1.1\nHost: x\nX-Api-Key: "+theKey+"\n\n")
			in := bufio.NewReader(conn)
			r, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, c.want, r.StatusCode)
			require.True(t, r.Close)
			_, err = io.Copy(io.Discard, r.Body)
			require.NoError(t, err)
			_, err = http.ReadResponse(in, nil)
			require.Error(t, err, "there is a second answer")
			require.False(t, smuggled.Load())
		})
	}
	// Lengths that agree leave no doubt.
	s, _ := start(t, options(&fakeGallery{}))
	conn := connect(t, s.Addr())
	send(t, conn, "%s", fmt.Sprintf(head+"Content-Length: %d\nContent-Length: %d\n\n%s", len(face()), len(face()), face()))
	r := answer(t, conn)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.False(t, r.Close)
}

// charging are keys with a function for Charge.
type charging struct {
	keys
	charge func(client string, calls int)
}

func (c charging) Charge(client string, calls int) { c.charge(client, calls) }

// A picture that took long is paid for, one that did not is not, and so is one that
// was refused in the end.
func TestCostlyPicturesAreCharged(t *testing.T) {
	type charge struct {
		client string
		calls  int
	}
	var charged []charge
	var took time.Duration
	var fails error
	o := options(&fakeGallery{enrol: func(ctx context.Context, _ ports.Client, _, _ string, _ []byte) error {
		httpapi.Spend(ctx, took/2)
		httpapi.Spend(ctx, took-took/2)
		return fails
	}})
	o.Keys = charging{defaultKeys(), func(client string, calls int) { charged = append(charged, charge{client, calls}) }}
	h := httpapi.New(o).Handler()
	for _, c := range []struct {
		took  time.Duration
		fails error
		want  []charge
	}{
		{took: 200 * time.Millisecond},
		{took: time.Second, want: []charge{{"gateway", 4}}},
		{took: 4700 * time.Millisecond, fails: ports.ErrInvalid, want: []charge{{"gateway", 18}}},
	} {
		charged, took, fails = nil, c.took, c.fails
		do(h, request("POST", "/users/u1", face()))
		require.Equal(t, c.want, charged)
	}
	httpapi.Spend(t.Context(), time.Hour) // a command's, which nobody is charged for
}
