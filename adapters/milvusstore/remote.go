package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"imago/config"
	"imago/ports"
)

// callLimit bounds every single call to the server, beside the caller's own
// limit.
const callLimit = 10 * time.Second

// sdk is what imago calls of the client that Milvus provides, whose own interface
// has more than a hundred methods.
type sdk interface {
	Insert(ctx context.Context, collection, partition string, columns ...entity.Column) (entity.Column, error)
	Delete(ctx context.Context, collection, partition, expression string) error
	Query(ctx context.Context, collection string, partitions []string, expression string, fields []string,
		options ...client.SearchQueryOptionFunc) (client.ResultSet, error)
	Search(ctx context.Context, collection string, partitions []string, expression string, fields []string,
		vectors []entity.Vector, field string, metric entity.MetricType, limit int, parameters entity.SearchParam,
		options ...client.SearchQueryOptionFunc) ([]client.SearchResult, error)

	HasCollection(ctx context.Context, collection string) (bool, error)
	CreateCollection(ctx context.Context, schema *entity.Schema, shards int32, options ...client.CreateCollectionOption) error
	DescribeCollection(ctx context.Context, collection string) (*entity.Collection, error)
	HasPartition(ctx context.Context, collection, partition string) (bool, error)
	CreatePartition(ctx context.Context, collection, partition string, options ...client.CreatePartitionOption) error
	DescribeIndex(ctx context.Context, collection, field string, options ...client.IndexOption) ([]entity.Index, error)
	CreateIndex(ctx context.Context, collection, field string, index entity.Index, async bool, options ...client.IndexOption) error
	DropIndex(ctx context.Context, collection, field string, options ...client.IndexOption) error
	LoadCollection(ctx context.Context, collection string, async bool, options ...client.LoadCollectionOption) error
	ReleaseCollection(ctx context.Context, collection string, options ...client.ReleaseCollectionOption) error

	Close() error
}

// remote is the table in a collection of a Milvus server.
type remote struct {
	sdk        sdk
	cfg        config.MilvusStore
	dimension  int
	collection string
	expiries   bool // rows have a field for it; set by setUp
	chips      bool // likewise
}

var _ table = (*remote)(nil)

func newRemote(cfg config.MilvusStore, space ports.Space, sdk sdk) *remote {
	return &remote{sdk: sdk, cfg: cfg, dimension: space.Dimension, collection: cfg.Collection}
}

// strong has a read see everything that was acknowledged before it. The server
// waits for that until its next time tick.
func strong() client.SearchQueryOptionFunc {
	return client.WithSearchQueryConsistencyLevel(entity.ClStrong)
}

func (t *remote) insert(ctx context.Context, partition string, rows ...row) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	columns := columnsOf(rows, t.dimension)
	columns = slices.DeleteFunc(columns, func(c entity.Column) bool {
		return c.Name() == expiresAtField && !t.expiries || c.Name() == chipField && !t.chips
	})
	_, err := t.sdk.Insert(ctx, t.collection, partition, columns...)
	return err
}

func (t *remote) keepsExpiry() bool { return t.expiries }

func (t *remote) keepsChips() bool { return t.chips }

// metadataFields are what is read of a row beside its vector.
func (t *remote) metadataFields() []string {
	fields := []string{idField, generationField, ownerField, enrolledAtField}
	if t.expiries {
		fields = append(fields, expiresAtField)
	}
	return fields
}

// columnsOf returns rows as Milvus takes them.
func columnsOf(rows []row, dimension int) []entity.Column {
	return []entity.Column{
		entity.NewColumnVarChar(idField, each(rows, func(r row) string { return r.id })),
		entity.NewColumnVarChar(collectionField, each(rows, row.collection)),
		entity.NewColumnVarChar(ownerField, each(rows, func(r row) string { return r.owner })),
		entity.NewColumnInt64(enrolledAtField, each(rows, func(r row) int64 { return r.enrolledAt })),
		entity.NewColumnInt64(expiresAtField, each(rows, func(r row) int64 { return r.expiresAt })),
		entity.NewColumnInt64(generationField, each(rows, func(r row) int64 { return r.generation })),
		entity.NewColumnBool(headField, each(rows, func(r row) bool { return r.head })),
		entity.NewColumnFloatVector(vectorField, dimension, each(rows, func(r row) []float32 { return r.vector })),
		entity.NewColumnVarChar(chipField, each(rows, row.chipText)),
	}
}

func each[V any](rows []row, f func(row) V) []V {
	values := make([]V, len(rows))
	for i, r := range rows {
		values[i] = f(r)
	}
	return values
}

// collection is what the field says, which claims leave empty: they are no faces.
func (r row) collection() string {
	if r.isClaim() {
		return ""
	}
	return r.key().Collection
}

func (t *remote) remove(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return t.sdk.Delete(ctx, t.collection, "", anyOf(ids))
}

