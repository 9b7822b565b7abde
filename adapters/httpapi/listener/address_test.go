package listener

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientAddr(t *testing.T) {
	const proxied, direct = "10.0.0.1:999", "203.0.113.9:999"
	trusted := []string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"}
	for name, tt := range map[string]struct {
		trusted         []string
		peer            string
		forwarded, real []string
		want            string
	}{
		"nobody is trusted":              {nil, proxied, []string{"1.2.3.4"}, []string{"1.2.3.4"}, "10.0.0.1"},
		"a stranger is not believed":     {trusted, direct, []string{"1.2.3.4"}, []string{"1.2.3.4"}, "203.0.113.9"},
		"no header":                      {trusted, proxied, nil, nil, "10.0.0.1"},
		"one hop":                        {trusted, proxied, []string{"1.2.3.4"}, nil, "1.2.3.4"},
		"what the client made up":        {trusted, proxied, []string{"10.9.9.9, 6.6.6.6, 1.2.3.4"}, nil, "1.2.3.4"},
		"several proxies":                {trusted, proxied, []string{"6.6.6.6, 1.2.3.4, 192.0.2.7, 10.2.3.4"}, nil, "1.2.3.4"},
		"several headers":                {trusted, proxied, []string{"6.6.6.6", "1.2.3.4, 10.2.3.4", "192.0.2.7"}, nil, "1.2.3.4"},
		"all of them proxies":            {trusted, proxied, []string{"10.0.0.9, 10.0.0.8"}, nil, "10.0.0.9"},
		"a proxy that does not know":     {trusted, proxied, []string{"1.2.3.4, unknown, 10.2.3.4"}, nil, "10.2.3.4"},
		"garbage":                        {trusted, proxied, []string{"garbage"}, nil, "10.0.0.1"},
		"empty":                          {trusted, proxied, []string{""}, nil, "10.0.0.1"},
		"with a port":                    {trusted, proxied, []string{"1.2.3.4:56"}, nil, "1.2.3.4"},
		"IPv6":                           {trusted, proxied, []string{"2001:db8::1"}, nil, "2001:db8::1"},
		"IPv6 with a port":               {trusted, proxied, []string{"[2001:db8::1]:56"}, nil, "2001:db8::1"},
		"IPv6 in brackets":               {trusted, proxied, []string{"[2001:db8::1]"}, nil, "2001:db8::1"},
		"IPv4 in IPv6":                   {trusted, "[::ffff:10.0.0.1]:9", []string{"::ffff:1.2.3.4"}, nil, "1.2.3.4"},
		"a zone":                         {trusted, "[fd00::1%eth0]:9", []string{"fe80::1%eth0"}, nil, "fe80::1"},
		"X-Real-IP":                      {trusted, proxied, nil, []string{"1.2.3.4"}, "1.2.3.4"},
		"X-Forwarded-For goes first":     {trusted, proxied, []string{"1.2.3.4"}, []string{"6.6.6.6"}, "1.2.3.4"},
		"a socket":                       {trusted, "@", []string{"1.2.3.4"}, nil, "unix"},
		"a trusted socket":               {[]string{"unix"}, "@", []string{"6.6.6.6, 1.2.3.4"}, nil, "1.2.3.4"},
		"a trusted socket, not a header": {[]string{"unix"}, "", nil, nil, "unix"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header = http.Header{"X-Forwarded-For": tt.forwarded, "X-Real-Ip": tt.real}
			require.Equal(t, tt.want, Text(NewProxies(tt.trusted).ClientAddr(r)))
		})
	}
}
