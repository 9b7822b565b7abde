package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
)

func TestExposures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for address, exposed := range map[string]bool{
		"127.0.0.1:80": false, "[::1]:80": false, "localhost:80": false, "unix:///run/imago.sock": false,
		":80": true, "0.0.0.0:80": true, "192.0.2.1:80": true, "imago.test:80": true,
	} {
		cfg := config.Default()
		cfg.Server.Listen, cfg.Auth.KeysFile = address, path
		require.Equal(t, exposed, len(configWarnings(cfg)) == 1, address)
		cfg.Server.TLS.CertFile = path
		require.Empty(t, configWarnings(cfg), address)
		require.NoError(t, os.Chmod(path, 0o644))
		require.Len(t, configWarnings(cfg), 1, address)
		require.NoError(t, os.Chmod(path, 0o600))
	}
	cfg := config.Default()
	cfg.Store.Driver, cfg.Store.Milvus.Address = "milvus", "milvus:19530"
	require.Len(t, configWarnings(cfg), 1)
	cfg.Store.Milvus.TLS = true
	require.Empty(t, configWarnings(cfg))

	cfg = config.Default()
	cfg.Server.OpsListen = "127.0.0.1:9090"
	require.Len(t, configWarnings(cfg), 1)
	require.Contains(t, configWarnings(cfg)[0], "/readyz and /metrics are at 127.0.0.1:9090 only")

	for dsn, exposed := range map[string]bool{
		"postgres://imago@127.0.0.1/imago": false, "host=/run/postgresql dbname=imago": false, "postgres://imago@localhost/imago?sslmode=disable": false,
		"postgres://imago@db.test/imago": true, "postgres://imago@db.test/imago?sslmode=prefer": true, "host=192.0.2.1 sslmode=disable": true,
		"postgres://imago@127.0.0.1,db.test/imago":           true,
		"postgres://imago@db.test/imago?sslmode=require":     false,
		"postgres://imago@db.test/imago?sslmode=verify-full": false,
		"no connection string":                               false,
	} {
		cfg := config.Default()
		cfg.Store.Driver, cfg.Store.PGVector.DSN = "pgvector", config.Secret(dsn)
		require.Equal(t, exposed, len(configWarnings(cfg)) == 1, dsn)
	}
}
