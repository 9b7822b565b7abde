package milvusstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"imago/ports"
)

// layout is the version of the schema of the Milvus collection; 1 has no field for the
// expiry, and 2 none for the chip.
const layout = 3

// retryPause is how long Open waits before it tries to reach the server again.
const retryPause = 200 * time.Millisecond

// metadata is the description of the Milvus collection, as JSON. It fixes which vectors
// may be in it.
type metadata struct {
	Layout int    `json:"imago"`
	Model  string `json:"model"`
	Space  string `json:"space"`
}

// open connects and sets up what is missing.
func (d *Driver) open(ctx context.Context) (table, error) {
	connection, err := dial(ctx, d.cfg, d.log)
	if err != nil {
		return nil, err
	}
	t := newRemote(d.cfg, d.space, connection)
	if err := t.setUp(ctx, d.space); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return newBatchingTable(t), nil
}

// setUp makes the collection ready for use. Any number of instances may do so at
// the same time: each step is either done already, or done again to no effect.
func (t *remote) setUp(ctx context.Context, space ports.Space) error {
	hasCollection := func() (bool, error) { return t.sdk.HasCollection(ctx, t.collection) }
	if err := t.waitForServer(ctx); err != nil {
		return err
	}
	if err := ensure(hasCollection, func() error { return t.create(ctx, space) }); err != nil {
		return err
	}
	if err := t.compareSpace(ctx, space); err != nil {
		return err
	}
	for _, partition := range []string{facesPartition, claimsPartition} {
		has := func() (bool, error) { return t.sdk.HasPartition(ctx, t.collection, partition) }
		if err := ensure(has, func() error { return t.sdk.CreatePartition(ctx, t.collection, partition) }); err != nil {
			return err
		}
	}
	if err := t.ensureIndex(ctx); err != nil {
		return err
	}
	if err := t.sdk.LoadCollection(ctx, t.collection, false); err != nil {
		return err
	}
	return t.retry(ctx, t.check)
}

// ensure creates what is missing, unless another instance does so at the same time.
func ensure(has func() (bool, error), create func() error) error {
	if there, err := has(); there || err != nil {
		return err
	}
	failure := create()
	if failure == nil {
		return nil
	}
	if there, err := has(); !there || err != nil {
		return failure
	}
	return nil
}

func (t *remote) waitForServer(ctx context.Context) error {
	err := t.retry(ctx, func(ctx context.Context) error {
		_, err := t.sdk.HasCollection(ctx, t.collection)
		return err
	})
	if rejected(err) {
		err = fmt.Errorf("the server rejected store.milvus.username and password, or token: %w", err)
	}
	return err
}

// retry calls until it succeeds, for as long as connecting may take: a server that
// is starting refuses connections at first, and then calls.
func (t *remote) retry(ctx context.Context, call func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, t.cfg.ConnectTimeout)
	defer cancel()
	var failure error
	for {
		err := call(limited)
		if err == nil || rejected(err) {
			return err
		}
		// What went wrong says more than that time is up.
		if failure == nil || ports.Ended(limited) == nil {
			failure = err
		}
		select {
		case <-time.After(retryPause):
		case <-limited.Done():
			return failure
		}
	}
}

func (t *remote) create(ctx context.Context, space ports.Space) error {
	description, err := json.Marshal(metadata{layout, space.Model, space.ID()})
	if err != nil {
		return err
	}
	schema := entity.NewSchema().WithName(t.collection).WithDescription(string(description)).
		WithField(text(idField, idBytes).WithIsPrimaryKey(true)).
		WithField(text(collectionField, 64)).
		WithField(text(ownerField, 256)).
		WithField(entity.NewField().WithName(enrolledAtField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(expiresAtField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(generationField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(headField).WithDataType(entity.FieldTypeBool)).
		WithField(entity.NewField().WithName(vectorField).WithDataType(entity.FieldTypeFloatVector).
			WithDim(int64(space.Dimension))).
		WithField(newChipField())
	// One shard has one order of events, which "all at the same moment" needs.
	const shards = 1
	return t.sdk.CreateCollection(ctx, schema, shards, client.WithConsistencyLevel(entity.ClStrong))
}

func text(name string, bytes int64) *entity.Field {
	return entity.NewField().WithName(name).WithDataType(entity.FieldTypeVarChar).WithMaxLength(bytes)
}

// compareSpace reads the metadata of the collection, and which fields it has.
func (t *remote) compareSpace(ctx context.Context, space ports.Space) error {
	described, err := t.sdk.DescribeCollection(ctx, t.collection)
	if err != nil {
		return err
	}
	var found metadata
	if err := json.Unmarshal([]byte(described.Schema.Description), &found); err != nil || found.Layout < 1 {
		return fmt.Errorf("%w: the collection was not created by imago: set store.milvus.collection to another name", ports.ErrInvalid)
	}
	if found.Layout > layout {
		return fmt.Errorf("%w: the collection was created by a newer imago: install that version", ports.ErrInvalid)
	}
	t.expiries, t.chips = found.Layout > 1, found.Layout > 2
	if found.Space != space.ID() {
		return space.Mismatch("the collection", fmt.Sprintf("%s (%s)", found.Model, found.Space), "set store.milvus.collection to a new name")
	}
	return nil
}
