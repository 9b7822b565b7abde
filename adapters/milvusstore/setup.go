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

// layout is the version of what the Milvus collection looks like.
const layout = 1

// retryPause is how long Start waits before it tries to reach the server again.
const retryPause = 200 * time.Millisecond

// label is what the description of the Milvus collection says, as JSON. It settles
// which vectors may be in it.
type label struct {
	Layout int    `json:"imago"`
	Model  string `json:"model"`
	Space  string `json:"space"`
}

// open connects and sets up what is missing.
func (s *Store) open(ctx context.Context) (table, error) {
	if s.space.Dimension < 1 {
		return nil, fmt.Errorf("%w: vectors of %d numbers", ports.ErrInvalid, s.space.Dimension)
	}
	connection, err := dial(ctx, s.cfg, s.log)
	if err != nil {
		return nil, err
	}
	t := newRemote(s.cfg, s.space, connection)
	if err := t.setUp(ctx, s.space); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return newGathering(t), nil
}

// setUp makes the collection ready for use. Any number of instances may do so at
// the same time: each step is either done already, or done again to no effect.
func (t *remote) setUp(ctx context.Context, space ports.Space) error {
	there, err := t.reach(ctx)
	if err != nil {
		return err
	}
	if !there {
		if err := t.create(ctx, space); err != nil {
			return err
		}
	}
	if err := t.compareSpace(ctx, space); err != nil {
		return err
	}
	for _, partition := range []string{facesPartition, claimsPartition} {
		if err := t.createPartition(ctx, partition); err != nil {
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

// reach waits for the server and returns whether the collection is there.
func (t *remote) reach(ctx context.Context) (there bool, err error) {
	err = t.retry(ctx, func(ctx context.Context) (err error) {
		there, err = t.sdk.HasCollection(ctx, t.collection)
		return err
	})
	if rejected(err) {
		err = fmt.Errorf("the server refuses store.milvus.username and password, or token: %w", err)
	}
	return there, err
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
		timer := time.NewTimer(retryPause)
		select {
		case <-timer.C:
		case <-limited.Done():
			timer.Stop()
			return failure
		}
	}
}

// create makes the collection, unless another instance does so at the same time.
func (t *remote) create(ctx context.Context, space ports.Space) error {
	description, err := json.Marshal(label{layout, space.Model, space.ID()})
	if err != nil {
		return err
	}
	schema := entity.NewSchema().WithName(t.collection).WithDescription(string(description)).
		WithField(text(idField, idBytes).WithIsPrimaryKey(true)).
		WithField(text(collectionField, 64)).
		WithField(text(ownerField, 256)).
		WithField(entity.NewField().WithName(enrolledAtField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(generationField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(headField).WithDataType(entity.FieldTypeBool)).
		WithField(entity.NewField().WithName(vectorField).WithDataType(entity.FieldTypeFloatVector).
			WithDim(int64(space.Dimension)))
	// One shard has one order of events, which "all at the same moment" needs.
	const shards = 1
	err = t.sdk.CreateCollection(ctx, schema, shards, client.WithConsistencyLevel(entity.ClStrong))
	if err == nil {
		return nil
	}
	if there, hasErr := t.sdk.HasCollection(ctx, t.collection); hasErr != nil || !there {
		return err
	}
	return nil
}

func text(name string, bytes int64) *entity.Field {
	return entity.NewField().WithName(name).WithDataType(entity.FieldTypeVarChar).WithMaxLength(bytes)
}

// compareSpace reads the label of the collection.
func (t *remote) compareSpace(ctx context.Context, space ports.Space) error {
	described, err := t.sdk.DescribeCollection(ctx, t.collection)
	if err != nil {
		return err
	}
	var found label
	if err := json.Unmarshal([]byte(described.Schema.Description), &found); err != nil || found.Layout < 1 {
		return fmt.Errorf("%w: imago has not made this collection: set store.milvus.collection to another name", ports.ErrInvalid)
	}
	if found.Layout > layout {
		return fmt.Errorf("%w: the collection is of a newer imago", ports.ErrInvalid)
	}
	if found.Space != space.ID() {
		return space.Mismatch("the collection", fmt.Sprintf("%s (%s)", found.Model, found.Space), "set store.milvus.collection to a new name")
	}
	return nil
}

func (t *remote) createPartition(ctx context.Context, partition string) error {
	there, err := t.sdk.HasPartition(ctx, t.collection, partition)
	if err != nil || there {
		return err
	}
	err = t.sdk.CreatePartition(ctx, t.collection, partition)
	if err == nil {
		return nil
	}
	if there, hasErr := t.sdk.HasPartition(ctx, t.collection, partition); hasErr != nil || !there {
		return err
	}
	return nil
}
