package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/ports"
	"imago/test/fixture"
)

// unreadable is a body that must not be read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, errors.New("unreadable")
}

// A request with a picture that there is no room for is refused before its body
// is read, without an audit line and with one line in the log for many.
func TestPicturesAreRefusedBeforeTheyAreRead(t *testing.T) {
	for _, target := range []string{"POST /users/u1", "POST /users/blacklist/u1", "POST /users/search", "PUT /users/u1", "POST /users/u1/faces", "POST /faces/detect"} {
		t.Run(target, func(t *testing.T) {
			var log fixture.Log
			o := options(&fakeGallery{})
			o.Log = log.Logger()
			o.Reserve = func(string) (func(), error) { return nil, ports.ErrOverloaded }
			o.Audit.Write = func(ports.AuditEntry) error { t.Error("an audit line"); return nil }
			h := httpapi.New(o).Handler()
			method, path, _ := strings.Cut(target, " ")
			began := time.Now()
			for range 10 {
				r := request(method, path, face())
				r.Body = io.NopCloser(unreadable{t})
				r.Header.Set("Expect", "100-continue") // nobody takes the body behind the answer then
				got := do(h, r)
				require.Equal(t, "1", got.Header.Get("Retry-After"))
				require.Empty(t, requireProblem(t, 503, got))
			}
			told := strings.Count(log.String(), "overloaded: rejecting")
			require.Positive(t, told)
			require.LessOrEqual(t, told, 1+int(time.Since(began)/time.Second), "once a second")
			require.Equal(t, 10, strings.Count(log.String(), "status=503"))
		})
	}
	o := options(&fakeGallery{})
	o.Reserve = func(string) (func(), error) { return nil, ports.ErrOverloaded }
	h := httpapi.New(o).Handler()
	require.Equal(t, 200, do(h, request("DELETE", "/users/u1", "")).StatusCode, "what has no picture is served")
	require.Equal(t, 200, do(h, request("GET", "/users", "")).StatusCode)
}

// Large bodies are refused before the many that small ones may be; a single one
// passes however large.
func TestBodiesInProgressAreLimitedInBytes(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	o := options(&fakeGallery{enrol: func(context.Context, ports.Client, string, string, []byte) error {
		begun <- struct{}{}
		<-release
		return nil
	}})
	o.Server.Limits.ImageBytes, o.Server.Limits.BodyMiB = 64<<20, 16
	h := httpapi.New(o).Handler()
	large := face() + strings.Repeat(" ", 20<<20)
	statuses := make(chan int, 2)
	go func() { statuses <- do(h, request("POST", "/users/u1", large)).StatusCode }()
	receive(t, begun)
	r := do(h, request("POST", "/users/u2", face()))
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	requireProblem(t, 503, r)
	release <- struct{}{}
	require.Equal(t, 200, receive(t, statuses))

	go func() { statuses <- do(h, request("POST", "/users/u2", face())).StatusCode }()
	receive(t, begun)
	chunked := request("POST", "/users/u3", face())
	chunked.ContentLength = -1
	requireProblem(t, 503, do(h, chunked)) // what does not say its size counts as the largest
	close(release)
	require.Equal(t, 200, receive(t, statuses))
}

// A reservation is held until the work is done, however it ends.
func TestReservationsAreReleased(t *testing.T) {
	held, seen := 0, 0
	for name, g := range map[string]httpapi.Gallery{
		"done":    &fakeGallery{enrol: func(context.Context, ports.Client, string, string, []byte) error { seen = held; return nil }},
		"refused": failing(ports.ErrInvalid),
		"panic":   &fakeGallery{enrol: func(context.Context, ports.Client, string, string, []byte) error { panic("bug") }},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(g)
			o.Reserve = func(string) (func(), error) { held++; return func() { held-- }, nil }
			do(httpapi.New(o).Handler(), request("POST", "/users/u1", face()))
			require.Zero(t, held)
		})
	}
	require.Equal(t, 1, seen, "it is held during the work")
}

// The refusal reaches a client that is still sending its picture, and the
// connection can be used again.
func TestOverloadIsToldWhileThePictureIsSent(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	o := options(&fakeGallery{})
	o.Reserve = func(string) (func(), error) {
		if full.Load() {
			return nil, ports.ErrOverloaded
		}
		return func() {}, nil
	}
	s, _ := start(t, o)
	conn := connect(t, s.Addr())
	body := face() + strings.Repeat(" ", 1<<20)
	send(t, conn, head+"Content-Length: %d\n\n%s", len(body), body[:len(body)/2])
	r := answer(t, conn)
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	require.False(t, r.Close)
	requireProblem(t, http.StatusServiceUnavailable, r)
	send(t, conn, "%s", body[len(body)/2:])
	full.Store(false)
	send(t, conn, "%s", fmt.Sprintf(head+"Content-Length: %d\n\n%s", len(face()), face()))
	require.Equal(t, http.StatusOK, answer(t, conn).StatusCode)
}
