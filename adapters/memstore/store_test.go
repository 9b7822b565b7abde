package memstore

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/vectorstore"
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
		Chips: true,
		Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
			return started(tb, filepath.Join(tb.TempDir(), "imago.db"), space)
		},
		Reopen: func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			require.NoError(tb, s.(*store).Close(tb.Context()))
			again := newStore(s.(*store).driver.cfg.Path, space)
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

// store is the driver behind the guard, as it ships.
type store struct {
	*vectorstore.Store
	driver *Driver
}

// guarded puts the guard over a driver.
func guarded(d *Driver) *store { return &store{vectorstore.New("memstore", d, d.space), d} }

func newStore(path string, space ports.Space) *store {
	return guarded(New(config.MemoryStore{Path: path}, space, discard()))
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// started returns an open store that the end of the test closes.
func started(tb testing.TB, path string, space ports.Space) *store {
	tb.Helper()
	return opened(tb, newStore(path, space))
}

// unwiped returns one that does not empty its log while it is open.
func unwiped(tb testing.TB, path string, space ports.Space) *store {
	tb.Helper()
	s := newStore(path, space)
	s.driver.wipeDelay = time.Hour
	return opened(tb, s)
}

func opened(tb testing.TB, s *store) *store {
	tb.Helper()
	require.NoError(tb, s.Start(tb.Context()))
	tb.Cleanup(func() { closeStore(tb, s) })
	return s
}
