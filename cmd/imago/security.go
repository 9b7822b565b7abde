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

// configWarnings returns warnings of unencrypted connections to other machines, of key
// files that other users can access, of keys for collections that do not exist, and of
// the probes' paths where they are not on the API's listener.
func configWarnings(cfg config.Config) (all []string) {
	if isRemote(cfg.Server.Listen) && !cfg.Server.TLS.Enabled() {
		all = append(all, "server.listen is reachable from other machines without TLS: anyone on the network path can read keys and pictures; set server.tls, or listen on 127.0.0.1 or a socket")
	}
	if cfg.Server.OpsListen != "" {
		all = append(all, fmt.Sprintf("server.ops_listen is set: /healthz, /readyz and /metrics are at %s only and answer 404 at %s; let probes and gateways ask there",
			cfg.Server.OpsListen, cfg.Server.Listen))
	}
	milvus := cfg.Store.Milvus
	if cfg.Store.Driver == "milvus" && !milvus.TLS && !strings.HasPrefix(milvus.Address, "https://") && isRemote(milvus.Address) {
		all = append(all, "store.milvus is on another machine without TLS: anyone on the network path can read vectors and passwords; set store.milvus.tls")
	}
	if cfg.Store.Driver == "pgvector" && slices.ContainsFunc(pgstore.PlaintextHosts(cfg.Store.PGVector), isRemoteHost) {
		all = append(all, "store.pgvector.dsn allows connections to another machine without TLS: anyone on the network path can read vectors and passwords; add sslmode=verify-full, or sslmode=require where the server's certificate cannot be checked")
	}
	const others = 0o007
	for _, file := range []struct{ setting, path string }{
		{"auth.keys_file", cfg.Auth.KeysFile}, {"token.keys_file", cfg.Token.KeysFile}, {"server.tls.key_file", cfg.Server.TLS.KeyFile},
		{"store.memory.encryption.key_file", cfg.Store.Memory.Encryption.KeyFile},
	} {
		if info, err := os.Stat(file.path); file.path != "" && err == nil && info.Mode().Perm()&others != 0 {
			all = append(all, fmt.Sprintf("%s is accessible to every user of the machine: chmod 600 %s", file.setting, file.path))
		}
	}
	if keys, err := config.LoadKeys(cfg.Auth.KeysFile); cfg.Auth.KeysFile != "" && err == nil {
		all = append(all, unknownCollections(keys.Keys, cfg)...)
	}
	return all
}

// isRemote reports whether host:port is more than loopback; a name other than
// localhost counts as such.
func isRemote(address string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	if err != nil || strings.HasPrefix(address, "unix:") {
		return false
	}
	return isRemoteHost(host)
}

// isRemoteHost is isRemote for a host without a port.
func isRemoteHost(host string) bool {
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}