func (t *remote) read(ctx context.Context, s idRange, limit int) ([]row, error) {
	s.expiries = t.expiries
	fields := []string{idField, generationField}
	if s.fields >= withoutVector {
		fields = t.metadataFields()
	}
	if s.fields == allFields {
		fields = append(fields, vectorField)
	}
	if s.chips && t.chips {
		fields = append(fields, chipField)
	}
	return t.query(ctx, s.partitions, s.expression(), fields, limit, entity.ClStrong)
}

func (t *remote) users(ctx context.Context, keys ...key) ([]row, error) {
	limit := maxRead
	if len(keys) == 1 {
		limit = maxUserRows
	}
	return t.query(ctx, []string{facesPartition, claimsPartition}, ofAny(keys), append(t.metadataFields(), headField), limit, entity.ClStrong)
}

// query returns rows in the order of their IDs.
func (t *remote) query(ctx context.Context, partitions []string, expression string, fields []string, limit int,
	level entity.ConsistencyLevel,
) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	columns, err := t.sdk.Query(ctx, t.collection, partitions, expression, fields,
		client.WithSearchQueryConsistencyLevel(level), client.WithLimit(int64(limit)))
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf(columns, columns.GetColumn(idField), columns.Len())
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
	return rows, err
}

func (t *remote) countUsers(ctx context.Context, collection string) (int, error) {
	const count = "count(*)"
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	expression := inCollection(collection) + " and " + headField + " == true"
	columns, err := t.sdk.Query(ctx, t.collection, []string{facesPartition}, expression, []string{count}, strong())
	if err != nil {
		return 0, err
	}
	column, ok := columns.GetColumn(count).(*entity.ColumnInt64)
	if !ok || column.Len() != 1 {
		return 0, errors.New("the server returned no count")
	}
	return int(column.Data()[0]), nil
}

func (t *remote) nearest(ctx context.Context, collection string, vector []float32, limit int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	parameters, err := searchParameters(t.cfg, limit)
	if err != nil {
		return nil, err
	}
	results, err := t.sdk.Search(ctx, t.collection, []string{facesPartition}, inCollection(collection),
		append(t.metadataFields()[1:], vectorField),
		[]entity.Vector{entity.FloatVector(vector)}, vectorField, metric, limit, parameters, strong())
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("the server returned %d results for one search", len(results))
	}
	// The client reports an error of its own with a result that is empty.
	if results[0].ResultCount == 0 {
		return nil, nil
	}
	if results[0].Err != nil {
		return nil, results[0].Err
	}
	return rowsOf(results[0].Fields, results[0].IDs, results[0].ResultCount)
}

func (t *remote) check(ctx context.Context) error {
	if _, err := t.read(ctx, idRange{partitions: []string{facesPartition, claimsPartition}}, 1); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return t.checkIndex(ctx)
}

func (t *remote) close() error { return t.sdk.Close() }

// rowsOf turns n values of each column that is there into rows.
func rowsOf(columns client.ResultSet, ids entity.Column, n int) ([]row, error) {
	if n == 0 {
		return nil, nil
	}
	rows := make([]row, n)
	err := fill(rows, ids, (*entity.ColumnVarChar).Data, func(r *row, v string) { r.id = v })
	for _, column := range columns {
		if err != nil {
			return nil, err
		}
		switch column.Name() {
		case ownerField:
			err = fill(rows, column, (*entity.ColumnVarChar).Data, func(r *row, v string) { r.owner = v })
		case enrolledAtField:
			err = fill(rows, column, (*entity.ColumnInt64).Data, func(r *row, v int64) { r.enrolledAt = v })
		case expiresAtField:
			err = fill(rows, column, (*entity.ColumnInt64).Data, func(r *row, v int64) { r.expiresAt = v })
		case generationField:
			err = fill(rows, column, (*entity.ColumnInt64).Data, func(r *row, v int64) { r.generation = v })
		case headField:
			err = fill(rows, column, (*entity.ColumnBool).Data, func(r *row, v bool) { r.head = v })
		case vectorField:
			err = fill(rows, column, (*entity.ColumnFloatVector).Data, func(r *row, v []float32) { r.vector = slices.Clone(v) })
		case chipField:
			err = fillChips(rows, column)
		}
	}
	if err == nil && slices.ContainsFunc(rows, func(r row) bool { return !wellFormed(r.id) }) {
		err = errForeignRow
	}
	return rows, err
}

// fill puts the values of a column into rows. A column of another type or length
// than asked for is an error.
func fill[C entity.Column, V any](rows []row, column entity.Column, data func(C) []V, set func(*row, V)) error {
	typed, ok := column.(C)
	if !ok || typed.Len() != len(rows) {
		return errors.New("a column has an unexpected type or length")
	}
	for i, v := range data(typed) {
		set(&rows[i], v)
	}
	return nil
}
