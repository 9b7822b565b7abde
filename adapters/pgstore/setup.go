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
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	versiontable "github.com/pressly/goose/v3/database"

	"imago/config"
)

//go:embed migrations/*.sql
var migrations embed.FS

// setupLock is the key of the advisory lock that the imagos of a database hold
// one at a time while they set it up; "imago" in ASCII.
const setupLock = 0x696d61676f

// setup brings a database into the state that the store needs, and opens the pool. Several
// imagos may do this at once.
func (d *Driver) setup(ctx context.Context, cfg *pgxpool.Config) error {
	return exclusively(ctx, cfg.ConnConfig, setupLock, func(conn *pgx.Conn) error {
		if err := d.chooseExecMode(ctx, cfg.ConnConfig, conn); err != nil {
			return err
		}
		pool, err := openPool(ctx, cfg)
		if err != nil {
			return err
		}
		d.pool = pool
		if err := d.prepare(ctx); err != nil {
			pool.Close()
			return err
		}
		return nil
	})
}

// chooseExecMode has statements not be prepared on the server where a pooler is in
// between, which passes each on to any of its connections, unless the operator has chosen.
// A pooler shows in the process that answers, which is not the one that was announced.
func (d *Driver) chooseExecMode(ctx context.Context, connect *pgx.ConnConfig, conn *pgx.Conn) error {
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() && !strings.Contains(connect.ConnString(), "default_query_exec_mode") {
		connect.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		d.log.Info("connected through a pooler: statements are not prepared on the server")
	}
	return nil
}

func (d *Driver) prepare(ctx context.Context) error {
	extension, err := d.prepareDatabase(ctx)
	if err != nil {
		return err
	}
	d.names = newNames(d.cfg.Schema, extension)
	if err := d.migrate(ctx); err != nil {
		return fmt.Errorf("setting up the tables: %w", err)
	}
	if err := d.pinSpace(ctx); err != nil {
		return err
	}
	return d.warnOfUnusedIndexes(ctx)
}

// prepareDatabase makes sure that the database is fit to hold the tables, and
// returns the schema that the extension lives in.
func (d *Driver) prepareDatabase(ctx context.Context) (extension string, err error) {
	var encoding string
	if err := d.pool.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return "", err
	}
	if encoding != "UTF8" {
		return "", fmt.Errorf("the database has the encoding %s, and imago needs UTF8; create another database with it", encoding)
	}
	extension, err = d.ensureExtension(ctx)
	if err != nil {
		return "", err
	}
	return extension, d.ensureSchema(ctx)
}

// disconnect does so whether or not ctx has ended.
func disconnect(ctx context.Context, conn *pgx.Conn, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	_ = conn.Close(ctx)
}

// exclusively runs f while a transaction holds an advisory lock, on a connection that does
// nothing else: a lock of the session would not outlast a statement behind a pooler. It
// asks again and again instead of waiting in the server, where a statement that waits would
// hold up the building of indexes, and keep a connection of the pooler from the others.
func exclusively(ctx context.Context, connect *pgx.ConnConfig, key int64, f func(*pgx.Conn) error) error {
	connect = connect.Copy()
	// After any other mode the transaction would go on holding a snapshot, for which the
	// building of an index waits.
	connect.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return err
	}
	defer disconnect(ctx, conn, connect.ConnectTimeout)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		locked, err := lock(ctx, conn, key)
		if locked {
			defer func() { _, _ = conn.Exec(ctx, `ROLLBACK`) }() // or else disconnecting releases the lock
			return f(conn)
		}
		if err == nil {
			err = sleep(ctx, pause)
		}
		if err != nil {
			return fmt.Errorf("waiting for another imago to finish: %w", err)
		}
	}
}

func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// lock begins a transaction that holds an advisory lock, and may be idle for as long as
// the work takes; or none where somebody else holds the lock.
func lock(ctx context.Context, conn *pgx.Conn, key int64) (locked bool, err error) {
	tx, err := conn.BeginTx(ctx, writing)
	if err != nil {
		return false, err
	}
	err = tx.QueryRow(ctx, `
		SELECT pg_try_advisory_xact_lock($1), (
			SELECT count(set_config(name, '0', true)) FROM pg_settings
			WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout'))`, key).Scan(&locked, nil)
	if !locked {
		err = errors.Join(err, tx.Rollback(ctx))
	}
	return locked, err
}

