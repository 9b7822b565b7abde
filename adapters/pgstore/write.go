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

	// A replacement is a transaction that locks the user, drops the faces and
	// adds one. One statement would not do: it would not see a face that was
	// added while it waited for the lock. Conditions are looked at behind the
	// lock for the same reason.
	lockUser  = `SELECT FROM users WHERE collection = $1 AND user_id = $2 FOR UPDATE`
	dropFaces = `DELETE FROM faces WHERE collection = $1 AND user_id = $2`
	addFace   = `
		INSERT INTO faces (collection, user_id, face_id, owner, enrolled_at, vector)
		VALUES ($1, $2, $3, $4, $5, $6)`

	// otherOwners counts the faces that stand in the way of a conditional
	// change. The lock of shareUser keeps the user from being removed or
	// replaced until it is made.
	otherOwners = `SELECT count(*) FROM faces WHERE collection = $1 AND user_id = $2 AND owner <> $3`
	shareUser   = `SELECT FROM users WHERE collection = $1 AND user_id = $2 FOR KEY SHARE`

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
	}[mode.Base()]
	if mode.IfOwner() {
		write = s.addIfOwner(mode.Base())
	}
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
	return further(ctx, s.pool, r)
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func further(ctx context.Context, q querier, r ports.Record) error {
	var users, faces int
	err := q.QueryRow(ctx, addFurther, columns(r)...).Scan(&users, &faces)
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
	return s.locked(ctx, lockUser, r.Collection, r.UserID, func(tx pgx.Tx) error { return replacement(ctx, tx, r) })
}

// replacement makes a face the only one of a user whose row is locked.
func replacement(ctx context.Context, tx pgx.Tx, r ports.Record) error {
	if _, err := tx.Exec(ctx, dropFaces, r.Collection, r.UserID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, addFace, columns(r)...)
	return err
}

// addIfOwner returns the write of a mode with the condition ports.IfOwner.
func (s *Store) addIfOwner(base ports.Mode) func(context.Context, ports.Record) error {
	lock, write := shareUser, func(ctx context.Context, tx pgx.Tx, r ports.Record) error { return further(ctx, tx, r) }
	if base == ports.Replacement {
		lock, write = lockUser, replacement
	}
	return func(ctx context.Context, r ports.Record) error {
		return s.locked(ctx, lock, r.Collection, r.UserID, func(tx pgx.Tx) error {
			if err := checkOwner(ctx, tx, r.Collection, r.UserID, r.Owner); err != nil {
				return err
			}
			return write(ctx, tx, r)
		})
	}
}

// locked runs a transaction that begins with a lock of a user's row.
func (s *Store) locked(ctx context.Context, lock, collection, userID string, then func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, lock, collection, userID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ports.ErrNotFound
		}
		return then(tx)
	})
}

// checkOwner answers ports.ErrForbidden when a user has a face of another owner.
// The user's row is locked.
func checkOwner(ctx context.Context, tx pgx.Tx, collection, userID, owner string) error {
	var others int
	if err := tx.QueryRow(ctx, otherOwners, collection, userID, owner).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		return ports.ErrForbidden
	}
	return nil
}

// Remove implements ports.VectorStore. What was removed stays in the files of the
// server until VACUUM FULL has rewritten the table and the server has recycled
// its write-ahead log; see the README.
func (s *Store) Remove(ctx context.Context, collection, userID, owner string) error {
	return during(ctx, "remove", s.remove(ctx, collection, userID, owner))
}

func (s *Store) remove(ctx context.Context, collection, userID, owner string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := ports.ValidateRemoval(collection, userID, owner); err != nil {
		return err
	}
	return retry(ctx, func() error {
		if owner != "" {
			return s.removeIfOwner(ctx, collection, userID, owner)
		}
		tag, err := s.pool.Exec(ctx, removeUser, collection, userID)
		if err == nil && tag.RowsAffected() == 0 {
			return ports.ErrNotFound
		}
		return err
	})
}

func (s *Store) removeIfOwner(ctx context.Context, collection, userID, owner string) error {
	return s.locked(ctx, lockUser, collection, userID, func(tx pgx.Tx) error {
		if err := checkOwner(ctx, tx, collection, userID, owner); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, removeUser, collection, userID)
		return err
	})
}

// columns returns a record as the arguments $1 to $6 of the statements above.
func columns(r ports.Record) []any {
	return []any{r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt, pgvector.NewVector(r.Vector)}
}
