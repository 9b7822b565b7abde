package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// connect opens a connection that is closed with the test.
func connect(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// send writes raw HTTP.
func send(t *testing.T, conn net.Conn, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(conn, strings.ReplaceAll(format, "\n", "\r\n"), args...)
	require.NoError(t, err)
}

// answer reads one response from a connection.
func answer(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	return r
}

const head = "POST /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: " + theKey + "\nContent-Type: application/json\n"

func TestHangingUpCancelsTheWork(t *testing.T) {
	for name, message := range map[string]string{
		"enrol":   fmt.Sprintf(head+"Content-Length: %d\n\n%s", len(face()), face()),
		"unenrol": "DELETE /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: " + theKey + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended, statuses := make(chan struct{}), make(chan error, 1), make(chan int, 1)
			work := func(ctx context.Context) error {
				close(begun)
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			}
			o := options(&fakeGallery{
				enrol:   func(ctx context.Context, _ ports.Client, _, _ string, _ []byte) error { return work(ctx) },
				unenrol: func(ctx context.Context, _ ports.Client, _, _ string) error { return work(ctx) },
			})
			o.Server.Timeouts.Request = time.Minute
			o.Instrument = func(_, _ string, status int, _ time.Duration) { statuses <- status }
			s, _ := start(t, o)
			conn := connect(t, s.Addr())
			send(t, conn, message)
			receive(t, begun)
			require.NoError(t, conn.Close())
			require.ErrorIs(t, receive(t, ended), context.Canceled)
			require.Equal(t, 499, receive(t, statuses))
		})
	}
}

// The time for the body must not end the work that follows it; net/http lifts
// the read deadline behind the body.
func TestWorkMayTakeLongerThanTheBody(t *testing.T) {
	for name, message := range map[string]string{
		"enrol":   fmt.Sprintf(head+"Content-Length: %d\n\n%s", len(face()), face()),
		"unenrol": "DELETE /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: " + theKey + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			work := func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
			o := options(&fakeGallery{
				enrol:   func(ctx context.Context, _ ports.Client, _, _ string, _ []byte) error { return work(ctx) },
				unenrol: func(ctx context.Context, _ ports.Client, _, _ string) error { return work(ctx) },
			})
			o.Server.Timeouts.Body, o.Server.Timeouts.Request = 100*time.Millisecond, 300*time.Millisecond
			s, _ := start(t, o)
			conn := connect(t, s.Addr())
			send(t, conn, message)
			require.Empty(t, requireProblem(t, http.StatusGatewayTimeout, answer(t, conn)))
		})
	}
}

func TestSlowBodyIsBounded(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Timeouts.Body = 100 * time.Millisecond
	s, _ := start(t, o)
	conn := connect(t, s.Addr())
	send(t, conn, head+"Content-Length: 1000\n\n{")
	r := answer(t, conn)
	require.Empty(t, requireProblem(t, http.StatusRequestTimeout, r))
	require.True(t, r.Close)
}

func TestBodyThatEndsEarly(t *testing.T) {
	s, _ := start(t, options(&fakeGallery{}))
	conn := connect(t, s.Addr())
	send(t, conn, head+"Content-Length: 1000\n\n{")
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	requireProblem(t, 499, answer(t, conn))
}

func TestMalformedChunks(t *testing.T) {
	s, _ := start(t, options(&fakeGallery{}))
	conn := connect(t, s.Addr())
	send(t, conn, head+"Transfer-Encoding: chunked\n\nnonsense\n")
	require.Equal(t, []string{"the request body cannot be read"}, requireProblem(t, 400, answer(t, conn)))
}

func TestExpectContinue(t *testing.T) {
	s, _ := start(t, options(&fakeGallery{}))
	conn := connect(t, s.Addr())
	send(t, conn, head+"Content-Length: %d\nExpect: 100-continue\n\n", len(face()))
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	send(t, conn, "%s", face())
	r, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
}

// A client that asks first is told no before it sends a picture, and nobody
// waits for the picture then.
func TestExpectContinueIsRefusedWithoutABody(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Timeouts.Body, o.Server.Timeouts.Shutdown = time.Hour, 0
	s, _ := start(t, o)
	conn := connect(t, s.Addr())
	send(t, conn, strings.Replace(head, theKey, "wrong", 1)+"Content-Length: 5000000\nExpect: 100-continue\n\n")
	in := bufio.NewReader(conn)
	r, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	requireProblem(t, 401, r)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(readyWithin)))
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

// A client that sends everything before it reads gets its answer, not a reset,
// and can go on using the connection.
func TestRefusalOfALargeBodyReachesTheClient(t *testing.T) {
	s, _ := start(t, options(&fakeGallery{}))
	conn := connect(t, s.Addr())
	in := bufio.NewReader(conn)
	for range 2 {
		body := strings.Repeat("x", 8<<20)
		send(t, conn, strings.Replace(head, theKey, "wrong", 1)+"Content-Length: %d\n\n", len(body))
		send(t, conn, "%s", body)
		r, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.False(t, r.Close)
		requireProblem(t, 401, r)
	}
}

// A refusal does not wait for the body, be it small or large.
func TestRefusalComesAtOnce(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Timeouts.Body = time.Hour
	o.Server.Timeouts.Shutdown = 0
	for length, wantClose := range map[string]bool{"1000": false, "5000000": false, "500000000": true} {
		s, _ := start(t, o)
		conn := connect(t, s.Addr())
		send(t, conn, strings.Replace(head, theKey, "wrong", 1)+"Content-Length: %s\n\n", length)
		r := answer(t, conn)
		requireProblem(t, 401, r)
		require.Equal(t, wantClose, r.Close)
	}
}

// What is thrown away is bounded: an endless body ends with the connection.
func TestRefusalDoesNotReadForEver(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Limits.ImageBytes = 1024
	s, _ := start(t, o)
	conn := connect(t, s.Addr())
	send(t, conn, strings.Replace(head, theKey, "wrong", 1)+"Transfer-Encoding: chunked\n\n")
	chunk := []byte(fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20)))
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = conn.Write(chunk)
	}
	require.Error(t, err)
}

func TestHeadersAreBounded(t *testing.T) {
	s, _ := start(t, options(&fakeGallery{}))
	conn := connect(t, s.Addr())
	send(t, conn, "GET /healthz HTTP/1.1\nHost: x\nX-Long: %s\n\n", strings.Repeat("x", 30_000))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer(t, conn).StatusCode)
}
