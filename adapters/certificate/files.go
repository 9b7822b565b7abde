package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"imago/config"
	"imago/config/regularfile"
)

// maxFile bounds what is read of one file, in bytes. The certificates of all
// public authorities together take a quarter of it.
const maxFile = 1 << 20

// files is what the configured files hold; the authorities may be absent.
type files struct{ certificate, key, authorities []byte }

func readFiles(cfg config.TLS) (files, error) {
	var f files
	var errs [3]error
	f.certificate, errs[0] = readFile(cfg.CertFile)
	f.key, errs[1] = readFile(cfg.KeyFile)
	f.authorities, errs[2] = readFile(cfg.ClientCAFile)
	return f, errors.Join(errs[:]...)
}

// readFile reads a bounded file; no path is an empty one.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := regularfile.Read(path, maxFile)
	if err == nil && isTorn(data) {
		err = fmt.Errorf("%s is incomplete: it ends in the middle of a PEM block", path)
	}
	return data, err
}

// isTorn reports whether there is a block without an end behind all others. Who
// reads PEM takes that for no block: the certificates in between would be missing.
func isTorn(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return bytes.Contains(data, []byte("-----BEGIN"))
		}
		data = rest
	}
}

// settings returns what a connection is made with.
func (f files) settings(cfg config.TLS) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	settings := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		ClientAuth:   clientAuth(cfg.ClientAuth),
	}
	if cfg.MinVersion == "1.3" {
		settings.MinVersion = tls.VersionTLS13
	}
	if settings.ClientAuth == tls.NoClientCert {
		return settings, nil
	}
	// A resumed session would not show its certificate again, which may have
	// expired or lost its authority since.
	settings.SessionTicketsDisabled = true
	settings.ClientCAs = x509.NewCertPool()
	if !settings.ClientCAs.AppendCertsFromPEM(f.authorities) {
		return nil, fmt.Errorf("%s: no certificate of an authority in it", cfg.ClientCAFile)
	}
	return settings, nil
}

// clientAuth translates a validated server.tls.client_auth. A certificate that
// is presented is always checked.
func clientAuth(asked string) tls.ClientAuthType {
	switch asked {
	case config.ClientAuthRequire:
		return tls.RequireAndVerifyClientCert
	case config.ClientAuthRequest:
		return tls.VerifyClientCertIfGiven
	}
	return tls.NoClientCert
}
