package pgstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"imago/ports"
)

const (
	// expired is whether the faces of one user make that user expired at $3, where those up to
	// $4 do not keep the user; both may be null. Nobody without a face is.
	expired = `coalesce(bool_or(expires_at <= $3::timestamptz), false) OR coalesce(bool_and(enrolled_at <= $4::timestamptz), false)`

	// lookForExpiry tells besides how many faces the user has.
	lookForExpiry = `SELECT ` + expired + `, count(*) FROM {schema}.faces WHERE collection = $1 AND user_id = $2`

	// expiredByBoth is expired by the server's clock too: the earlier of the two counts.
	expiredByBoth = `
		SELECT coalesce(bool_or(expires_at <= $3::timestamptz - ahead), false)
			OR coalesce(bool_and(enrolled_at <= $4::timestamptz - ahead), false), count(*)
		FROM {schema}.faces, greatest($3::timestamptz - clock_timestamp(), interval '0') AS ahead
		WHERE collection = $1 AND user_id = $2`

	// findExpired returns the first users behind $4 who have expired.
	findExpired = `
		SELECT user_id FROM (
			SELECT user_id FROM {schema}.faces WHERE collection = $1 AND expires_at <= $2
			UNION
			SELECT user_id FROM {schema}.faces AS face WHERE collection = $1 AND enrolled_at <= $3 AND NOT EXISTS (
				SELECT FROM {schema}.faces AS later
				WHERE later.collection = face.collection AND later.user_id = face.user_id AND later.enrolled_at > $3)
		) AS found WHERE user_id > $4 ORDER BY user_id LIMIT $5`

	// maxTakeOvers is how often an enrolment tries to take the place of a user who has
	// expired, while others remove and enrol the user.
	maxTakeOvers = 100
)

// addUser enrols a new user, in the place of one who has expired if need be.
func (d *Driver) addUser(ctx context.Context, r ports.Record, c ports.Cutoff) error {
	for range maxTakeOvers {
		err := d.commits.submit(ctx, &r, func(ctx context.Context, q querier) error { return d.insertNew(ctx, q, r) })
		if !errors.Is(err, ports.ErrExists) {
			return err
		}
		var expired bool
		var faces int
		if err := d.pool.use(ctx, func(conn *pgxpool.Conn) error {
			return conn.QueryRow(ctx, d.sql(lookForExpiry), r.Collection, r.UserID, nullable(c.At), nullable(c.EnrolledAt)).Scan(&expired, &faces)
		}); err != nil {
			return mapError(err)
		}
		if faces == 0 {
			continue // removed meanwhile
		}
		if !expired {
			return ports.ErrExists
		}
		err = d.commits.submit(ctx, nil, func(ctx context.Context, q querier) error { return d.takeOver(ctx, q, r, c) })
		if !errors.Is(err, ports.ErrNotFound) {
			return err
		}
	}
	return ports.ErrExists
}

// takeOver replaces a user who has expired by a new one.
func (d *Driver) takeOver(ctx context.Context, q querier, r ports.Record, c ports.Cutoff) error {
	if err := d.lockExpired(ctx, q, lookForExpiry, r.User(), c, ports.ErrExists); err != nil {
		return err
	}
	return d.setFace(ctx, q, r)
}

// lockExpired locks the row of a user who has expired. It answers ports.ErrNotFound where
// there is no such user, and other where the user has not expired.
func (d *Driver) lockExpired(ctx context.Context, q querier, look string, user ports.UserKey, c ports.Cutoff, other error) error {
	if err := changed(ports.ErrNotFound)(q.Exec(ctx, d.sql(lockUser), user.Collection, user.UserID)); err != nil {
		return err
	}
	var expired bool
	err := q.QueryRow(ctx, d.sql(look), user.Collection, user.UserID, nullable(c.At), nullable(c.EnrolledAt)).Scan(&expired, nil)
	if err == nil && !expired {
		return other
	}
	return err
}

// Expire implements ports.StoreDriver. What becomes of the bytes is said at Remove.
func (d *Driver) Expire(ctx context.Context, user ports.UserKey, c ports.Cutoff) error {
	return d.commits.submit(ctx, nil, func(ctx context.Context, q querier) error {
		if err := d.lockExpired(ctx, q, expiredByBoth, user, c, ports.ErrNotFound); err != nil {
			return err
		}
		return changed(ports.ErrNotFound)(q.Exec(ctx, d.sql(deleteUser), user.Collection, user.UserID))
	})
}

// Expired implements ports.StoreDriver. It reads a page at a time, and holds no connection
// while it yields.
func (d *Driver) Expired(ctx context.Context, collection string, c ports.Cutoff) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for behind := ""; ; {
			page, err := collect(ctx, d, readSettings, pgx.RowTo[string], findExpired,
				collection, nullable(c.At), nullable(c.EnrolledAt), behind, pageRows)
			if err != nil {
				yield("", mapError(err))
				return
			}
			for _, id := range page {
				if !yield(id, nil) {
					return
				}
			}
			if len(page) < pageRows {
				return
			}
			behind = page[len(page)-1]
		}
	}
}

// nullable returns a time as an argument; the zero time is null.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// timeOf is the opposite of nullable, in UTC.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
