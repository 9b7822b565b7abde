package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/config"
	"imago/test/fixture"
)

var quiet = slog.New(slog.DiscardHandler)

// started returns a Watcher that looks at its files by poll only.
func started(t *testing.T, cfg config.TLS, log *slog.Logger) *Watcher {
	t.Helper()
	k := New(cfg, log)
	k.Interval = time.Hour
	require.NoError(t, k.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, k.Close(context.Background())) })
	return k
}

// trusting is a client that knows an authority.
func trusting(a fixture.Authority) *tls.Config {
	config := a.Client()
	config.ServerName = "imago.test"
	return config
}

// name returns whose certificate a client of an authority is shown.
func name(t *testing.T, k *Watcher, a fixture.Authority) string {
	t.Helper()
	state, err := shake(k.TLS(), trusting(a))
	require.NoError(t, err)
	return state.PeerCertificates[0].Subject.CommonName
}

func TestVersions(t *testing.T) {
	ca, f := fixture.NewAuthority(t, "ca"), folder{t, t.TempDir()}
	f.pair(ca, "server")
	for _, tt := range []struct {
		least        string
		client, want uint16 // want 0: refused
	}{
		{"1.2", tls.VersionTLS13, tls.VersionTLS13},
		{"1.2", tls.VersionTLS12, tls.VersionTLS12},
		{"1.2", tls.VersionTLS11, 0},
		{"1.3", tls.VersionTLS13, tls.VersionTLS13},
		{"1.3", tls.VersionTLS12, 0},
	} {
		cfg := f.config()
		cfg.MinVersion = tt.least
		client := trusting(ca)
		client.MinVersion, client.MaxVersion = tls.VersionTLS10, tt.client
		client.NextProtos = []string{"h2", "http/1.1"}
		state, err := shake(started(t, cfg, quiet).TLS(), client)
		if tt.want == 0 {
			require.ErrorContains(t, err, "version", "%s, client %x", tt.least, tt.client)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, tt.want, state.Version)
		require.Equal(t, "http/1.1", state.NegotiatedProtocol)
	}
}

