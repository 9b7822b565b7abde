package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
)

// During the delay readiness is false and everything else goes on, on old and on
// new connections, which end behind their next answer.
func TestDrainDelay(t *testing.T) {
	o := options(&gallery{})
	o.Server.Timeouts.DrainDelay = time.Hour
	s := httpapi.New(o)
	require.NoError(t, s.Start(t.Context()))
	addr := s.Addr()
	old := connect(t, addr)
	in := bufio.NewReader(old)
	ask := func() *http.Response {
		send(t, old, "DELETE /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: %s\n\n", theKey)
		r, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.StatusCode)
		return r
	}
	require.False(t, ask().Close)

	ctx, stop := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- s.Close(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		r, err := client.Get("http://" + addr.String() + "/readyz")
		return err == nil && r.Body.Close() == nil && r.StatusCode == http.StatusServiceUnavailable
	}, readyWithin, readyEvery)
	require.True(t, ask().Close)
	fresh := connect(t, addr)
	send(t, fresh, "DELETE /users/u1 HTTP/1.1\nHost: x\nX-Api-Key: %s\n\n", theKey)
	r := answer(t, fresh)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.True(t, r.Close)
	require.Empty(t, closed)

	stop()
	require.NoError(t, receive(t, closed))
	_, err := net.Dial(addr.Network(), addr.String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// A listener that retires takes no new connection, and waits until those that are
// there have been accepted.
func TestRetire(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "imago.sock")
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "unix://" + socket} {
		t.Run(address, func(t *testing.T) {
			l, err := httpapi.Listen(t.Context(), address, config.Default().Server.SocketMode)
			noIPv6 := errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
			if noIPv6 && strings.HasPrefix(address, "[") && os.Getenv("CI") == "" {
				t.Skip("no IPv6 here")
			}
			require.NoError(t, err)
			defer func() { _ = l.Close() }()
			const early = 8
			for range early {
				connect(t, l.Addr())
			}
			retired, began := make(chan struct{}), time.Now()
			go func() { httpapi.Retire(t.Context(), l); close(retired) }()
			late := net.Dialer{Timeout: 100 * time.Millisecond}
			require.Eventually(t, func() bool {
				conn, err := late.Dial(l.Addr().Network(), l.Addr().String())
				if err == nil {
					_ = conn.Close()
				}
				return err != nil
			}, readyWithin, readyEvery)
			select {
			case <-retired:
				require.Greater(t, time.Since(began), time.Second, "connections are left behind")
			default:
			}
			go func() { <-retired; _ = l.Close() }()
			accepted := 0
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_ = conn.Close()
				accepted++
			}
			receive(t, retired)
			require.GreaterOrEqual(t, accepted, early)
		})
	}
}
