package loadgen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Target is the address of a server, with the authorities that verify it.
type Target struct {
	base   string         // scheme and host of every URL
	socket string         // path of a Unix socket, empty for TCP
	roots  *x509.CertPool // nil for those of the machine
}

// ParseTarget reads host:port, http://host:port, https://host:port or
// unix:///path/of/socket.
func ParseTarget(s string) (Target, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return Target{}, errors.New("write a Unix socket as unix:///path")
		}
		return Target{base: "http://imago", socket: path}, nil
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return Target{}, errors.New("it is neither host:port nor a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return Target{}, fmt.Errorf("scheme %q is not http, https or unix", u.Scheme)
	case u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Target{}, errors.New("only scheme, host and port belong there")
	}
	return Target{base: u.Scheme + "://" + u.Host}, nil
}

// Trust has the target's certificate verified with these authorities (PEM)
// instead of the machine's.
func (t *Target) Trust(authorities []byte) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return errors.New("no PEM certificate in it")
	}
	t.roots = roots
	return nil
}

// String returns the target as it was written, with its scheme.
func (t Target) String() string {
	if t.socket != "" {
		return "unix://" + t.socket
	}
	return t.base
}

// client returns a client with one connection of its own, kept alive between
// requests. It follows no redirects and uses no proxy: the key goes to the
// target and nowhere else.
func (t Target) client(timeout time.Duration) *http.Client {
	transport := &http.Transport{
		MaxConnsPerHost:     1,
		MaxIdleConnsPerHost: 1,
		TLSClientConfig:     &tls.Config{RootCAs: t.roots},
		DisableCompression:  true,
	}
	if t.socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", t.socket)
		}
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
