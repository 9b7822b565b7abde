package config

import (
	"fmt"
	"io"
	"io/fs"
	"slices"

	"imago/config/regularfile"
)

// maxFile is the largest file read, in bytes: a hundred times what the longest
// sensible one takes.
const maxFile = 1 << 20

// Load returns the settings that hold: the defaults, overridden by the YAML file
// at path (none where path is empty), overridden by the variables of environ
// (as os.Environ returns them) that begin with IMAGO_.
//
// YAML is read strictly: unknown and repeated keys, values of a wrong type,
// anchors, tags and a second document are refused. Everything that is wrong
// comes back at once as an *Error; a file that cannot be read is the error of
// package os.
func Load(path string, environ []string) (Config, error) {
	cfg, r, source := Default(), newReport(), "environment"
	if path != "" {
		source = path
		data, err := readFile(path)
		if err != nil {
			return Config{}, err
		}
		r.decode(data, &cfg)
	}
	r.environment(environ, &cfg)
	r.validate(&cfg)
	r.check(cfg.Store.Driver != "pgvector" || cfg.Store.PGVector.DSN != "", "store.pgvector.dsn", "is required where store.driver is pgvector")
	r.check(cfg.Store.Driver != "milvus" || cfg.Store.Milvus.Address != "", "store.milvus.address", "is required where store.driver is milvus")
	r.checkTLS(cfg.Server.TLS)
	r.check(cfg.Token.KeysFile != "" || !cfg.requiresTokens(), "token.keys_file", "is required where a collection requires tokens")
	if err := r.err(source); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// requiresTokens reports whether any collection refuses plain pictures.
func (c Config) requiresTokens() bool {
	return c.Token.RequireInInventory || slices.ContainsFunc(c.Collections, func(c Collection) bool { return c.RequireToken })
}

// checkTLS notes files that are missing beside others, and settings that would
// be without effect: who asks for clients' certificates must not go without.
func (r *report) checkTLS(t TLS) {
	asks := t.ClientAuth != ClientAuthNone
	r.check(t.CertFile != "" || t.KeyFile == "", "server.tls.cert_file", "is required beside key_file")
	r.check(t.KeyFile != "" || t.CertFile == "", "server.tls.key_file", "is required beside cert_file")
	r.check(!asks || t.ClientCAFile != "", "server.tls.client_ca_file", "is required where client_auth is not none")
	r.check(asks || t.ClientCAFile == "", "server.tls.client_auth", "must be request or require where there is a client_ca_file")
	r.check(!asks || t.CertFile != "" || t.KeyFile != "", "server.tls.cert_file", "is required where client_auth is not none")
}

func readFile(path string) ([]byte, error) {
	file, err := regularfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return readAll(file, path)
}

// readAll reads a bounded file and closes it.
func readAll(file fs.File, name string) ([]byte, error) {
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("config: %s is larger than %d bytes", name, maxFile)
	}
	return data, nil
}
