package listener

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Drain waits until the connections in the queue have been accepted. A socket takes no
// new ones meanwhile.
func TestDrain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "imago.sock")
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "unix://" + socket} {
		t.Run(address, func(t *testing.T) {
			l, err := Open(t.Context(), address, "0660")
			noIPv6 := errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
			if noIPv6 && strings.HasPrefix(address, "[") && os.Getenv("CI") == "" {
				t.Skip("no IPv6 here")
			}
			require.NoError(t, err)
			defer func() { _ = l.Close() }()
			const early = 8
			for range early {
				conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
				require.NoError(t, err)
				defer func() { _ = conn.Close() }()
			}
			drained, began := make(chan struct{}), time.Now()
			go func() { Drain(t.Context(), l); close(drained) }()
			if strings.HasPrefix(address, "unix") {
				require.Eventually(t, func() bool {
					conn, err := net.Dial("unix", socket)
					if err == nil {
						_ = conn.Close()
					}
					return err != nil
				}, 30*time.Second, time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
			select {
			case <-drained:
				require.Greater(t, time.Since(began), time.Second, "connections are left behind")
			default:
			}
			go func() { <-drained; _ = l.Close() }()
			accepted := 0
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_ = conn.Close()
				accepted++
			}
			require.GreaterOrEqual(t, accepted, early)
		})
	}
}

// A queue that nobody empties holds up closing for a while only, and no longer than the
// context.
func TestDrainIsBounded(t *testing.T) {
	l, err := Open(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	Drain(ctx, l)
	require.Error(t, ctx.Err(), "it waits for the queue")
}