// ensureExtension makes sure that pgvector is there and of a version that will
// do, and returns the schema that it lives in.
func (d *Driver) ensureExtension(ctx context.Context) (schema string, err error) {
	schema, version, err := d.findExtension(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := d.createExtension(ctx); err != nil {
			return "", createExtensionError(err)
		}
		d.pool.Reset() // for connections that know its types
		schema, version, err = d.findExtension(ctx)
	}
	if err != nil {
		return "", err
	}
	if err := checkVersion(version, d.cfg.Index); err != nil {
		return "", err
	}
	if d.cfg.Index == config.IndexHNSW && vacuumDamages(version) {
		d.log.Warn("vacuum can damage HNSW indexes of this pgvector: install 0.8.4 or newer, then run the statements", "version", version,
			"statements", "ALTER EXTENSION vector UPDATE; REINDEX INDEX CONCURRENTLY "+pgx.Identifier{d.cfg.Schema, hnswName(d.cfg)}.Sanitize())
	}
	return schema, nil
}

func (d *Driver) findExtension(ctx context.Context) (schema, version string, err error) {
	err = d.pool.QueryRow(ctx, `
		SELECT nspname, extversion FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
		WHERE extname = 'vector'`).Scan(&schema, &version)
	return schema, version, err
}

// createExtension puts pgvector where the role's search path has things created, or
// into public where that names no schema that is there.
func (d *Driver) createExtension(ctx context.Context) error {
	var schema string
	if err := d.pool.QueryRow(ctx, `SELECT coalesce(current_schema(), 'public')`).Scan(&schema); err != nil {
		return err
	}
	_, err := d.pool.Exec(ctx, `CREATE EXTENSION vector SCHEMA `+pgx.Identifier{schema}.Sanitize())
	return err
}

// createExtensionError says what to do where the extension cannot be created.
func createExtensionError(err error) error {
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

// vacuumDamages reports whether a pgvector that checkVersion accepts is older than 0.8.4,
// which mended what vacuum does to an HNSW index.
func vacuumDamages(version string) bool {
	var patch int
	_, err := fmt.Sscanf(version, "0.8.%d", &patch)
	return err == nil && patch < 4
}

// ensureSchema creates the schema unless it is there; only the former needs a
// privilege.
func (d *Driver) ensureSchema(ctx context.Context) error {
	var there bool
	err := d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, d.cfg.Schema).Scan(&there)
	if there || err != nil {
		return err
	}
	_, err = d.pool.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{d.cfg.Schema}.Sanitize())
	if sqlState(err) == insufficientPrivilege {
		return fmt.Errorf("the schema %s is missing, and this role may not create it; "+
			"have an administrator run CREATE SCHEMA %[1]s AUTHORIZATION with the role's name: %w",
			pgx.Identifier{d.cfg.Schema}.Sanitize(), err)
	}
	return err
}

// migrate brings the tables up to date. The caller holds the lock.
func (d *Driver) migrate(ctx context.Context) (err error) {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	store, err := versiontable.NewStore(goose.DialectPostgres, d.sql(`{schema}.migrations`))
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(d.pool.Pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectCustom, db, filledIn{folder, d.names},
		goose.WithStore(versions{store}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("they were created by a newer imago (version %d, this imago knows %d); install that version again", current, target)
	}
	_, err = provider.Up(ctx)
	return err
}

// versions is the table of the migrations, found where its name is quoted, too.
type versions struct{ versiontable.Store }

// TableExists implements versiontable.StoreExtender.
func (v versions) TableExists(ctx context.Context, db versiontable.DBTxConn) (exists bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, v.Tablename()).Scan(&exists)
	return exists, err
}

// pinSpace makes the store's space that of a schema which has none yet, and
// otherwise compares the two.
func (d *Driver) pinSpace(ctx context.Context) error {
	var identity, name string
	err := d.pool.begin(ctx, writing, func(tx pgx.Tx) error {
		// A space that is there needs no write: a read-only database serves searches.
		err := tx.QueryRow(ctx, d.sql(`SELECT identity, name FROM {schema}.space`)).Scan(&identity, &name)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		tag, err := tx.Exec(ctx, d.sql(`INSERT INTO {schema}.space (identity, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`),
			d.space.ID(), d.space.String())
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 1 {
			_, err = tx.Exec(ctx, d.sql(fmt.Sprintf(`ALTER TABLE {schema}.faces ALTER COLUMN vector TYPE {pgvector}.vector(%d)`, d.space.Dimension)))
			if err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, d.sql(`SELECT identity, name FROM {schema}.space`)).Scan(&identity, &name)
	})
	if err != nil {
		return err
	}
	return d.compareSpace(identity, name)
}

// compareSpace compares the space of the schema with the store's.
func (d *Driver) compareSpace(identity, name string) error {
	if identity == d.space.ID() {
		return nil
	}
	return d.space.Mismatch(fmt.Sprintf("the schema %q", d.cfg.Schema), strings.ToValidUTF8(name, "?"), "set store.pgvector.schema to a new name")
}
