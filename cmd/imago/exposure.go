package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"imago/adapters/pgstore"
	"imago/config"
)

// exposures are sentences about what a configuration leaves open to others: what it
// says over the network without TLS, and key files that others can use.
func exposures(cfg config.Config) (all []string) {
	if beyondMachine(cfg.Server.Listen) && !cfg.Server.TLS.Enabled() {
		all = append(all, "server.listen is reachable from other machines without TLS: whoever is on the way reads keys and pictures; set server.tls, or listen on 127.0.0.1 or a socket")
	}
	milvus := cfg.Store.Milvus
	if cfg.Store.Driver == "milvus" && !milvus.TLS && !strings.HasPrefix(milvus.Address, "https://") && beyondMachine(milvus.Address) {
		all = append(all, "store.milvus is on another machine without TLS: whoever is on the way reads vectors and passwords; set store.milvus.tls")
	}
	if cfg.Store.Driver == "pgvector" && slices.ContainsFunc(pgstore.Plain(cfg.Store.PGVector), beyondLoopback) {
		all = append(all, "store.pgvector.dsn allows connections to another machine without TLS: whoever is on the way reads vectors and passwords; add sslmode=verify-full, or sslmode=require where the server's certificate cannot be checked")
	}
	const others = 0o007
	for _, file := range []struct{ setting, path string }{
		{"auth.keys_file", cfg.Auth.KeysFile}, {"token.keys_file", cfg.Token.KeysFile}, {"server.tls.key_file", cfg.Server.TLS.KeyFile},
		{"store.memory.encryption.key_file", cfg.Store.Memory.Encryption.KeyFile},
	} {
		if info, err := os.Stat(file.path); file.path != "" && err == nil && info.Mode().Perm()&others != 0 {
			all = append(all, fmt.Sprintf("%s can be used by every user of the machine: chmod 600 %s", file.setting, file.path))
		}
	}
	return all
}

// beyondMachine reports whether host:port is more than loopback; a name other than
// localhost counts as such.
func beyondMachine(address string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	if err != nil || strings.HasPrefix(address, "unix:") {
		return false
	}
	return beyondLoopback(host)
}

// beyondLoopback is beyondMachine for a host without a port.
func beyondLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}
