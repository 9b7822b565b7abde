package body

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
)

// A body that arrives in drops is ended long before the time for bodies is over, and
// one that arrives at the least rate is not.
func TestUploadsHaveALeastRate(t *testing.T) {
	bodies := NewReader(config.Default().Server.Limits, 10*time.Minute)
	bodies.Grace = 100 * time.Millisecond
	results := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a, err := bodies.Allocate(r, "client")
		if err == nil {
			defer a.Release()
			_, err = bodies.Read(w, r, start, a)
		}
		results <- err
	}))
	defer server.Close()
	upload := func(length int, body string) net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", length, body)
		require.NoError(t, err)
		return conn
	}
	upload(1_000_000, "{")
	require.ErrorIs(t, <-results, ErrSlow)

	// What arrives early pays for what is late: 8 MB are 17 minutes' worth.
	conn := upload(8<<20, strings.Repeat(" ", 8<<20-1))
	time.Sleep(300 * time.Millisecond)
	_, err := conn.Write([]byte(" "))
	require.NoError(t, err)
	require.NoError(t, <-results)
}
