package pgstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"imago/config"
)

//go:embed migrations/*.sql
var migrations embed.FS

// setupLock is the key of the advisory lock that the imagos of a database hold
// one at a time while they set it up; "imago" in ASCII.
const setupLock = 0x696d61676f

// setup brings a database into the state that the store needs, on a connection
// of its own, and returns the session of the connections that use it. Several
// imagos may do this at once.
func (s *Store) setup(ctx context.Context, connect *pgx.ConnConfig) (session, error) {
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return session{}, err
	}
	// Closing gives up the lock. It must not depend on whether ctx has ended.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ConnectTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := lock(ctx, conn, setupLock); err != nil {
		return session{}, fmt.Errorf("waiting for another imago that sets up the database: %w", err)
	}
	extension, err := prepareDatabase(ctx, conn, s.cfg)
	if err != nil {
		return session{}, err
	}
	sess := sessionOf(s.cfg, extension)
	if err := migrate(ctx, connect, sess); err != nil {
		return session{}, fmt.Errorf("setting up the tables: %w", err)
	}
	if err := sess.prepare(ctx, conn); err != nil {
		return session{}, err
	}
	if err := s.pinSpace(ctx, conn); err != nil {
		return session{}, err
	}
	return sess, s.warnOfGraphs(ctx, conn)
}

// prepareDatabase makes sure that the database is fit to hold the tables, and
// returns the schema that the extension lives in.
func prepareDatabase(ctx context.Context, conn *pgx.Conn, cfg config.PGVectorStore) (extension string, err error) {
	var encoding string
	if err := conn.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return "", err
	}
	if encoding != "UTF8" {
		return "", fmt.Errorf("the database has the encoding %s, and imago needs UTF8; create another database with it", encoding)
	}
	extension, err = ensureExtension(ctx, conn, cfg.Index)
	if err != nil {
		return "", err
	}
	return extension, ensureSchema(ctx, conn, cfg.Schema)
}

// lock waits for an advisory lock of the session. It asks again and again
// instead of waiting in the server, where a statement that waits would hold up
// the building of indexes.
func lock(ctx context.Context, conn *pgx.Conn, key int64) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		var locked bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, key).Scan(&locked)
		if locked || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// ensureExtension makes sure that pgvector is there and of a version that will
// do, and returns the schema that it lives in.
func ensureExtension(ctx context.Context, conn *pgx.Conn, index string) (schema string, err error) {
	schema, version, err := findExtension(ctx, conn)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := createExtension(ctx, conn); err != nil {
			return "", cannotCreate(err)
		}
		schema, version, err = findExtension(ctx, conn)
	}
	if err != nil {
		return "", err
	}
	return schema, checkVersion(version, index)
}

func findExtension(ctx context.Context, conn *pgx.Conn) (schema, version string, err error) {
	err = conn.QueryRow(ctx, `
		SELECT nspname, extversion FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
		WHERE extname = 'vector'`).Scan(&schema, &version)
	return schema, version, err
}

// createExtension puts pgvector where the role's search path has things created, or
// into public where that names no schema that is there.
func createExtension(ctx context.Context, conn *pgx.Conn) error {
	var schema string
	if err := conn.QueryRow(ctx, `SELECT coalesce(current_schema(), 'public')`).Scan(&schema); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, `CREATE EXTENSION vector SCHEMA `+pgx.Identifier{schema}.Sanitize())
	return err
}

// cannotCreate says what to do where the extension cannot be created.
func cannotCreate(err error) error {
	if sqlState(err) == insufficientPrivilege {
		return fmt.Errorf(`the database lacks the extension pgvector, and this role may not create it; `+
			`have an administrator run CREATE EXTENSION vector in this database: %w`, err)
	}
	if sqlState(err) == invalidSchemaName {
		return fmt.Errorf("the database lacks the extension pgvector, and a schema to create it in; "+
			"run CREATE SCHEMA public, or set a search_path that names a schema: %w", err)
	}
	return fmt.Errorf("the extension pgvector cannot be created; install it on the server "+
		"(https://github.com/pgvector/pgvector#installation): %w", err)
}

// checkVersion refuses a pgvector without iterative scans, which came with 0.8,
// for the index that depends on them.
func checkVersion(version, index string) error {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	if index == config.IndexHNSW && (err != nil || major == 0 && minor < 8) {
		return fmt.Errorf("store.pgvector.index hnsw needs pgvector 0.8.0 or newer, and the database has %s; "+
			"install a newer one and run ALTER EXTENSION vector UPDATE, or set store.pgvector.index to exact", version)
	}
	return nil
}

// ensureSchema creates the schema unless it is there; only the former needs a
// privilege.
func ensureSchema(ctx context.Context, conn *pgx.Conn, schema string) error {
	var there bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&there)
	if there || err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{schema}.Sanitize())
	if sqlState(err) == insufficientPrivilege {
		return fmt.Errorf("the schema %s is missing, and this role may not create it; "+
			"have an administrator run CREATE SCHEMA %[1]s AUTHORIZATION with the role's name: %w",
			pgx.Identifier{schema}.Sanitize(), err)
	}
	return err
}

// migrate brings the tables up to date. The caller holds the lock.
func migrate(ctx context.Context, connect *pgx.ConnConfig, sess session) (err error) {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*connect, stdlib.OptionAfterConnect(sess.prepare))
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, folder,
		goose.WithTableName("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("they were made by a newer imago (version %d, this imago knows %d); install that one again", current, target)
	}
	_, err = provider.Up(ctx)
	return err
}

// pinSpace makes the store's space that of a schema which has none yet, and
// otherwise compares the two.
func (s *Store) pinSpace(ctx context.Context, conn *pgx.Conn) error {
	var identity, name string
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO space (identity, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
			s.space.ID(), s.space.String())
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 1 {
			_, err = tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE faces ALTER COLUMN vector TYPE vector(%d)`, s.space.Dimension))
			if err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `SELECT identity, name FROM space`).Scan(&identity, &name)
	})
	if err != nil {
		return err
	}
	return s.compareSpace(identity, name)
}

// compareSpace compares the space of the schema with the store's.
func (s *Store) compareSpace(identity, name string) error {
	if identity == s.space.ID() {
		return nil
	}
	return s.space.Mismatch(fmt.Sprintf("the schema %q", s.cfg.Schema), strings.ToValidUTF8(name, "?"), "set store.pgvector.schema to a new name")
}
