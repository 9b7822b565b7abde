package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
	"imago/config"
	"imago/ports"
)

func TestSideEnvironment(t *testing.T) {
	environ := []string{
		"PATH=/bin", "IMAGO_LOG_LEVEL=warn", "IMAGO_STORE_PGVECTOR_DSN=common=1",
		"IMAGO_TO_STORE_PGVECTOR_DSN=to=1", "IMAGO_FROM_STORE_MEMORY_PATH=a.db", "IMAGO_TO_EMPTY=",
	}
	from := sideEnvironment(environ, fromPrefix, toPrefix)
	slices.Sort(from)
	require.Equal(t, []string{"IMAGO_LOG_LEVEL=warn", "IMAGO_STORE_MEMORY_PATH=a.db", "IMAGO_STORE_PGVECTOR_DSN=common=1", "PATH=/bin"}, from)
	to := sideEnvironment(environ, toPrefix, fromPrefix)
	slices.Sort(to)
	require.Equal(t, []string{"IMAGO_EMPTY=", "IMAGO_LOG_LEVEL=warn", "IMAGO_STORE_PGVECTOR_DSN=to=1", "PATH=/bin"}, to)
}

func TestSameStore(t *testing.T) {
	change := func(f func(*config.Store)) config.Store {
		s := config.Default().Store
		f(&s)
		return s
	}
	memory := change(func(*config.Store) {})
	require.True(t, sameStore(memory, change(func(s *config.Store) { s.Memory.Path = absolutePath(s.Memory.Path) })))
	require.False(t, sameStore(memory, change(func(s *config.Store) { s.Memory.Path = "other.db" })))
	for driver, elsewhere := range map[string]func(*config.Store){
		"pgvector": func(s *config.Store) { s.PGVector.Schema = "other" },
		"milvus":   func(s *config.Store) { s.Milvus.Database = "other" },
	} {
		one := change(func(s *config.Store) { s.Driver = driver })
		require.True(t, sameStore(one, one))
		require.False(t, sameStore(memory, one))
		two := one
		elsewhere(&two)
		require.False(t, sameStore(one, two))
	}
}

// The space of a store is known without the network file.
func TestSpaceWithoutANetwork(t *testing.T) {
	cfg := config.Default()
	cfg.Models.Dir = t.TempDir()
	access, err := accessStore(cfg)
	require.NoError(t, err)
	require.Equal(t, "opencv-sface", access.space.Model)
	require.Positive(t, access.space.Dimension)
	require.Len(t, access.space.Digest, 64)
	require.Equal(t, []string{"users", "blacklist", "whitelist"}, access.names())

	cfg.Models.Embedder = "nothing"
	_, err = accessStore(cfg)
	require.ErrorIs(t, err, ports.ErrNotFound)
	cfg.Models.Embedder = "yunet"
	_, err = accessStore(cfg)
	require.ErrorContains(t, err, "detector")
	require.ErrorIs(t, err, cli.ErrUsage)
	cfg.Store.Memory.Path = ""
	_, err = accessStore(cfg)
	require.ErrorContains(t, err, "store.memory.path is empty")
}
