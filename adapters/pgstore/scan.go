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

// nextPage continues behind a face; no face has an empty ID, so that a user and
// "" stand for the place before all faces of the user.
const nextPage = `
	SELECT user_id, face_id, owner, enrolled_at, vector FROM faces
	WHERE collection = $1 AND (user_id, face_id) > ($2, $3)
	ORDER BY user_id, face_id LIMIT $4`

// Scan implements ports.VectorStore. It reads a page at a time, each with a
// statement of its own, and holds neither a connection nor a lock while it
// yields.
func (s *Store) Scan(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		limit := min(pageRows, max(1, pageBytes/(4*max(1, s.space.Dimension))))
		for user, face := from, ""; ; {
			page, err := s.page(ctx, collection, user, face, limit)
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

func (s *Store) page(ctx context.Context, collection, user, face string, limit int) ([]ports.Record, error) {
	if err := s.readable(ctx, collection); err != nil {
		return nil, err
	}
	return s.records(ctx, collection, nextPage, user, face, limit)
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
		var vector pgvector.Vector
		err := row.Scan(&r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &vector)
		r.EnrolledAt, r.Vector = enrolledAt.UTC(), vector.Slice()
		return r, err
	})
}
