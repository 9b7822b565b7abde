package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"imago/config"
	"imago/ports"
)

// busyTimeout is how long SQLite waits for another process, such as the
// sqlite3 tool, that is writing to the file.
const busyTimeout = 5 * time.Second

// File is the open file of a store, locked for this process. It is for one goroutine at a
// time, but for CheckPresent and Scan; it has one connection, and its statements need no
// context.
type File struct {
	path string
	info os.FileInfo // which file was opened
	lock *flock.Flock
	pool *sql.DB
	conn *sql.Conn

	dimension int // of a vector
	cipher    vectorCipher
	log       *slog.Logger

	header // as it was read last
	statements
	slots    slots
	contents totals
	counter  *commitCounter // at the end of Open
	reading  sync.RWMutex   // held for reading while a page of a scan is read
}

// Open opens or creates the file of a store, encrypts what is not encrypted as configured,
// and reads all faces; each is given the record, which is valid until it returns. It
// creates folders that are missing, for the owner alone. The file that it accepts is
// intact: a row that no imago can have written, or one that is missing, is an error, because
// what is wrong in one place may be wrong in others where it cannot be seen. ctx bounds
// Open only. On an error nothing stays open or locked.
func Open(ctx context.Context, cfg config.MemoryStore, space ports.Space, log *slog.Logger, each func(ports.Record)) (*File, error) {
	began := time.Now()
	f := &File{dimension: space.Dimension, log: log}
	faces, err := f.open(ctx, cfg, space, each)
	if err != nil {
		return nil, openError(cfg.Path, errors.Join(err, f.Close()))
	}
	log.Info("store opened", "path", cfg.Path, "faces", faces, "encrypted", f.cipher.sealingKey() != nil,
		"duration_ms", time.Since(began).Milliseconds())
	return f, nil
}

func (f *File) open(ctx context.Context, cfg config.MemoryStore, space ports.Space, each func(ports.Record)) (faces int, err error) {
	if f.cipher, err = newVectorCipher(cfg.Encryption, space); err != nil {
		return 0, err
	}
	if f.path, f.lock, err = lockFile(cfg.Path); err != nil {
		return 0, err
	}
	if err := f.connect(ctx, "rw"); err != nil {
		return 0, err
	}
	if err := f.prepareTables(ctx, space); err != nil {
		return 0, err
	}
	if err := f.applyEncryption(ctx, cfg.Encryption.Convert); err != nil {
		return 0, err
	}
	if faces, err = f.readAll(ctx, true, each); err != nil {
		return 0, err
	}
	f.counter, err = createCommitCounter(f.path, commitCount{f.meta[metaFile], f.contents.commits})
	return faces, err
}

// connect opens the one connection.
func (f *File) connect(ctx context.Context, mode string) (err error) {
	source := url.URL{Path: f.path}
	f.pool, err = sql.Open("sqlite3", fmt.Sprintf("file:%s?mode=%s&_busy_timeout=%d", source.EscapedPath(), mode, busyTimeout.Milliseconds()))
	if err != nil {
		return err
	}
	if f.conn, err = f.pool.Conn(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	f.info, err = os.Stat(f.path)
	return err
}

// prepareTables creates the tables, or brings those of an earlier imago up to date, and makes
// sure that no commit is missing.
func (f *File) prepareTables(ctx context.Context, space ports.Space) error {
	if err := f.readHeader(); err != nil {
		return err
	}
	before, err := readCommitCounter(f.path)
	if err != nil {
		return err
	}
	if f.fresh {
		err = before.check(f.path, "", 0)
	} else {
		err = f.checkSpace(space)
	}
	if err != nil {
		return err
	}
	if err := f.configure(f.fresh); err != nil {
		return err
	}
	if err := f.registerChecksum(); err != nil {
		return err
	}
	if f.fresh {
		err = f.createSchema(space)
	} else {
		err = f.upgrade(ctx)
	}
	if err != nil {
		return err
	}
	if err := f.readHeader(); err != nil {
		return err
	}
	if err := f.prepare(); err != nil {
		return err
	}
	if known, err := f.checkCommits(before); known || err != nil {
		return err
	}
	if before != nil && before.id == f.meta[metaFile] {
		f.contents.commits = before.commits
	}
	f.log.Warn("accepting the present content of the file: it has no totals to compare with", "path", f.path)
	return f.acceptRows()
}

// checkCommits reads what ought to be in the file and compares it with the commit counter. A
// file that does not say so was accepted as it is by an operator, or was being encrypted.
func (f *File) checkCommits(before *commitCount) (known bool, err error) {
	text := f.meta[metaContents]
	if text == "" {
		return false, nil
	}
	if f.contents, err = parseTotals(text); err != nil {
		return true, err
	}
	return true, before.check(f.path, f.meta[metaFile], f.contents.commits)
}

// configure sets what SQLite leaves to each connection, and the size of pages
// before there is one.
//
// synchronous=FULL flushes the log at each commit: without it a commit may be
// lost when power fails. secure_delete overwrites with zeros what is deleted.
// temp_store keeps what SQLite sets aside off the disk. The rest refuses what a
// damaged or forged file could bring along. https://sqlite.org/pragma.html
func (f *File) configure(fresh bool) error {
	if fresh {
		if err := f.exec(fmt.Sprintf("PRAGMA page_size = %d", pageSize)); err != nil {
			return err
		}
	}
	var mode string
	if err := f.row("PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its file system has no write-ahead logging (SQLite chose %q); put it on a local disk", mode)
	}
	return f.exec(`
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

// CheckPresent returns an error unless the path still leads to the file that was opened:
// what is written to any other would not be found again.
func (f *File) CheckPresent() error {
	if info, err := os.Stat(f.path); err != nil || !os.SameFile(info, f.info) {
		return errFileGone
	}
	return nil
}

// Close empties the log, closes the file and releases the lock. It also cleans
// up after a failed open.
func (f *File) Close() error {
	var errs []error
	if f.conn != nil {
		errs = append(errs, f.statements.close(), f.conn.Close())
	}
	if f.pool != nil {
		errs = append(errs, f.pool.Close())
	}
	if errs = append(errs, f.counter.close()); f.lock != nil {
		errs = append(errs, f.lock.Unlock())
	}
	return errors.Join(errs...)
}

// transact runs steps in one transaction, up to the first that fails: all of their changes
// are made or none.
func (f *File) transact(steps ...func() error) error {
	if err := f.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	var err error
	for i := 0; i < len(steps) && err == nil; i++ {
		err = steps[i]()
	}
	if err == nil {
		err = f.exec("COMMIT")
	}
	if err != nil {
		_ = f.exec("ROLLBACK") // an error where SQLite has rolled back by itself
		f.cipher.resetReserved()
	}
	return err
}

func (f *File) exec(query string, args ...any) error {
	_, err := f.conn.ExecContext(context.Background(), query, args...)
	return err
}

func (f *File) row(query string, args ...any) *sql.Row {
	return f.conn.QueryRowContext(context.Background(), query, args...)
}
