package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// Each of the writes below is one statement, or several in a transaction that begin with the
// row of the user. That row decides who comes first; isolation is that of READ COMMITTED, so
// that whoever had to wait for it sees what the other has done.
const (
	// insertFirst adds no row when the user exists. Who adds a user at the same
	// moment is waited for.
	insertFirst = `
		WITH enrolled AS (
			INSERT INTO {schema}.users (collection, user_id) VALUES ($1, $2)
			ON CONFLICT DO NOTHING RETURNING collection, user_id)
		INSERT INTO {schema}.faces (collection, user_id, face_id, owner, enrolled_at, expires_at, vector, chip)
		SELECT collection, user_id, $3, $4, $5::timestamptz, $6::timestamptz, $7::{pgvector}.vector, $8::bytea FROM enrolled`

	// insertNewUsers does so for many users and returns those that it has added.
	insertNewUsers = `
		WITH given AS MATERIALIZED (
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::{pgvector}.vector[], $8::bytea[])
				AS given (collection, user_id, face_id, owner, enrolled_at, expires_at, vector, chip)),
		enrolled AS (
			INSERT INTO {schema}.users (collection, user_id) SELECT collection, user_id FROM given
			ON CONFLICT DO NOTHING RETURNING collection, user_id)
		INSERT INTO {schema}.faces (collection, user_id, face_id, owner, enrolled_at, expires_at, vector, chip)
		SELECT collection, user_id, face_id, owner, enrolled_at, expires_at, vector, chip FROM given JOIN enrolled USING (collection, user_id)
		RETURNING collection, user_id`

	// insertFurther adds a face to a user whose row is locked, unless the user has one of that
	// ID. Without an expiry of its own it gets that of the others.
	insertFurther = `
		INSERT INTO {schema}.faces (collection, user_id, face_id, owner, enrolled_at, expires_at, vector, chip)
		VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz,
			(SELECT max(expires_at) FROM {schema}.faces WHERE collection = $1 AND user_id = $2)), $7, $8::bytea)
		ON CONFLICT DO NOTHING`

	// A replacement is a transaction that locks the user, drops the faces and
	// adds one. One statement would not do: it would not see a face that was
	// added while it waited for the lock. Conditions are looked at behind the
	// lock for the same reason.
	lockUser    = `SELECT FROM {schema}.users WHERE collection = $1 AND user_id = $2 FOR UPDATE`
	deleteFaces = `DELETE FROM {schema}.faces WHERE collection = $1 AND user_id = $2`
	insertOne   = `
		INSERT INTO {schema}.faces (collection, user_id, face_id, owner, enrolled_at, expires_at, vector, chip)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bytea)`

	// lockUserShared keeps the user from being removed or replaced, and lets others add
	// faces.
	lockUserShared = `SELECT FROM {schema}.users WHERE collection = $1 AND user_id = $2 FOR KEY SHARE`

	// look tells whether a user has expired, and how many faces of others than one owner
	// the user has.
	look = `
		SELECT ` + expired + `, count(*) FILTER (WHERE owner <> $5::text)
		FROM {schema}.faces WHERE collection = $1 AND user_id = $2`

	// setExpiry gives a user's faces an expiry.
	setExpiry = `
		UPDATE {schema}.faces SET expires_at = $3
		WHERE collection = $1 AND user_id = $2 AND expires_at IS DISTINCT FROM $3`

	// deleteUser takes the faces along, those too that were added while it
	// waited for the row.
	deleteUser = `DELETE FROM {schema}.users WHERE collection = $1 AND user_id = $2`

	// countFaces tells how many faces a user has, and how many of an ID (0 or 1).
	countFaces = `SELECT count(*), count(*) FILTER (WHERE face_id = $3) FROM {schema}.faces WHERE collection = $1 AND user_id = $2`
	deleteFace = `DELETE FROM {schema}.faces WHERE collection = $1 AND user_id = $2 AND face_id = $3`
)

// Add implements ports.StoreDriver.
func (d *Driver) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if _, set := mode.UnlikeScore(); set {
		return d.addUnlike(ctx, r, mode)
	}
	switch mode.Kind() {
	case ports.KindNewUser:
		return d.addUser(ctx, r, mode.Cutoff())
	case ports.KindFurtherFace:
		return d.commits.submit(ctx, nil, func(ctx context.Context, q querier) error { return d.insertFace(ctx, q, r, mode) })
	default:
		return d.commits.submit(ctx, nil, func(ctx context.Context, q querier) error { return d.replace(ctx, q, r, mode) })
	}
}

func (d *Driver) insertNew(ctx context.Context, q querier, r ports.Record) error {
	return changed(ports.ErrExists)(q.Exec(ctx, d.sql(insertFirst), columns(r)...))
}

