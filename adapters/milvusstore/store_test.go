package milvusstore

import (
	"context"
	"testing"

	"github.com/milvus-io/milvus-sdk-go/v2/client"

	"imago/config"
	"imago/ports"
	"imago/test/contract"
)

// admin is what tests call beside the store.
type admin interface {
	DropCollection(ctx context.Context, collection string, options ...client.DropCollectionOption) error
	Flush(ctx context.Context, collection string, async bool, options ...client.FlushOption) error
}

// harness lets the suites of ports.VectorStore at a store with an index.
func harness(index string) contract.StoreHarness {
	return contract.StoreHarness{
		Parallel: true,
		Records:  300,
		Chips:    true,
		Fill: func(tb testing.TB, s ports.VectorStore, records []ports.Record) {
			pour(tb, s.(*store), records)
		},
		Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
			return started(tb, shared.settings(tb, space, index), space)
		},
		Reopen: func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			closeStore(tb, s.(*store))
			again, err := start(tb, s.(*store).driver.cfg, space)
			if err != nil {
				return nil, err // not a *store that is nil
			}
			return again, nil
		},
		Second: func(tb testing.TB, s ports.VectorStore) ports.VectorStore {
			return started(tb, s.(*store).driver.cfg, s.(*store).driver.space)
		},
	}
}

func TestVectorStoreContract(t *testing.T) {
	contract.VectorStore(t, harness(config.IndexExact))
	contract.VectorStoreConcurrency(t, harness(config.IndexExact))
	contract.VectorStoreScale(t, harness(config.IndexExact))
}

// With so few faces the index misses nobody: what is tested is that everything
// else is right when it is used.
func TestVectorStoreWithHNSW(t *testing.T) {
	contract.VectorStore(t, harness(config.IndexHNSW))
}
