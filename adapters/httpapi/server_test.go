package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/ports"
)

const readyWithin, readyEvery = 30 * time.Second, time.Millisecond

func TestRequestsInProgressAreLimited(t *testing.T) {
	begun, release := make(chan struct{}, 2), make(chan struct{})
	o := options(&fakeGallery{unenrol: func(context.Context, ports.Client, string, string) error {
		begun <- struct{}{}
		<-release
		return nil
	}})
	o.Server.Limits.InFlight = 2
	h := httpapi.New(o).Handler()
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() { do(h, request("DELETE", "/users/u1", "")) })
	}
	receive(t, begun)
	receive(t, begun)
	r := do(h, request("DELETE", "/users/u1", ""))
	require.Equal(t, "1", r.Header.Get("Retry-After"))
	require.Empty(t, requireProblem(t, 503, r))
	require.Equal(t, 200, do(h, request("GET", "/readyz", "")).StatusCode)
	require.Equal(t, 200, do(h, request("GET", "/healthz", "")).StatusCode)
	close(release)
	wait.Wait()
	require.Equal(t, 200, do(h, request("DELETE", "/users/u1", "")).StatusCode)
}

func TestConcurrentRequests(t *testing.T) {
	var enrolled atomic.Int64
	o := options(&fakeGallery{enrol: func(_ context.Context, _ ports.Client, _, userID string, p []byte) error {
		if string(p) != "picture of "+userID {
			return errors.New("mixed up")
		}
		enrolled.Add(1)
		return nil
	}})
	s, url := start(t, o)
	_ = s
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var wait sync.WaitGroup
	for worker := range 16 {
		wait.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("u%d-%d", worker, i)
				body := fmt.Sprintf(`{"face":"%s"}`, base64Of("picture of "+id))
				r, err := http.NewRequest("POST", url+"/users/"+id, strings.NewReader(body))
				if err != nil {
					return
				}
				r.Header.Set("X-Api-Key", theKey)
				if got, err := client.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, got.Body)
					_ = got.Body.Close()
				}
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, 320, enrolled.Load())
}

func TestCloseDrains(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	o := options(&fakeGallery{unenrol: func(context.Context, ports.Client, string, string) error {
		close(begun)
		<-release
		return nil
	}})
	o.Server.OpsListen = "127.0.0.1:0"
	s, _ := start(t, o)
	ops := "http://" + s.OpsAddr().String()
	conn := connect(t, s.Addr())
	send(t, conn, "DELETE /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: %s\n\n", theKey)
	receive(t, begun)

	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool { // not ready, though still serving
		r, err := client.Get(ops + "/readyz")
		return err == nil && r.Body.Close() == nil && r.StatusCode == 503
	}, readyWithin, readyEvery)
	require.Empty(t, closed)

	close(release)
	require.Equal(t, 200, answer(t, conn).StatusCode)
	require.NoError(t, receive(t, closed))
	_, err := client.Get(ops + "/readyz")
	require.Error(t, err)
	require.Nil(t, s.Addr())
	require.NoError(t, s.Close(t.Context()))
}

func TestCloseCutsOffWhatTakesTooLong(t *testing.T) {
	begun, ended, release := make(chan struct{}), make(chan error, 1), make(chan struct{})
	defer close(release)
	o := options(&fakeGallery{unenrol: func(ctx context.Context, _ ports.Client, _, _ string) error {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		<-release // one that takes its time all the same
		return ctx.Err()
	}})
	o.Server.Timeouts.Shutdown = 50 * time.Millisecond
	s, _ := start(t, o)
	conn := connect(t, s.Addr())
	// With a body on its way net/http does not notice by itself that the
	// connection is closed.
	send(t, conn, "DELETE /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: %s\nContent-Length: 5\n\n", theKey)
	receive(t, begun)
	require.NoError(t, s.Close(t.Context()))
	require.ErrorIs(t, receive(t, ended), context.Canceled)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(readyWithin)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestStartFailsWhenThePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	o := options(&fakeGallery{})
	o.Server.OpsListen = taken.Addr().String()
	s := httpapi.New(o)
	require.ErrorContains(t, s.Start(t.Context()), taken.Addr().String())
	require.Nil(t, s.Addr()) // the first listener was closed again
}

// A listener that breaks is reported once, so that the process can end.
func TestBrokenListenerIsReported(t *testing.T) {
	failed := make(chan error, 2)
	o := options(&fakeGallery{})
	o.Fail = func(err error) { failed <- err }
	s, _ := start(t, o)
	require.NoError(t, s.Listener().Close())
	require.ErrorIs(t, receive(t, failed), net.ErrClosed)
}

func unixOptions(path string) httpapi.Options {
	o := options(&fakeGallery{})
	o.Server = config.Server{Listen: "unix://" + path, SocketMode: "0660", Timeouts: o.Server.Timeouts, Limits: o.Server.Limits}
	return o
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.sock")
	s := httpapi.New(unixOptions(path))
	require.NoError(t, s.Start(t.Context()))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	conn := connect(t, s.Addr())
	send(t, conn, "GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n")
	require.Equal(t, 200, answer(t, conn).StatusCode)

	// A second process must not take the socket of a living one.
	require.ErrorContains(t, httpapi.New(unixOptions(path)).Start(t.Context()), "another process is listening")
	require.NoError(t, s.Close(t.Context()))
	require.NoFileExists(t, path)
}
