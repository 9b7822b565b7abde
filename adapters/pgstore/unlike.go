package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// lockCollection makes enrolments into a collection that must not resemble anybody wait for
// each other, on all instances, until the transaction ends. Others do not wait.
const lockCollection = `SELECT pg_advisory_xact_lock(hashtextextended($1, hashtextextended($2, 0)))`

// addUnlike adds a face in a transaction of its own that takes it back where the face
// resembles one of another user. Whoever adds one at the same moment waits, and then sees
// this one. Of those who wait here only one takes a connection.
func (d *Driver) addUnlike(ctx context.Context, r ports.Record, mode ports.Mode) error {
	select {
	case d.unlike <- struct{}{}:
		defer func() { <-d.unlike }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return d.commits.alone(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.Exec(ctx, lockCollection, r.Collection, d.cfg.Schema); err != nil {
			return err
		}
		if err := d.addWithin(ctx, q, r, mode); err != nil {
			return err
		}
		return mode.CheckUnlike(ctx, within{d, q}, r)
	})
}

// addWithin adds a face in a transaction.
func (d *Driver) addWithin(ctx context.Context, q querier, r ports.Record, mode ports.Mode) error {
	switch mode.Kind() {
	case ports.KindFurtherFace:
		return d.insertFace(ctx, q, r, mode)
	case ports.KindReplacement:
		return d.replace(ctx, q, r, mode)
	}
	err := d.insertNew(ctx, q, r)
	if !errors.Is(err, ports.ErrExists) {
		return err
	}
	if err = d.takeOver(ctx, q, r, mode.Cutoff()); errors.Is(err, ports.ErrNotFound) {
		return ports.ErrExists // and was removed meanwhile
	}
	return err
}

// within looks for whom a face resembles in the transaction that adds it. A search is exact
// here whatever is configured.
type within struct {
	driver *Driver
	q      querier
}

func (w within) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	rows, err := w.q.Query(ctx, w.driver.sql(searchUsers), q.Collection, pgvector.NewVector(q.Vector), q.MinScore, q.K)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, matchOf)
}

func (w within) Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	rows, err := w.q.Query(ctx, w.driver.sql(`SELECT enrolled_at FROM {schema}.faces WHERE collection = $1 AND user_id = $2`), user.Collection, user.UserID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ports.Record, err error) {
		err = row.Scan(&r.EnrolledAt)
		return r, err
	})
}