func (d *Driver) insertFace(ctx context.Context, q querier, r ports.Record, mode ports.Mode) error {
	lock := lockUserShared
	if !r.ExpiresAt.IsZero() {
		lock = lockUser // it may become the expiry of the others
	}
	if err := d.lockUserOf(ctx, q, lock, r.User(), mode.Owners(), mode.Cutoff()); err != nil {
		return err
	}
	err := changed(ports.ErrExists)(q.Exec(ctx, d.sql(insertFurther), columns(r)...))
	if err == nil && !r.ExpiresAt.IsZero() {
		_, err = q.Exec(ctx, d.sql(setExpiry), r.Collection, r.UserID, r.ExpiresAt)
	}
	return err
}

func (d *Driver) replace(ctx context.Context, q querier, r ports.Record, mode ports.Mode) error {
	if err := d.lockUserOf(ctx, q, lockUser, r.User(), mode.Owners(), mode.Cutoff()); err != nil {
		return err
	}
	return d.setFace(ctx, q, r)
}

// setFace makes a face the only one of a user whose row is locked.
func (d *Driver) setFace(ctx context.Context, q querier, r ports.Record) error {
	if _, err := q.Exec(ctx, d.sql(deleteFaces), r.Collection, r.UserID); err != nil {
		return err
	}
	_, err := q.Exec(ctx, d.sql(insertOne), columns(r)...)
	return err
}

// lockUserOf locks a user's row until the transaction ends. It answers ports.ErrNotFound
// when the user has expired, and ports.ErrForbidden when the user has a face of an owner that
// is not included.
func (d *Driver) lockUserOf(ctx context.Context, q querier, lock string, user ports.UserKey, owners ports.Owners, c ports.Cutoff) error {
	if err := changed(ports.ErrNotFound)(q.Exec(ctx, d.sql(lock), user.Collection, user.UserID)); err != nil {
		return err
	}
	var owner *string
	if name, one := owners.Only(); one {
		owner = &name
	}
	var expired bool
	var others int
	err := q.QueryRow(ctx, d.sql(look), user.Collection, user.UserID, nullable(c.At), nullable(c.EnrolledAt), owner).Scan(&expired, &others)
	switch {
	case err != nil:
		return err
	case expired:
		return ports.ErrNotFound
	case others > 0:
		return ports.ErrForbidden
	}
	return nil
}

// Remove implements ports.StoreDriver. What was removed stays in the files of the
// server until VACUUM FULL has rewritten the table and the server has recycled
// its write-ahead log; see the README.
func (d *Driver) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	user := removal.User()
	if face, one := removal.Face(); one {
		return d.commits.submit(ctx, nil, func(ctx context.Context, q querier) error { return d.removeFace(ctx, q, user, face, owners) })
	}
	return d.commits.submit(ctx, nil, func(ctx context.Context, q querier) error {
		if _, one := owners.Only(); one {
			if err := d.lockUserOf(ctx, q, lockUser, user, owners, ports.Cutoff{}); err != nil {
				return err
			}
		}
		return changed(ports.ErrNotFound)(q.Exec(ctx, d.sql(deleteUser), user.Collection, user.UserID))
	})
}

// removeFace counts behind the lock of the user, who keeps a face.
func (d *Driver) removeFace(ctx context.Context, q querier, user ports.UserKey, face string, owners ports.Owners) error {
	if err := d.lockUserOf(ctx, q, lockUser, user, owners, ports.Cutoff{}); err != nil {
		return err
	}
	var all, named int
	err := q.QueryRow(ctx, d.sql(countFaces), user.Collection, user.UserID, face).Scan(&all, &named)
	switch {
	case err != nil:
		return err
	case named == 0:
		return ports.ErrNotFound
	case all == 1:
		return ports.ErrOnlyFace
	}
	_, err = q.Exec(ctx, d.sql(deleteFace), user.Collection, user.UserID, face)
	return err
}

// changed returns the error of a statement, or unchanged where it has found nothing to change.
func changed(unchanged error) func(pgconn.CommandTag, error) error {
	return func(tag pgconn.CommandTag, err error) error {
		if err == nil && tag.RowsAffected() == 0 {
			return unchanged
		}
		return err
	}
}

// columns returns a record as the arguments $1 to $8 of the statements above. These give the
// type of a chip, and do not take it from the table: an argument that does not fit would be
// quoted by the error.
func columns(r ports.Record) []any {
	return []any{r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt, nullable(r.ExpiresAt), pgvector.NewVector(r.Vector), chipOf(r)}
}

// chipOf returns the chip of a record as an argument; none is null.
func chipOf(r ports.Record) []byte {
	if len(r.Chip) == 0 {
		return nil
	}
	return r.Chip
}
