package pgstore

import (
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// A page of a scan has at most pageRows faces, and of long vectors or chips as many as
// take pageBytes.
const (
	pageRows  = 1000
	pageBytes = 1 << 20
)

// The statements of a page. They continue behind a face; no face has an empty ID, so
// that a user and "" stand for the place before all faces of the user.
const (
	behindFace = ` FROM {schema}.faces WHERE collection = $1 AND (user_id, face_id) > ($2, $3)`
	inOrder    = ` ORDER BY user_id, face_id LIMIT $4`
	ofOwner    = ` AND owner = $5`

	withoutVector = `SELECT user_id, face_id, owner, enrolled_at, expires_at, NULL::{pgvector}.vector, `
	withVector    = `SELECT user_id, face_id, owner, enrolled_at, expires_at, vector, `
	withoutChip   = `NULL::bytea`
	withChip      = `chip`
)

// Scan implements ports.StoreDriver. It reads a page at a time, each with a
// statement of its own, and holds neither a connection nor a lock while it
// yields.
func (d *Driver) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		limit := d.pageLimit(selection)
		for user, face := selection.From, ""; ; {
			page, err := d.page(ctx, selection, user, face, limit)
			if err != nil {
				yield(ports.Record{}, mapError(err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
			last := page[len(page)-1]
			user, face = last.UserID, last.FaceID
		}
	}
}

// pageLimit returns how many faces a page of a selection may have.
func (d *Driver) pageLimit(selection ports.Selection) int {
	bytes := 1
	if !selection.WithoutVectors {
		bytes += 4 * d.space.Dimension
	}
	if selection.WithChips {
		bytes += ports.MaxChipBytes
	}
	return min(pageRows, max(1, pageBytes/bytes))
}

func (d *Driver) page(ctx context.Context, selection ports.Selection, user, face string, limit int) ([]ports.Record, error) {
	vector, chip, condition, args := withVector, withoutChip, behindFace, []any{user, face, limit}
	if selection.WithoutVectors {
		vector = withoutVector
	}
	if selection.WithChips {
		chip = withChip
	}
	if owner, one := selection.Owners.Only(); one {
		condition, args = condition+ofOwner, append(args, owner)
	}
	return d.records(ctx, selection.Collection, vector+chip+condition+inOrder, args...)
}

// records runs a query for faces of a collection, which is its $1.
func (d *Driver) records(ctx context.Context, collection, query string, args ...any) ([]ports.Record, error) {
	return collect(ctx, d, readSettings, func(row pgx.CollectableRow) (ports.Record, error) {
		r := ports.Record{Collection: collection}
		var enrolledAt time.Time
		var expiresAt *time.Time
		var vector *pgvector.Vector
		err := row.Scan(&r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &expiresAt, &vector, &r.Chip)
		r.EnrolledAt, r.ExpiresAt = enrolledAt.UTC(), timeOf(expiresAt)
		if vector != nil {
			r.Vector = vector.Slice()
		}
		return r, err
	}, query, append([]any{collection}, args...)...)
}
