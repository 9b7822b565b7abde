package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// abuse is what a peer does with a connection of its own. Errors are its own
// affair: the server may have hung up.
type abuse func(address string, a fixture.Authority)

// abuses are the ways in which connections end that are not meant to.
var abuses = map[string]abuse{
	"hangs up at once": func(address string, _ fixture.Authority) {
		withConn(address, func(*net.TCPConn) {})
	},
	"speaks plain HTTP": func(address string, _ fixture.Authority) {
		withConn(address, func(c *net.TCPConn) { converseWith(c, "GET /readyz HTTP/1.1\r\nHost: imago\r\n\r\n") })
	},
	"stops in the middle of its hello": func(address string, _ fixture.Authority) {
		withConn(address, func(c *net.TCPConn) { _, _ = c.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")) })
	},
	"does not trust the certificate": func(address string, _ fixture.Authority) {
		withConn(address, func(c *net.TCPConn) { _ = tls.Client(c, &tls.Config{ServerName: "127.0.0.1"}).Handshake() })
	},
	"asks for nothing": func(address string, a fixture.Authority) {
		withTLS(address, a, func(*tls.Conn, *net.TCPConn) {})
	},
	"presents a wrong key": func(address string, a fixture.Authority) {
		withTLS(address, a, func(c *tls.Conn, _ *net.TCPConn) {
			converseWith(c, "GET /users HTTP/1.1\r\nHost: imago\r\nX-Api-Key: wrong\r\n\r\n")
		})
	},
	"breaks its upload off": func(address string, a fixture.Authority) {
		withTLS(address, a, func(c *tls.Conn, raw *net.TCPConn) {
			_, _ = io.WriteString(c, upload(200_000, 100_000))
			_ = raw.SetLinger(0) // a reset, as of a phone that loses its network
		})
	},
	"does not wait for the answer": func(address string, a fixture.Authority) {
		withTLS(address, a, func(c *tls.Conn, raw *net.TCPConn) {
			_, _ = io.WriteString(c, upload(2_000, 2_000))
			_ = raw.SetLinger(0)
		})
	},
}

// upload is a search whose body is announced with one length and has another.
func upload(announced, sent int) string {
	head := fmt.Sprintf("POST /users/search HTTP/1.1\r\nHost: imago\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n", apiKey, announced)
	return head + `{"face":"` + strings.Repeat("A", sent-len(`{"face":""}`)) + `"}`
}

func withConn(address string, use func(*net.TCPConn)) {
	c, err := net.DialTimeout("tcp", address, callTimeout)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(callTimeout))
	use(c.(*net.TCPConn))
}

func withTLS(address string, a fixture.Authority, use func(*tls.Conn, *net.TCPConn)) {
	withConn(address, func(raw *net.TCPConn) {
		config := a.Client()
		config.ServerName = "127.0.0.1"
		if c := tls.Client(raw, config); c.Handshake() == nil {
			use(c, raw)
		}
	})
}

// converseWith sends something and takes the beginning of what comes back.
func converseWith(c io.ReadWriter, text string) {
	_, _ = io.WriteString(c, text)
	_, _ = c.Read(make([]byte, 512))
}

// However connections end, refused, broken off, never begun, the server is left
// with the files and the goroutines that it had before.
func TestNothingStaysOpen(t *testing.T) {
	t.Parallel()
	a := fixture.NewAuthority(t, "test authority")
	s := startTLS(t, a, t.TempDir(), nil, "IMAGO_SERVER_OPS_LISTEN=", "IMAGO_INFERENCE_DETECT_SIZES=160", "IMAGO_INFERENCE_REFINE=false",
		"IMAGO_SERVER_TIMEOUTS_BODY=2s", "IMAGO_SERVER_TIMEOUTS_HEADER=2s")
	s.waitReady()
	require.Equal(t, http.StatusOK, s.enrol("alice", portrait(t)).status)
	watch := &soak{t: t, s: s}
	baseline := watch.resident()

	each := mutations(t) / (4 * len(abuses))
	address := strings.TrimPrefix(s.url, "https://")
	var all sync.WaitGroup
	for _, act := range abuses {
		all.Go(func() {
			for range each {
				act(address, a)
			}
		})
	}
	all.Wait()
	after := watch.settled(baseline)
	t.Logf("%d connections in %d ways; before: %s; after: %s", each*len(abuses), len(abuses), baseline, after)
	require.Equal(t, http.StatusOK, s.search(portrait(t)).status)
	require.NotContains(t, s.log.String(), "panic")
}
