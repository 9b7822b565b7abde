package pgstore

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"imago/config"
	"imago/ports"
)

// Driver is a ports.StoreDriver in a schema of a PostgreSQL database. Any number of
// imagos may share a schema. A server that went away is found again without a restart.
type Driver struct {
	cfg   config.PGVectorStore
	space ports.Space
	log   *slog.Logger

	unlike chan struct{} // has room for the one that adds a face that must not resemble anybody

	// From Open on:
	pool    *pool
	names   *names
	commits *committer
	pruner  *pruner
	hnsw    *hnswIndex // nil where searches are exact
}

var _ ports.StoreDriver = (*Driver)(nil)

// New returns a driver for vectors of a space.
func New(cfg config.PGVectorStore, space ports.Space, log *slog.Logger) *Driver {
	return &Driver{cfg: cfg, space: space, log: log.With("component", "pgstore"), unlike: make(chan struct{}, 1)}
}

// Get implements ports.StoreDriver.
func (d *Driver) Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	records, err := d.records(ctx, user.Collection, withVector+withoutChip+`
		FROM {schema}.faces WHERE collection = $1 AND user_id = $2 ORDER BY face_id`, user.UserID)
	if err == nil && len(records) == 0 {
		err = ports.ErrNotFound
	}
	return records, mapError(err)
}

// Count implements ports.StoreDriver. Its time is proportional to the answer.
func (d *Driver) Count(ctx context.Context, collection string) (int, error) {
	counts, err := collect(ctx, d, readSettings, pgx.RowTo[int], `SELECT count(*) FROM {schema}.users WHERE collection = $1`, collection)
	if err != nil {
		return 0, mapError(err)
	}
	return counts[0], nil
}
