package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"imago/config"
)

// proxies are the peers whose word about a client's address is believed.
type proxies struct {
	networks []netip.Prefix
	unix     bool // whoever connects over a Unix socket
}

// newProxies takes validated entries of server.trusted_proxies.
func newProxies(trusted []string) proxies {
	var p proxies
	for _, entry := range trusted {
		if entry == config.UnixProxy {
			p.unix = true
		} else if network, err := netip.ParsePrefix(entry); err == nil {
			p.networks = append(p.networks, network)
		} else if addr, err := netip.ParseAddr(entry); err == nil {
			p.networks = append(p.networks, netip.PrefixFrom(plain(addr), plain(addr).BitLen()))
		}
	}
	return p
}

// origin returns the address that a request comes from: the peer's or, where a
// trusted proxy says so, that of the client behind it. It is invalid for a peer
// on a Unix socket.
//
// X-Forwarded-For is read from its end, where each proxy adds the peer that it
// saw, up to the first address that is no trusted proxy: everything before that
// can be made up by the client. X-Real-IP counts where there is no
// X-Forwarded-For.
func (p proxies) origin(r *http.Request) netip.Addr {
	at := parseHop(r.RemoteAddr)
	header := r.Header.Values("X-Forwarded-For")
	if len(header) == 0 {
		header = r.Header.Values("X-Real-Ip")
	}
	hops := strings.Split(strings.Join(header, ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(at); i-- {
		hop := parseHop(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			break // the last proxy does not know either
		}
		at = hop
	}
	return at
}

// trusts reports whether an address, or a Unix socket where it is invalid, is a
// trusted proxy's.
func (p proxies) trusts(addr netip.Addr) bool {
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

// parseHop reads an address with or without a port; one of IPv6 may be in
// brackets. What is no address is invalid.
func parseHop(text string) netip.Addr {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return plain(with.Addr())
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return plain(addr)
}

// plain gives each address one form: IPv4 as such and IPv6 without a zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// nameOf is how an address appears in the log.
func nameOf(addr netip.Addr) string {
	if !addr.IsValid() {
		return config.UnixProxy
	}
	return addr.String()
}
