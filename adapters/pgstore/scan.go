package pgstore

import (
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// A page of a scan has at most pageRows faces, and of long vectors as many as
// take pageBytes.
const (
	pageRows  = 1000
	pageBytes = 1 << 20
)

// The statements of a page. They continue behind a face; no face has an empty ID, so
// that a user and "" stand for the place before all faces of the user.
const (
	behindFace = ` FROM faces WHERE collection = $1 AND (user_id, face_id) > ($2, $3)`
	inOrder    = ` ORDER BY user_id, face_id LIMIT $4`
	ofOwner    = ` AND owner = $5`

	withVector    = `SELECT user_id, face_id, owner, enrolled_at, vector`
	withoutVector = `SELECT user_id, face_id, owner, enrolled_at, NULL::vector`
)

// Scan implements ports.VectorStore. It reads a page at a time, each with a
// statement of its own, and holds neither a connection nor a lock while it
// yields.
func (s *Store) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		limit := pageRows
		if !selection.WithoutVectors {
			limit = min(limit, max(1, pageBytes/(4*max(1, s.space.Dimension))))
		}
		for user, face := selection.From, ""; ; {
			page, err := s.page(ctx, selection, user, face, limit)
			for i := 0; i < len(page) && err == nil; i++ {
				if err = ports.Ended(ctx); err == nil && !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(ports.Record{}, during(ctx, "scan", err))
				return
			}
			if len(page) < limit {
				return
			}
			last := page[len(page)-1]
			user, face = last.UserID, last.FaceID
		}
	}
}

func (s *Store) page(ctx context.Context, selection ports.Selection, user, face string, limit int) ([]ports.Record, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := ports.ValidateSelection(selection); err != nil {
		return nil, err
	}
	columns, condition, args := withVector, behindFace, []any{user, face, limit}
	if selection.WithoutVectors {
		columns = withoutVector
	}
	if owner, one := selection.Owners.Only(); one {
		condition, args = condition+ofOwner, append(args, owner)
	}
	return s.records(ctx, selection.Collection, columns+condition+inOrder, args...)
}

// records runs a query for faces of a collection, which is its $1.
func (s *Store) records(ctx context.Context, collection, query string, args ...any) ([]ports.Record, error) {
	rows, err := s.pool.Query(ctx, query, append([]any{collection}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ports.Record, error) {
		r := ports.Record{Collection: collection}
		var enrolledAt time.Time
		var vector *pgvector.Vector
		err := row.Scan(&r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &vector)
		r.EnrolledAt = enrolledAt.UTC()
		if vector != nil {
			r.Vector = vector.Slice()
		}
		return r, err
	})
}
