package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// Each of the writes below is one statement or one transaction that either
// begins with the row of the user or consists of nothing else. That row decides
// who comes first; isolation is that of READ COMMITTED, so that whoever had to
// wait for it sees what the other has done.
const (
	// addFirst adds no row when the user exists. Who adds a user at the same
	// moment is waited for.
	addFirst = `
		WITH enrolled AS (
			INSERT INTO users (collection, user_id) VALUES ($1, $2)
			ON CONFLICT DO NOTHING RETURNING collection, user_id)
		INSERT INTO faces (collection, user_id, face_id, owner, enrolled_at, vector)
		SELECT collection, user_id, $3, $4, $5::timestamptz, $6::vector FROM enrolled`

	// addFurther tells the number of users (0 or 1) and of faces added. The
	// lock keeps the user from being removed or replaced meanwhile, and lets
	// others add faces.
	addFurther = `
		WITH enrolled AS MATERIALIZED (
			SELECT collection, user_id FROM users WHERE collection = $1 AND user_id = $2 FOR KEY SHARE),
		added AS (
			INSERT INTO faces (collection, user_id, face_id, owner, enrolled_at, vector)
			SELECT collection, user_id, $3, $4, $5::timestamptz, $6::vector FROM enrolled
			ON CONFLICT DO NOTHING RETURNING 1)
		SELECT (SELECT count(*) FROM enrolled), (SELECT count(*) FROM added)`

	// A replacement is a transaction of these three. One statement would not
	// do: it would not see a face that was added while it waited for the lock.
	lockUser  = `SELECT FROM users WHERE collection = $1 AND user_id = $2 FOR UPDATE`
	dropFaces = `DELETE FROM faces WHERE collection = $1 AND user_id = $2`
	addFace   = `
		INSERT INTO faces (collection, user_id, face_id, owner, enrolled_at, vector)
		VALUES ($1, $2, $3, $4, $5, $6)`

	// removeUser takes the faces along, those too that were added while it
	// waited for the row.
	removeUser = `DELETE FROM users WHERE collection = $1 AND user_id = $2`
)

// Add implements ports.VectorStore.
func (s *Store) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	return during(ctx, "add", s.add(ctx, r, mode))
}

func (s *Store) add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := ports.ValidateMode(mode); err != nil {
		return err
	}
	if err := ports.ValidateRecord(r, s.space.Dimension); err != nil {
		return err
	}
	write := map[ports.Mode]func(context.Context, ports.Record) error{
		ports.First: s.addFirst, ports.Further: s.addFurther, ports.Replacement: s.replace,
	}[mode]
	return retry(ctx, func() error { return write(ctx, r) })
}

func (s *Store) addFirst(ctx context.Context, r ports.Record) error {
	tag, err := s.pool.Exec(ctx, addFirst, columns(r)...)
	if err == nil && tag.RowsAffected() == 0 {
		return ports.ErrExists
	}
	return err
}

func (s *Store) addFurther(ctx context.Context, r ports.Record) error {
	var users, faces int
	err := s.pool.QueryRow(ctx, addFurther, columns(r)...).Scan(&users, &faces)
	switch {
	case err != nil:
		return err
	case users == 0:
		return ports.ErrNotFound
	case faces == 0:
		return ports.ErrExists
	}
	return nil
}

func (s *Store) replace(ctx context.Context, r ports.Record) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, lockUser, r.Collection, r.UserID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ports.ErrNotFound
		}
		if _, err := tx.Exec(ctx, dropFaces, r.Collection, r.UserID); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, addFace, columns(r)...)
		return err
	})
}

// Remove implements ports.VectorStore. The server overwrites what was removed
// when it next vacuums the table.
func (s *Store) Remove(ctx context.Context, collection, userID string) error {
	return during(ctx, "remove", s.remove(ctx, collection, userID))
}

func (s *Store) remove(ctx context.Context, collection, userID string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := ports.ValidateUser(collection, userID); err != nil {
		return err
	}
	return retry(ctx, func() error {
		tag, err := s.pool.Exec(ctx, removeUser, collection, userID)
		if err == nil && tag.RowsAffected() == 0 {
			return ports.ErrNotFound
		}
		return err
	})
}

// columns returns a record as the arguments $1 to $6 of the statements above.
func columns(r ports.Record) []any {
	return []any{r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt, pgvector.NewVector(r.Vector)}
}
