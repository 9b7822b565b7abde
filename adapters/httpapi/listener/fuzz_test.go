package listener

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
)

// FuzzClientAddr: the address of a request is that of the peer or one that the
// headers name; an untrusted peer's headers mean nothing; and where the chain of
// trusted proxies ends at somebody, nothing that they add in front changes who.
func FuzzClientAddr(f *testing.F) {
	for _, seed := range [][3]string{
		{"192.0.2.1:80", "198.51.100.7", ""}, {"10.0.0.1:1", "198.51.100.7, 10.0.0.2", "203.0.113.9"}, {"[::1]:5", "[2001:db8::1]:99, ::1", ""},
		{"@", "", "198.51.100.7"}, {"", "10.0.0.1,,10.0.0.2", ""}, {"10.1.1.1:1", "::ffff:10.0.0.1, fe80::1%eth0", "x"}, {"[::ffff:10.0.0.9]:1", "unknown, 10.0.0.3", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	p := NewProxies([]string{"10.0.0.0/8", "::1", "2001:db8::/32", config.UnixProxy})
	f.Fuzz(func(t *testing.T, peer, forwarded, real string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
		before := p.ClientAddr(r)
		require.Equal(t, parseAddress(peer), before, "without headers it is the peer")
		r.Header.Set("X-Real-Ip", real)
		r.Header.Set("X-Forwarded-For", forwarded)
		got := p.ClientAddr(r)
		require.Equal(t, canonical(got), got)
		if !p.trusts(before) {
			require.Equal(t, before, got, "nobody believes a stranger")
		}
		named := []netip.Addr{before}
		for _, hop := range strings.Split(forwarded, ",") {
			named = append(named, parseAddress(strings.TrimSpace(hop)))
		}
		require.Contains(t, named, got)
		if !p.trusts(got) {
			r.Header["X-Forwarded-For"] = []string{"127.0.0.1, 10.9.9.9", forwarded}
			require.Equal(t, got, p.ClientAddr(r), "what a client puts in front is not believed")
		}
	})
}