func TestClientCertificates(t *testing.T) {
	ca, stranger, f := fixture.NewAuthority(t, "ca"), fixture.NewAuthority(t, "stranger"), folder{t, t.TempDir()}
	f.pair(ca, "server")
	f.write("clients.pem", ca.PEM)
	for _, tt := range []struct {
		asked, presented string
		accepted         bool
	}{
		{config.ClientAuthNone, "", true},
		{config.ClientAuthNone, "stranger", true},
		{config.ClientAuthRequest, "", true},
		{config.ClientAuthRequest, "ca", true},
		{config.ClientAuthRequest, "stranger", false},
		{config.ClientAuthRequire, "", false},
		{config.ClientAuthRequire, "ca", true},
		{config.ClientAuthRequire, "stranger", false},
	} {
		t.Run(tt.asked+" "+tt.presented, func(t *testing.T) {
			cfg := f.config()
			if cfg.ClientAuth = tt.asked; tt.asked != config.ClientAuthNone {
				cfg.ClientCAFile = f.path("clients.pem")
			}
			client := trusting(ca)
			if tt.presented != "" {
				signer := map[string]fixture.Authority{"ca": ca, "stranger": stranger}[tt.presented]
				client.GetClientCertificate = signer.Client(signer.Pair(t, "client")).GetClientCertificate
			}
			_, err := shake(started(t, cfg, quiet).TLS(), client)
			if tt.accepted {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

// A client whose authority is no longer trusted is refused, a session of before
// or not.
func TestAuthoritiesAreReplaced(t *testing.T) {
	ca, next, f := fixture.NewAuthority(t, "ca"), fixture.NewAuthority(t, "next"), folder{t, t.TempDir()}
	f.pair(ca, "server")
	f.write("clients.pem", ca.PEM)
	cfg := f.config()
	cfg.ClientAuth, cfg.ClientCAFile = config.ClientAuthRequire, f.path("clients.pem")
	k := started(t, cfg, quiet)
	server, client := k.TLS(), ca.Client(ca.Pair(t, "client"))
	client.ServerName, client.ClientSessionCache = "imago.test", tls.NewLRUClientSessionCache(1)
	for range 2 {
		state, err := shake(server, client)
		require.NoError(t, err)
		require.False(t, state.DidResume)
	}
	f.write("clients.pem", next.PEM)
	require.NoError(t, k.Reload())
	_, err := shake(server, client)
	require.Error(t, err)
}

func TestStartFails(t *testing.T) {
	ca := fixture.NewAuthority(t, "ca")
	for what, tt := range map[string]struct {
		spoil func(folder)
		want  string
	}{
		"no certificate":       {func(f folder) { require.NoError(t, os.Remove(f.path("cert.pem"))) }, "cert.pem"},
		"no key":               {func(f folder) { require.NoError(t, os.Remove(f.path("key.pem"))) }, "key.pem"},
		"garbage":              {func(f folder) { f.write("cert.pem", []byte("garbage")) }, "cert.pem"},
		"another's key":        {func(f folder) { _, key := ca.Sign(t, "x"); f.write("key.pem", key) }, "does not match"},
		"no authorities":       {func(f folder) { require.NoError(t, os.Remove(f.path("clients.pem"))) }, "clients.pem"},
		"authority is garbage": {func(f folder) { f.write("clients.pem", []byte("garbage")) }, "has no certificate of an authority"},
		"too large":            {func(f folder) { f.write("key.pem", make([]byte, maxFile+1)) }, "larger than"},
	} {
		t.Run(what, func(t *testing.T) {
			f := folder{t, t.TempDir()}
			f.pair(ca, "server")
			f.write("clients.pem", ca.PEM)
			cfg := f.config()
			cfg.ClientAuth, cfg.ClientCAFile = config.ClientAuthRequire, f.path("clients.pem")
			tt.spoil(f)
			k := New(cfg, quiet)
			require.ErrorContains(t, k.Start(t.Context()), tt.want)
			require.NoError(t, k.Close(t.Context()))
		})
	}
}

func TestWithoutACertificate(t *testing.T) {
	k := New(config.TLS{}, quiet)
	require.Nil(t, k.TLS())
	require.NoError(t, k.Start(t.Context()))
	require.NoError(t, k.Reload())
	require.NoError(t, k.Close(t.Context()))
}

// A broken pair leaves the current one in place and is reported once; half a change
// is no broken pair.
func TestChangesOfTheFiles(t *testing.T) {
	ca, f := fixture.NewAuthority(t, "ca"), folder{t, t.TempDir()}
	f.pair(ca, "first")
	var log bytes.Buffer
	k := started(t, f.config(), slog.New(slog.NewTextHandler(&log, nil)))
	var told []error
	k.OnReload(func(err error) { told = append(told, err) })
	k.Poll()
	require.Empty(t, told, "nothing has changed")

	certificate, key := ca.Sign(t, "second")
	f.write("cert.pem", certificate)
	k.Poll()
	require.Empty(t, told, "the key may be on its way")
	require.Equal(t, "first", name(t, k, ca))
	f.write("key.pem", key)
	k.Poll()
	require.Equal(t, []error{nil}, told)
	require.Equal(t, "second", name(t, k, ca))

	for what, spoil := range map[string]func(){
		"garbage": func() { f.write("cert.pem", []byte("garbage")) },
		"gone":    func() { require.NoError(t, os.Remove(f.path("key.pem"))) },
	} {
		log.Reset()
		told = nil
		spoil()
		for range 4 {
			k.Poll()
		}
		require.Len(t, told, 1, what)
		require.Error(t, told[0])
		require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), log.String())
		require.NotContains(t, log.String(), "PRIVATE")
		require.Equal(t, "second", name(t, k, ca), what)

		told = nil
		f.write("cert.pem", certificate)
		f.write("key.pem", key)
		k.Poll()
		require.Equal(t, []error{nil}, told, what)
	}
}

func TestReloadOnDemand(t *testing.T) {
	ca, f := fixture.NewAuthority(t, "ca"), folder{t, t.TempDir()}
	f.pair(ca, "first")
	k := started(t, f.config(), quiet)
	var told []error
	k.OnReload(func(err error) { told = append(told, err) })
	f.pair(ca, "second")
	require.NoError(t, k.Reload())
	require.Equal(t, "second", name(t, k, ca))
	f.write("key.pem", []byte("garbage"))
	require.ErrorContains(t, k.Reload(), "key.pem")
	k.Poll()
	k.Poll()
	require.Len(t, told, 2, "reported by Reload, and not again")
	require.Equal(t, "second", name(t, k, ca))
}

// The expiry is that of the current certificate.
func TestExpires(t *testing.T) {
	ca, f := fixture.NewAuthority(t, "ca"), folder{t, t.TempDir()}
	f.pair(ca, "first")
	require.Zero(t, New(f.config(), quiet).Expires(), "nothing is loaded yet")
	k := started(t, f.config(), quiet)
	state, err := shake(k.TLS(), trusting(ca))
	require.NoError(t, err)
	require.Equal(t, state.PeerCertificates[0].NotAfter, k.Expires())
	first := k.Expires()
	f.write("cert.pem", []byte("garbage"))
	require.Error(t, k.Reload())
	require.Equal(t, first, k.Expires())
}

func TestModuleWatchesTheFiles(t *testing.T) {
	ca, f := fixture.NewAuthority(t, "ca"), folder{t, t.TempDir()}
	f.pair(ca, "first")
	var k *Watcher
	var server *tls.Config
	app := fxtest.New(t, Module, fx.NopLogger, fx.Supply(f.config(), quiet), fx.Populate(&k, &server))
	k.Interval = time.Millisecond
	app.RequireStart()
	defer app.RequireStop()
	f.pair(ca, "second")
	client := trusting(ca)
	require.Eventually(t, func() bool {
		state, err := shake(server, client)
		return err == nil && state.PeerCertificates[0].Subject.CommonName == "second"
	}, 30*time.Second, time.Millisecond)
}
