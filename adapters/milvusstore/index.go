package milvusstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"imago/config"
	"imago/ports"
)

// metric is the inner product, which of unit vectors is the cosine. The cosine of
// Milvus would divide by the lengths once more.
const metric = entity.IP

// searchParameters returns how the index is to be searched. HNSW must keep at
// least as many candidates as it is to return.
func searchParameters(cfg config.MilvusStore, limit int) (entity.SearchParam, error) {
	if cfg.Index == config.IndexHNSW {
		return entity.NewIndexHNSWSearchParam(max(cfg.HNSW.EfSearch, limit))
	}
	return entity.NewIndexFlatSearchParam()
}

// ensureIndex makes the index, in place of one of another kind if need be. It is
// built in the background by the server, and searches are right meanwhile.
func (t *remote) ensureIndex(ctx context.Context) error {
	wanted, found, err := t.indexes(ctx)
	if err != nil {
		return err
	}
	if found != nil {
		if sameIndex(found.Params(), wanted.Params()) {
			return nil
		}
		if err := t.sdk.ReleaseCollection(ctx, t.collection); err != nil {
			return err
		}
		if err := t.sdk.DropIndex(ctx, t.collection, vectorField); err != nil {
			return err
		}
	}
	return t.sdk.CreateIndex(ctx, t.collection, vectorField, wanted, true)
}

// checkIndex returns an error unless the index is the one that is configured: with
// another one, searches would not be what was promised.
func (t *remote) checkIndex(ctx context.Context) error {
	wanted, found, err := t.indexes(ctx)
	if err == nil && (found == nil || !sameIndex(found.Params(), wanted.Params())) {
		err = fmt.Errorf("%w: the collection has another index than store.milvus.index says: "+
			"configure all instances alike, and restart this one", ports.ErrUnavailable)
	}
	return err
}

// indexes returns the index that is configured (FLAT compares with every face) and the
// one that is there, nil for none.
func (t *remote) indexes(ctx context.Context) (wanted, found entity.Index, err error) {
	if t.cfg.Index == config.IndexHNSW {
		wanted, err = entity.NewIndexHNSW(metric, t.cfg.HNSW.M, t.cfg.HNSW.EfConstruction)
	} else {
		wanted, err = entity.NewIndexFlat(metric)
	}
	if err != nil {
		return nil, nil, err
	}
	there, err := t.sdk.DescribeIndex(ctx, t.collection, vectorField)
	switch {
	case isMissingIndex(err) || err == nil && len(there) == 0:
		return wanted, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return wanted, there[0], nil
}

// sameIndex compares the parameters that both sides know of. Servers differ in
// what they add, and in whether the parameters of HNSW are JSON in a parameter
// of their own.
func sameIndex(found, wanted map[string]string) bool {
	a, b := flattened(found), flattened(wanted)
	for _, name := range []string{"index_type", "metric_type", "M", "efConstruction"} {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

func flattened(parameters map[string]string) map[string]string {
	flat := maps.Clone(parameters)
	var inner map[string]any
	if err := json.Unmarshal([]byte(parameters["params"]), &inner); err != nil {
		return flat
	}
	for name, value := range inner {
		switch v := value.(type) {
		case string:
			flat[name] = v
		case float64:
			flat[name] = strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	return flat
}
