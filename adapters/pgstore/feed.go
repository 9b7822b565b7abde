package pgstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// The feed of changes reads the log that the triggers of 00004_change_log.sql write.

var _ ports.ChangeFeed = (*Driver)(nil)

// errNoLog says that faces may be changed past the log.
var errNoLog = errors.New("faces may be changed past the change log: its triggers are missing or not enabled as ALWAYS, " +
	"or the table of faces has a child, row-level security or a subscription; see the change log in adapters/pgstore/README.md")

// foundation is a text that differs after anything was done that changes faces past the log:
// disabling a trigger and enabling it again, which leaves its row in another version, or
// having the table rewritten, which does so with the table's. It is NULL unless all triggers
// are there and enabled, and while rows can come and go without them: those of child tables,
// those that policies hide, and those that are replicated by rows.
const foundation = `(
	SELECT CASE count(*) WHEN 5 THEN string_agg(tgrelid || '.' || pg_trigger.xmin, ' ' ORDER BY tgname) || ' ' || (
		SELECT pg_class.xmin FROM pg_class WHERE pg_class.oid = '{schema}.faces'::regclass
			AND NOT relhassubclass AND NOT row_security_active(pg_class.oid)
			AND NOT EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = pg_class.oid)) END
	FROM pg_trigger WHERE tgrelid IN ('{schema}.faces'::regclass, '{schema}.commits'::regclass) AND tgenabled = 'A'
		AND tgname IN ('log_inserts', 'log_deletes', 'log_updates', 'log_truncation', 'number_commit'))`

// head asks for the position, and whether it is worth anything: a standby may be behind,
// and without its foundation the log says nothing.
const head = `SELECT number, token::text, ` + foundation + `, pg_is_in_recovery() FROM {schema}.commit_counter`

// since has one row a face of a user who has changed since $1 and $2, and one without face a
// user who has none. Where there is no such user it has one row without user. It is one
// statement, because all it says must be of one moment. OFFSET 0 keeps the planner from
// joining in another way, which would read all faces.
const since = `
	SELECT counter.number, counter.token::text, ` + foundation + `, pg_is_in_recovery(),
		known, changed.xid IS NOT NULL, changed.collection, changed.user_id, face_id, owner, enrolled_at, expires_at, vector
	FROM {schema}.commit_counter AS counter
	CROSS JOIN (SELECT EXISTS (SELECT FROM {schema}.commits WHERE number = $1 AND token = $2::uuid) AS known) AS log
	LEFT JOIN (
		SELECT DISTINCT ON (collection, user_id) xid, collection, user_id
		FROM {schema}.commits CROSS JOIN LATERAL (
			SELECT collection, user_id FROM {schema}.changed_users WHERE changed_users.xid = commits.xid OFFSET 0) AS users
		WHERE commits.number > $1 ORDER BY collection NULLS FIRST, user_id) AS changed ON known
	LEFT JOIN LATERAL (
		SELECT face_id, owner, enrolled_at, expires_at, vector FROM {schema}.faces
		WHERE faces.collection = changed.collection AND faces.user_id = changed.user_id OFFSET 0) AS face ON true
	LIMIT $3`

// everything reads all faces in the order of the table.
const everything = `SELECT collection, user_id, face_id, owner, enrolled_at, expires_at, vector FROM {schema}.faces`

// Head implements ports.ChangeFeed.
func (d *Driver) Head(ctx context.Context) (at ports.Position, err error) {
	err = d.pool.use(ctx, func(conn *pgxpool.Conn) (err error) {
		at, err = d.readHead(ctx, conn)
		return err
	})
	return at, mapError(err)
}

func (d *Driver) readHead(ctx context.Context, q rowQuerier) (ports.Position, error) {
	var p place
	if err := q.QueryRow(ctx, d.sql(head)).Scan(&p.number, &p.token, &p.foundation, &p.standby); err != nil {
		return ports.Position{}, err
	}
	return p.position()
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// place is what the server says of a position.
type place struct {
	number     int64
	token      string
	foundation *string
	standby    bool
}

// position returns the position, whose token is that of the counter and of the foundation.
func (p place) position() (ports.Position, error) {
	switch {
	case p.standby:
		return ports.Position{}, errStandby
	case p.foundation == nil:
		return ports.Position{}, errNoLog
	}
	return ports.Position{Number: p.number, Token: p.token + " " + *p.foundation}, nil
}

// Since implements ports.ChangeFeed.
func (d *Driver) Since(ctx context.Context, from ports.Position, limit int) (delta ports.Delta, err error) {
	token, foundation, _ := strings.Cut(from.Token, " ")
	err = d.pool.use(ctx, func(conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, d.sql(since), from.Number, token, limit+1)
		if err != nil {
			return err
		}
		delta, err = readDelta(rows, foundation, limit)
		if err == nil && (len(delta.Faces) > 0 || delta.Unknown) {
			err = overwriteBuffer(ctx, conn.Conn())
		}
		return err
	})
	return delta, mapError(err)
}

// filler makes the server answer with a message that takes all of the buffer into which a
// connection reads, 8192 bytes, but for five.
const filler = `SELECT repeat(' ', 8181)`

