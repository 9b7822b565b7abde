package memstore

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/contract"
)

func TestDurableContract(t *testing.T) {
	contract.VectorStore(t, durableHarness())
	contract.VectorStoreConcurrency(t, durableHarness())
	contract.VectorStoreScale(t, durableHarness())
}

func TestVolatileContract(t *testing.T) {
	contract.VectorStore(t, volatileHarness())
	contract.VectorStoreConcurrency(t, volatileHarness())
	contract.VectorStoreScale(t, volatileHarness())
}

func BenchmarkDurable(b *testing.B)  { contract.BenchmarkVectorStore(b, durableHarness()) }
func BenchmarkVolatile(b *testing.B) { contract.BenchmarkVectorStore(b, volatileHarness()) }

// A file has one owner, so there is no Second.
func durableHarness() contract.StoreHarness {
	return contract.StoreHarness{
		Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
			return started(tb, filepath.Join(tb.TempDir(), "imago.db"), space)
		},
		Reopen: func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			require.NoError(tb, s.(*Store).Close(tb.Context()))
			again := newStore(s.(*Store).cfg.Path, space)
			tb.Cleanup(func() { closeStore(tb, again) })
			return again, again.Start(tb.Context())
		},
	}
}

func volatileHarness() contract.StoreHarness {
	return contract.StoreHarness{Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
		return started(tb, "", space)
	}}
}

func newStore(path string, space ports.Space) *Store {
	return New(config.MemoryStore{Path: path}, space, discard())
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// started returns an open store that the end of the test closes.
func started(tb testing.TB, path string, space ports.Space) *Store {
	tb.Helper()
	return opened(tb, newStore(path, space))
}

// unwiped returns one that does not empty its log while it is open.
func unwiped(tb testing.TB, path string, space ports.Space) *Store {
	tb.Helper()
	s := newStore(path, space)
	s.wipeDelay = time.Hour
	return opened(tb, s)
}

func opened(tb testing.TB, s *Store) *Store {
	tb.Helper()
	require.NoError(tb, s.Start(tb.Context()))
	tb.Cleanup(func() { closeStore(tb, s) })
	return s
}
