package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{parsed, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// sign makes a certificate for server and client and its key, in PEM.
func (a authority) sign(t testing.TB, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"imago.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// folder is where a test keeps the files of a Keeper.
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
func (f folder) pair(a authority, name string) {
	f.t.Helper()
	certificate, key := a.sign(f.t, name)
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
