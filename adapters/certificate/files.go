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

// maxFile bounds a file, in bytes: four times the bundle of all public certificate
// authorities.
const maxFile = 1 << 20

// parse reads the files and returns the configuration of a connection.
func parse(cfg config.TLS) (*tls.Config, error) {
	var errs [3]error
	var certificate, key, authorities []byte
	certificate, errs[0] = readFile(cfg.CertFile)
	key, errs[1] = readFile(cfg.KeyFile)
	authorities, errs[2] = readFile(cfg.ClientCAFile)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
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
	// A resumed session does not present its certificate again, which may have expired
	// or lost its authority since.
	settings.SessionTicketsDisabled = true
	settings.ClientCAs = x509.NewCertPool()
	if !settings.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s has no certificate of an authority", cfg.ClientCAFile)
	}
	return settings, nil
}

// readFile reads a file of at most maxFile bytes; an empty path is an empty file.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := regularfile.Read(path, maxFile)
	if err == nil && isTruncated(data) {
		err = fmt.Errorf("%s is incomplete: it ends in the middle of a PEM block", path)
	}
	return data, err
}

// isTruncated reports whether the last PEM block has no end. PEM decoders ignore such a
// block: the certificates in it would be missing.
func isTruncated(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return bytes.Contains(data, []byte("-----BEGIN"))
		}
		data = rest
	}
}

// clientAuth converts server.tls.client_auth. A certificate that is presented is always
// verified.
func clientAuth(asked string) tls.ClientAuthType {
	switch asked {
	case config.ClientAuthRequire:
		return tls.RequireAndVerifyClientCert
	case config.ClientAuthRequest:
		return tls.VerifyClientCertIfGiven
	}
	return tls.NoClientCert
}
