package listener

import (
	"net/http"
	"net/netip"
	"strings"

	"imago/config"
)

// Proxies are the peers whose headers about a client's address are believed.
type Proxies struct {
	networks []netip.Prefix
	unix     bool // every peer on a Unix socket
}

// NewProxies takes validated entries of server.trusted_proxies.
func NewProxies(trusted []string) Proxies {
	var p Proxies
	for _, entry := range trusted {
		if entry == config.UnixProxy {
			p.unix = true
		} else if network, err := netip.ParsePrefix(entry); err == nil {
			p.networks = append(p.networks, network)
		} else if addr, err := netip.ParseAddr(entry); err == nil {
			p.networks = append(p.networks, netip.PrefixFrom(canonical(addr), canonical(addr).BitLen()))
		}
	}
	return p
}

// ClientAddr returns the address that a request comes from: the peer's or, if a trusted
// proxy says so, that of the client behind it. It is invalid for a peer on a Unix
// socket.
//
// X-Forwarded-For is read from its end, where each proxy adds the peer that it
// saw, up to the first address that is no trusted proxy: everything before that
// can be made up by the client. X-Real-IP counts where there is no
// X-Forwarded-For.
func (p Proxies) ClientAddr(r *http.Request) netip.Addr {
	at := parseAddress(r.RemoteAddr)
	header := r.Header.Values("X-Forwarded-For")
	if len(header) == 0 {
		header = r.Header.Values("X-Real-Ip")
	}
	hops := strings.Split(strings.Join(header, ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(at); i-- {
		hop := parseAddress(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			break // the last proxy does not know either
		}
		at = hop
	}
	return at
}

// trusts reports whether an address, or a Unix socket where it is invalid, is a
// trusted proxy's.
func (p Proxies) trusts(addr netip.Addr) bool {
	if !addr.IsValid() {
		return p.unix
	}
	for _, network := range p.networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddress reads an address with or without a port; one of IPv6 may be in
// brackets. The result is invalid where the text is no address.
func parseAddress(text string) netip.Addr {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return canonical(with.Addr())
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return canonical(addr)
}

// canonical gives each address one form: IPv4 as such and IPv6 without a zone.
func canonical(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// Text is how an address appears in the log.
func Text(addr netip.Addr) string {
	if !addr.IsValid() {
		return config.UnixProxy
	}
	return addr.String()
}

// Network is what one client has at its disposal: an address of IPv4, or a network of
// 64 bits of IPv6 (RFC 6177). Every Unix socket has the zero Prefix.
func Network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the error is that of an invalid address
	return prefix
}
