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
		Chips: true,
		Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
			cfg := settingsFor(tb, dsn(tb))
			change(&cfg)
			return started(tb, cfg, space)
		},
		Reopen: func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			closeStore(tb, s.(*store))
			again, err := start(tb, s.(*store).driver.cfg, space)
			if err != nil {
				return nil, err // not a *store that is nil
			}
			return again, nil
		},
		Fill: func(tb testing.TB, s ports.VectorStore, records []ports.Record) {
			pour(tb, s.(*store), records)
		},
		Second: func(tb testing.TB, s ports.VectorStore) ports.VectorStore {
			return started(tb, s.(*store).driver.cfg, s.(*store).driver.space)
		},
	}
}

func exact(*config.PGVectorStore) {}

// copied has searches answered in memory.
func copied(cfg *config.PGVectorStore) { cfg.Search = config.SearchReplica }

// always makes the database use the HNSW index wherever it can, even for the
// few faces of a test, which it would rather sort.
func always(cfg *config.PGVectorStore) {
	cfg.Index = config.IndexHNSW
	cfg.DSN = with(cfg.DSN, "options", "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off")
}

// searches are the places where searches are answered.
var searches = map[string]func(*config.PGVectorStore){"database": exact, "replica": copied}

func TestVectorStore(t *testing.T) {
	dsn(t) // skips all at once
	t.Parallel()
	for name, change := range searches {
		t.Run(name, func(t *testing.T) { contract.VectorStore(t, harness(change)) })
	}
}

// All promises hold when one instance writes and another one reads.
func TestVectorStoreOfTwoInstances(t *testing.T) {
	dsn(t)
	t.Parallel()
	h := contract.TwoInstances(harness(copied))
	contract.VectorStore(t, h)
	contract.VectorStoreConcurrency(t, h)
}

func TestVectorStoreConcurrency(t *testing.T) {
	dsn(t)
	t.Parallel()
	for name, change := range searches {
		t.Run(name, func(t *testing.T) { contract.VectorStoreConcurrency(t, harness(change)) })
	}
}

// This one must not run beside others.
func TestVectorStoreScale(t *testing.T) {
	dsn(t)
	for name, change := range searches {
		t.Run(name, func(t *testing.T) { contract.VectorStoreScale(t, harness(change)) })
	}
}

// With so few faces and so many candidates the index misses nobody: what is
// tested is that grouping, minima, ties, removals and replacements are right
// when it is used.
func TestVectorStoreWithHNSW(t *testing.T) {
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
	records := benchRecords(b)
	hnsw := func(cfg *config.PGVectorStore) { cfg.Index = config.IndexHNSW }
	for name, change := range map[string]func(*config.PGVectorStore){"exact": exact, "hnsw": hnsw, "replica": copied} {
		b.Run(name, func(b *testing.B) {
			h := harness(change)
			h.Records = records
			contract.BenchmarkVectorStore(b, h)
		})
	}
}

// benchRecords returns IMAGO_TEST_RECORDS, or 10,000.
func benchRecords(b *testing.B) int {
	set := os.Getenv("IMAGO_TEST_RECORDS")
	if set == "" {
		return 10000
	}
	records, err := strconv.Atoi(set)
	require.NoError(b, err)
	return records
}
