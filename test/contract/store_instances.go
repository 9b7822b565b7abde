package contract

import (
	"context"
	"testing"
	"time"

	"imago/core/vectorstore"
	"imago/ports"
)

// TwoInstances returns a harness whose stores are two instances over the same data: one
// takes all writes, the other answers all reads. Every promise holds of the two.
func TwoInstances(h StoreHarness) StoreHarness {
	both := h
	pair := func(tb testing.TB, writer ports.VectorStore) ports.VectorStore {
		return &instances{VectorStore: h.Second(tb, writer), writer: writer}
	}
	both.Open = func(tb testing.TB, space ports.Space) ports.VectorStore { return pair(tb, h.Open(tb, space)) }
	both.Second = func(tb testing.TB, s ports.VectorStore) ports.VectorStore { return pair(tb, s.(*instances).writer) }
	both.Reopen = func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
		writer, err := h.Reopen(tb, s.(*instances).writer, space)
		if err != nil {
			return nil, err
		}
		return pair(tb, writer), nil
	}
	both.Fill = func(tb testing.TB, s ports.VectorStore, records []ports.Record) {
		h.Fill(tb, s.(*instances).writer, records)
	}
	return both
}

// instances reads from one store and writes to another.
type instances struct {
	ports.VectorStore
	writer ports.VectorStore
}

func (i *instances) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	return i.writer.Add(ctx, r, mode)
}

func (i *instances) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	return i.writer.Remove(ctx, removal, owners)
}

// Retain has both instances expire the same users.
func (i *instances) Retain(r vectorstore.Retention) {
	i.VectorStore.(keeper).Retain(r)
	i.writer.(keeper).Retain(r)
}

func (i *instances) Expired(ctx context.Context, collection string, at time.Time, limit int) ([]string, error) {
	return i.VectorStore.(keeper).Expired(ctx, collection, at, limit)
}

func (i *instances) Expire(ctx context.Context, user ports.UserKey, at time.Time) error {
	return i.writer.(keeper).Expire(ctx, user, at)
}
