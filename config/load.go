package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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
// package os. Relative paths in the file are relative to its folder, and come back so that
// they are relative to the working directory, as those of the environment are.
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
	if path != "" {
		r.resolvePaths(&cfg, filepath.Dir(path))
	}
	r.validate(&cfg)
	r.check(cfg.Store.Driver != "pgvector" || cfg.Store.PGVector.DSN != "", "store.pgvector.dsn", "is required where store.driver is pgvector")
	r.check(cfg.Store.Driver != "pgvector" || !hasRawPassword(cfg.Store.PGVector.DSN.Reveal()), "store.pgvector.dsn",
		"has a special character in its user name or password; percent-encode it: %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #")
	r.check(cfg.Store.Driver != "milvus" || !strings.Contains(cfg.Store.Milvus.Address, "@"), "store.milvus.address",
		"must not have a user name or password; set store.milvus.username and password")
	r.check(cfg.Store.Driver != "milvus" || cfg.Store.Milvus.Address != "", "store.milvus.address", "is required where store.driver is milvus")
	r.checkTLS(cfg.Server.TLS)
	r.check(cfg.Token.KeysFile != "" || !cfg.requiresTokens(), "token.keys_file", "is required where a collection requires tokens")
	r.checkScreens("inventory.screen", cfg.Inventory.Screen, cfg.Collections)
	r.checkChips("inventory.keep_chips", cfg.Inventory.KeepChips, cfg)
	for i, c := range cfg.Collections {
		r.checkChips(fmt.Sprintf("collections[%d].keep_chips", i), c.KeepChips, cfg)
		r.checkScreens(fmt.Sprintf("collections[%d].screen", i), c.Screen, cfg.Collections)
	}
	if err := r.err(source); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// requiresTokens reports whether any collection refuses plain pictures.
func (c Config) requiresTokens() bool {
	return c.Token.RequireInInventory || slices.ContainsFunc(c.Collections, func(c Collection) bool { return c.RequireToken })
}

// checkScreens notes a list to screen against that does not exist.
func (r *report) checkScreens(path string, screen []string, lists []Collection) {
	for i, name := range screen {
		known := slices.ContainsFunc(lists, func(c Collection) bool { return c.Name == name })
		r.check(known, fmt.Sprintf("%s[%d]", path, i), "must be the name of a list in collections")
	}
}

// checkChips notes chips that are to be kept where they could not be encrypted or would be lost.
func (r *report) checkChips(path string, keep bool, cfg Config) {
	r.check(!keep || cfg.Chips.KeyFile != "" || cfg.Chips.Key != "", path,
		"needs a key to encrypt them with: set chips.key_file to a file with the output of openssl rand -base64 32")
	r.check(!keep || cfg.Store.Driver != "memory" || cfg.Store.Memory.Path != "", path, "needs store.memory.path: without a file nothing is kept")
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
	data, err := regularfile.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return data, nil
}
