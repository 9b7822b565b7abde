package httpapi_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
)

// During the delay readiness is false and everything else goes on, on old and on
// new connections, which end behind their next answer.
func TestDrainDelay(t *testing.T) {
	o := options(&fakeGallery{})
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
