package pgstore

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/contract"
)

// harness lets the suites of ports.VectorStore at a store that is configured
// by change.
func harness(change func(*config.PGVectorStore)) contract.StoreHarness {
	return contract.StoreHarness{
		Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
			cfg := settingsFor(tb, dsn(tb))
			change(&cfg)
			return started(tb, cfg, space)
		},
		Reopen: func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			closeStore(tb, s.(*Store))
			again, err := start(tb, s.(*Store).cfg, space)
			if err != nil {
				return nil, err // not a *Store that is nil
			}
			return again, nil
		},
		Fill: func(tb testing.TB, s ports.VectorStore, records []ports.Record) {
			pour(tb, s.(*Store), records)
		},
		Second: func(tb testing.TB, s ports.VectorStore) ports.VectorStore {
			return started(tb, s.(*Store).cfg, s.(*Store).space)
		},
	}
}

func exact(*config.PGVectorStore) {}

// always makes the database use the graph index wherever it can, even for the
// few faces of a test, which it would rather sort.
func always(cfg *config.PGVectorStore) {
	cfg.Index = config.IndexHNSW
	cfg.DSN = with(cfg.DSN, "options", "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off")
}

func TestVectorStore(t *testing.T) {
	dsn(t) // skips all at once
	t.Parallel()
	contract.VectorStore(t, harness(exact))
}

func TestVectorStoreConcurrency(t *testing.T) {
	dsn(t)
	t.Parallel()
	contract.VectorStoreConcurrency(t, harness(exact))
}

// This one must not run beside others.
func TestVectorStoreScale(t *testing.T) {
	dsn(t)
	contract.VectorStoreScale(t, harness(exact))
}

// With so few faces and so many candidates the graph misses nobody: what is
// tested is that grouping, minima, ties, removals and replacements are right
// when it is used.
func TestVectorStoreWithGraph(t *testing.T) {
	dsn(t)
	t.Parallel()
	h := harness(func(cfg *config.PGVectorStore) {
		always(cfg)
		cfg.HNSW.EfSearch = 1000
	})
	h.Records = 300
	contract.VectorStore(t, h)
	contract.VectorStoreConcurrency(t, h)
}

// BenchmarkVectorStore takes the size of its largest collection from
// IMAGO_TEST_RECORDS.
func BenchmarkVectorStore(b *testing.B) {
	dsn(b)
	records := 10000
	if set := os.Getenv("IMAGO_TEST_RECORDS"); set != "" {
		var err error
		records, err = strconv.Atoi(set)
		require.NoError(b, err)
	}
	graph := func(cfg *config.PGVectorStore) { cfg.Index = config.IndexHNSW }
	for name, change := range map[string]func(*config.PGVectorStore){"exact": exact, "hnsw": graph} {
		b.Run(name, func(b *testing.B) {
			h := harness(change)
			h.Records = records
			contract.BenchmarkVectorStore(b, h)
		})
	}
}
