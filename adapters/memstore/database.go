package memstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/gofrs/flock"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"imago/config"
	"imago/ports"
)

// busyTimeout is how long SQLite waits for another process, such as the
// sqlite3 tool, that is writing to the file.
const busyTimeout = 5 * time.Second

// database is the SQLite file. Only the writer's goroutine uses it once it is
// open, through one connection; its statements therefore need no context.
type database struct {
	path string
	file os.FileInfo // which file was opened
	lock *flock.Flock
	pool *sql.DB
	conn *sql.Conn

	dimension int // of a vector
	vault     vault
	log       *slog.Logger

	statements
	slots    slots
	contents tally
	witness  *witness // from the end of load on
}

// openDatabase opens or creates the file of a store, and encrypts what is not
// encrypted as configured; ctx bounds the latter. On an error nothing stays open
// or locked.
func openDatabase(ctx context.Context, cfg config.MemoryStore, space ports.Space, log *slog.Logger) (*database, error) {
	vault, err := newVault(cfg.Encryption, space)
	if err != nil {
		return nil, err
	}
	path, lock, err := claim(cfg.Path)
	if err != nil {
		return nil, err
	}
	d := &database{path: path, lock: lock, dimension: space.Dimension, vault: vault, log: log}
	err = d.open(space)
	if err == nil {
		err = d.bringUpToDate(ctx)
	}
	if err == nil {
		err = d.unlock(ctx, cfg.Encryption.Convert)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *database) open(space ports.Space) error {
	source := url.URL{Path: d.path}
	pool, err := sql.Open("sqlite3", "file:"+source.EscapedPath()+fmt.Sprintf("?mode=rw&_busy_timeout=%d", busyTimeout.Milliseconds()))
	if err != nil {
		return err
	}
	d.pool = pool
	if d.conn, err = pool.Conn(context.Background()); err != nil {
		return err
	}
	if d.file, err = os.Stat(d.path); err != nil {
		return err
	}
	fresh, err := d.identify()
	if err != nil {
		return err
	}
	if fresh {
		before, err := hear(d.path)
		if err := errors.Join(err, before.refuses(d.path, "", 0)); err != nil {
			return err
		}
	}
	if err := d.configure(fresh); err != nil {
		return err
	}
	if err := d.addFunction(); err != nil {
		return err
	}
	if fresh {
		err = d.createSchema(space)
	} else {
		err = d.checkSpace(space)
	}
	return err
}

// bringUpToDate upgrades the tables of an earlier imago and makes sure that no
// commit is missing.
func (d *database) bringUpToDate(ctx context.Context) error {
	version, err := d.version()
	if err != nil {
		return err
	}
	if version < schemaVersion {
		if err := d.upgrade(ctx, version); err != nil {
			return err
		}
	}
	if err := d.prepare(); err != nil {
		return err
	}
	return d.hearWitness()
}

// hearWitness reads what ought to be in the file and hears the witness.
func (d *database) hearWitness() error {
	before, err := hear(d.path)
	if err != nil {
		return err
	}
	id, err := d.meta(metaFile)
	if err != nil {
		return err
	}
	known, err := d.loadContents()
	if err != nil {
		return err
	}
	if known {
		return before.refuses(d.path, id, d.contents.commits)
	}
	if before != nil && before.id == id {
		d.contents.commits = before.commits
	}
	d.log.Warn("memstore: the file is accepted as it is", "path", d.path)
	return d.acceptFaces()
}

// testify begins to remember commits outside of the file.
func (d *database) testify() error {
	id, err := d.meta(metaFile)
	if err == nil {
		d.witness, err = newWitness(d.path, testimony{id, d.contents.commits})
	}
	return err
}

// configure sets what SQLite leaves to each connection, and the size of pages
// before there is one.
//
// synchronous=FULL flushes the log at each commit: without it a commit may be
// lost when power fails. secure_delete overwrites with zeros what is deleted.
// temp_store keeps what SQLite sets aside off the disk. The rest refuses what a
// damaged or forged file could bring along. https://sqlite.org/pragma.html
func (d *database) configure(fresh bool) error {
	if fresh {
		if err := d.exec(fmt.Sprintf("PRAGMA page_size = %d", pageSize)); err != nil {
			return err
		}
	}
	var mode string
	if err := d.row("PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its file system has no write-ahead logging (SQLite chose %q); put it on a local disk", mode)
	}
	return d.exec(`
		PRAGMA synchronous = FULL;
		PRAGMA fullfsync = ON;
		PRAGMA checkpoint_fullfsync = ON;
		PRAGMA secure_delete = ON;
		PRAGMA temp_store = MEMORY;
		PRAGMA foreign_keys = ON;
		PRAGMA trusted_schema = OFF;
		PRAGMA cell_size_check = ON;
		PRAGMA cache_size = -16384`)
}

// present checks that the path still leads to the file that was opened, since
// what is written to any other would not be found again.
func (d *database) present() error {
	if file, err := os.Stat(d.path); err != nil || !os.SameFile(file, d.file) {
		return errFileGone
	}
	return nil
}

// close empties the log, closes the file and gives up the lock. It also cleans
// up after a failed open.
func (d *database) close() error {
	var errs []error
	if d.conn != nil {
		errs = append(errs, d.statements.close(), d.conn.Close())
	}
	if d.pool != nil {
		errs = append(errs, d.pool.Close())
	}
	return errors.Join(append(errs, d.witness.close(), d.lock.Unlock())...)
}

func (d *database) exec(query string, args ...any) error {
	_, err := d.conn.ExecContext(context.Background(), query, args...)
	return err
}

func (d *database) row(query string, args ...any) *sql.Row {
	return d.conn.QueryRowContext(context.Background(), query, args...)
}