// overwriteBuffer overwrites what the connection has received before. Vectors would stay
// there, long after their faces were removed, until as much is received again.
func overwriteBuffer(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, filler, pgx.QueryExecModeSimpleProtocol)
	return err
}

// changedFace is a row of since.
type changedFace struct {
	place
	known, changed                bool
	collection, user, face, owner *string
	enrolledAt, expiresAt         *time.Time
	vector                        *pgvector.Vector
}

func (c *changedFace) columns() []any {
	return []any{&c.number, &c.token, &c.foundation, &c.standby, &c.known, &c.changed, &c.collection, &c.user, &c.face, &c.owner, &c.enrolledAt, &c.expiresAt, &c.vector}
}

func readDelta(rows pgx.Rows, foundation string, limit int) (delta ports.Delta, err error) {
	defer rows.Close()
	for n := 0; rows.Next(); n++ {
		var row changedFace
		if err := rows.Scan(row.columns()...); err != nil {
			return ports.Delta{}, err
		}
		if delta.To, err = row.position(); err != nil {
			return ports.Delta{}, err
		}
		everybody := row.changed && row.collection == nil
		if !row.known || everybody || n == limit || *row.foundation != foundation {
			for _, face := range delta.Faces {
				clear(face.Vector)
			}
			return ports.Delta{To: delta.To, Unknown: true}, nil
		}
		if row.changed {
			row.addTo(&delta)
		}
	}
	return delta, rows.Err()
}

// addTo adds a row to a delta; those of a user follow one another.
func (c *changedFace) addTo(delta *ports.Delta) {
	key := ports.UserKey{Collection: *c.collection, UserID: *c.user}
	if n := len(delta.Users); n == 0 || delta.Users[n-1] != key {
		delta.Users = append(delta.Users, key)
	}
	if c.face != nil {
		delta.Faces = append(delta.Faces, ports.Record{
			Collection: key.Collection, UserID: key.UserID, FaceID: *c.face, Owner: *c.owner,
			EnrolledAt: c.enrolledAt.UTC(), ExpiresAt: timeOf(c.expiresAt), Vector: c.vector.Slice(),
		})
	}
}

// Snapshot implements ports.ChangeFeed.
func (d *Driver) Snapshot(ctx context.Context, add func(ports.Record) error) (at ports.Position, err error) {
	err = d.pool.use(ctx, func(conn *pgxpool.Conn) error {
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
			if at, err = d.readHead(ctx, tx); err != nil {
				return err
			}
			if err := d.readFaces(ctx, tx, add); err != nil {
				return err
			}
			return overwriteBuffer(ctx, tx.Conn())
		})
	})
	return at, mapError(err)
}

// readFaces decodes the rows itself, into memory that it uses again: of a million faces
// that leaves no garbage with vectors in it, and takes half the time.
func (d *Driver) readFaces(ctx context.Context, tx pgx.Tx, add func(ports.Record) error) error {
	rows, err := tx.Query(ctx, d.sql(everything), pgx.QueryExecModeDescribeExec) // in binary formats
	if err != nil {
		return err
	}
	defer rows.Close()
	r := ports.Record{Vector: make([]float32, d.space.Dimension)}
	defer clear(r.Vector)
	for rows.Next() {
		raw := rows.RawValues()
		if string(raw[0]) != r.Collection {
			r.Collection = string(raw[0])
		}
		if string(raw[3]) != r.Owner {
			r.Owner = string(raw[3])
		}
		r.UserID, r.FaceID = string(raw[1]), string(raw[2])
		if r.EnrolledAt, err = timestamp(rows.FieldDescriptions()[4], raw[4]); err != nil {
			return err
		}
		r.ExpiresAt = time.Time{}
		if raw[5] != nil {
			if r.ExpiresAt, err = timestamp(rows.FieldDescriptions()[5], raw[5]); err != nil {
				return err
			}
		}
		if err := decodeVector(rows.FieldDescriptions()[6], raw[6], r.Vector); err != nil {
			return err
		}
		if err := add(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// epoch is where PostgreSQL's time begins, in microseconds since 1970.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// timestamp decodes a timestamptz: a number of microseconds.
func timestamp(field pgconn.FieldDescription, raw []byte) (time.Time, error) {
	if field.Format != pgtype.BinaryFormatCode || len(raw) != 8 {
		return time.Time{}, errors.New("a time of enrolment in another format than asked for")
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw)) + epoch).UTC(), nil
}

// decodeVector decodes a vector as pgvector sends it: the dimension, 16 unused bits, the numbers.
func decodeVector(field pgconn.FieldDescription, raw []byte, into []float32) error {
	if field.Format != pgtype.BinaryFormatCode || len(raw) != 4+4*len(into) || int(binary.BigEndian.Uint16(raw)) != len(into) {
		return fmt.Errorf("a vector that is not one of %d numbers", len(into))
	}
	for i := range into {
		into[i] = math.Float32frombits(binary.BigEndian.Uint32(raw[4+4*i:]))
	}
	return nil
}
