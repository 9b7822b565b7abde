package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// configuredPaths are the settings that are paths of files, by their keys.
func configuredPaths(cfg *Config) map[string]*string {
	return map[string]*string{
		"server.tls.cert_file": &cfg.Server.TLS.CertFile, "server.tls.key_file": &cfg.Server.TLS.KeyFile, "server.tls.client_ca_file": &cfg.Server.TLS.ClientCAFile,
		"auth.keys_file": &cfg.Auth.KeysFile, "token.keys_file": &cfg.Token.KeysFile, "models.dir": &cfg.Models.Dir, "inference.library": &cfg.Inference.Library,
		"store.memory.path": &cfg.Store.Memory.Path, "store.memory.encryption.key_file": &cfg.Store.Memory.Encryption.KeyFile,
		"store.milvus.ca_file": &cfg.Store.Milvus.CAFile, "audit.path": &cfg.Audit.Path, "chips.key_file": &cfg.Chips.KeyFile,
	}
}

// resolvePaths makes the relative paths that a configuration file has relative to the
// file's folder; those of the environment stay relative to the working directory.
//
// It notes a path that leads to nothing so but to something from the working directory,
// to which earlier versions took it to be relative: a store would be created empty.
func (r *report) resolvePaths(cfg *Config, folder string) {
	for path, value := range configuredPaths(cfg) {
		if !strings.HasPrefix(r.origins[path], "line ") || *value == "" || filepath.IsAbs(*value) {
			continue
		}
		if path == "audit.path" && *value == "-" || path == "inference.library" && !strings.Contains(*value, "/") {
			continue // standard output; a name that the system's loader looks for
		}
		former := *value
		*value = filepath.Join(folder, former)
		r.check(exists(*value) || !exists(former), path,
			"is relative to the configuration file, where there is nothing, but the working directory has it: write an absolute path, or one that leads there from the file")
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
