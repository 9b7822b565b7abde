package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// Why a server takes no writes.
var (
	errStandby  = errors.New("the server is a standby that takes no writes")
	errReadOnly = errors.New("the database is read-only (default_transaction_read_only)")
)

// errStale says that a new connection would not be what this one is. Check makes new ones;
// those of a pooler to the server stay.
var errStale = errors.New("the settings of the database have changed, and connections from before are in use (behind PgBouncer, run RECONNECT on its console)")

// validate refuses a standby, which answers with what was true a moment ago, and
// prefers a server that takes writes to one that is read-only. The latter answers
// searches; Check says that it is not enough.
func validate(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, `SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean`).ReadAll()
	if err != nil {
		return err
	}
	row := results[0].Rows[0]
	switch {
	case string(row[0]) == "t":
		return errStandby
	case string(row[1]) == "t":
		// That a primary is not preferred is an error that the library makes here alone.
		return pgconn.ValidateConnectTargetSessionAttrsPreferStandby(ctx, conn)
	}
	return nil
}

// askState asks for the space, for whether writes are possible, and for whether that is
// what a new connection would find too: ALTER DATABASE and ALTER ROLE change new ones only.
const askState = `
	SELECT identity, name, pg_is_in_recovery(), current_setting('transaction_read_only')::boolean, (
		SELECT CASE
			WHEN source IN ('client', 'session') THEN false
			WHEN value IS NULL THEN source IN ('global', 'database', 'user', 'database user')
			ELSE value <> setting::boolean END
		FROM pg_settings LEFT JOIN (
			SELECT split_part(entry, '=', 2)::boolean AS value FROM pg_db_role_setting, unnest(setconfig) AS entry
			WHERE split_part(entry, '=', 1) = 'default_transaction_read_only'
				AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
				AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
			ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC LIMIT 1) AS own ON true
		WHERE pg_settings.name = 'default_transaction_read_only')
	FROM {schema}.space`

// Check implements ports.StoreDriver: it asks the server whether the schema is still
// there and of the same space, and whether every statement of the store could be run, which
// EXPLAIN says without running it: no table, column or privilege may be missing, and
// writes must be possible. It waits for a free connection as every call does.
func (d *Driver) Check(ctx context.Context) error {
	err := d.check(ctx)
	if errors.Is(err, errStale) {
		d.pool.Reset()
		err = d.check(ctx)
	}
	return mapError(err)
}

func (d *Driver) check(ctx context.Context) error {
	var batch pgx.Batch
	batch.Queue(d.sql(askState)).QueryRow(d.compareState)
	face := columns(ports.Record{Vector: make([]float32, d.space.Dimension), EnrolledAt: time.Unix(0, 0)})
	user := []any{"", ""}
	for _, s := range []struct {
		statement string
		args      []any
	}{
		{searchFaces, []any{"", pgvector.NewVector(make([]float32, d.space.Dimension)), 0.0, 1}}, {withVector + withChip + behindFace + inOrder, []any{"", "", "", 1}},
		{insertFirst, face}, {insertNewUsers, new(newUserRows).columns()}, {insertFurther, face}, {insertOne, face},
		{lockUser, user}, {lockUserShared, user}, {deleteFaces, user}, {deleteUser, user},
	} {
		batch.Queue(d.sql(`EXPLAIN `+s.statement), s.args...)
	}
	return d.pool.use(ctx, func(conn *pgxpool.Conn) error { return conn.SendBatch(ctx, &batch).Close() })
}

// compareState compares what askState says with what the store needs.
func (d *Driver) compareState(row pgx.Row) error {
	var identity, name string
	var standby, readOnly, stale bool
	if err := row.Scan(&identity, &name, &standby, &readOnly, &stale); err != nil {
		return err
	}
	switch {
	case stale:
		return errStale
	case standby:
		return ports.Unavailable(errStandby)
	case readOnly:
		return ports.Unavailable(errReadOnly)
	}
	return d.compareSpace(identity, name)
}
