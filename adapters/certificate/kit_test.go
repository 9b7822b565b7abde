package certificate

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/config"
	"imago/test/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is where a test keeps the files of a Watcher.
type folder struct {
	t   testing.TB
	dir string
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name string, data []byte) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(f.path(name), data, 0o600))
}

// pair writes a new certificate of an authority and its key.
func (f folder) pair(a fixture.Authority, name string) {
	f.t.Helper()
	certificate, key := a.Sign(f.t, name)
	f.write("cert.pem", certificate)
	f.write("key.pem", key)
}

func (f folder) config() config.TLS {
	return config.TLS{CertFile: f.path("cert.pem"), KeyFile: f.path("key.pem"), MinVersion: "1.2", ClientAuth: config.ClientAuthNone}
}

// shake makes a connection between a client and a server over TLS, on which the
// server says one byte. It returns how that went: what the server has to say of
// it where it failed there.
func shake(server, client *tls.Config) (tls.ConnectionState, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = listener.Close() }()
	served := make(chan error, 1)
	go func() { served <- greet(listener, server) }()
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), patience)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	secure := tls.Client(conn, client)
	defer func() { _ = secure.Close() }()
	_ = secure.SetDeadline(time.Now().Add(patience))
	_, clientErr := io.ReadFull(secure, make([]byte, 1))
	if err := <-served; err != nil {
		return tls.ConnectionState{}, err
	}
	return secure.ConnectionState(), clientErr
}

const patience = 30 * time.Second

// greet serves one connection.
func greet(listener net.Listener, settings *tls.Config) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	secure := tls.Server(conn, settings)
	defer func() { _ = secure.Close() }()
	_ = secure.SetDeadline(time.Now().Add(patience))
	_, err = secure.Write([]byte("x"))
	return err
}
