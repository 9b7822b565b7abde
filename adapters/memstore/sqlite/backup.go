package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"

	"imago/config"
	"imago/config/regularfile"
	"imago/ports"
)

// backupPages is how many pages are copied between two looks at the context.
const backupPages = 1024

// besides are the suffixes of what SQLite and imago keep beside a database.
var besides = []string{"-journal", "-wal", "-shm", counterSuffix}

// Backup copies the file of a store, which a running imago may have in use, as it is at one
// moment, to a new file that only its owner can read. The copy is then read to its end like
// by Inspect; each is given its records. Encrypted vectors stay encrypted. The target
// appears when it is complete and checked, and never replaces a file: that is
// fs.ErrExist.
func Backup(ctx context.Context, cfg config.MemoryStore, space ports.Space, target string, each func(ports.Record)) (faces int, err error) {
	for _, suffix := range append([]string{""}, besides...) {
		if _, err := os.Lstat(target + suffix); !errors.Is(err, fs.ErrNotExist) {
			return 0, cmp.Or(err, error(&fs.PathError{Op: "create", Path: target + suffix, Err: fs.ErrExist}))
		}
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*") // mode 0600
	if err != nil {
		return 0, err
	}
	partial := file.Name()
	defer func() {
		for _, suffix := range append([]string{""}, besides...) {
			_ = os.Remove(partial + suffix)
		}
	}()
	if err := errors.Join(file.Close(), copyDatabase(ctx, cfg.Path, partial, space)); err != nil {
		return 0, openError(cfg.Path, err)
	}
	copied := cfg
	copied.Path = partial
	if faces, err = Inspect(ctx, copied, space, each); err != nil {
		return 0, fmt.Errorf("the copy does not read back: %w", err)
	}
	return faces, publish(partial, target)
}

// copyDatabase copies the pages of a database that is intact as far as its header and its
// commit counter tell.
func copyDatabase(ctx context.Context, from, to string, space ports.Space) (err error) {
	if from, err = filepath.EvalSymlinks(from); err != nil {
		return err
	}
	if from, err = filepath.Abs(from); err != nil {
		return err
	}
	if info, err := os.Stat(from); err != nil || !info.Mode().IsRegular() {
		return cmp.Or(err, errNotRegular)
	}
	before, err := readCommitCounter(from)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	source, target := &File{path: from, log: quiet}, &File{path: to, log: quiet}
	defer func() { err = errors.Join(err, source.Close(), target.Close()) }()
	if err := source.connect(ctx, "ro"); err != nil {
		return err
	}
	// From the first reading on the connection sees the file as it was then.
	if err := source.exec("BEGIN"); err != nil {
		return err
	}
	if err := source.readHeader(); err != nil {
		return err
	}
	if source.fresh {
		return cmp.Or(before.check(from, "", 0), errors.New("it is empty: there is nothing to back up"))
	}
	if err := source.checkSpace(space); err != nil {
		return err
	}
	if _, err := source.checkCommits(before); err != nil {
		return err
	}
	if err := target.connect(ctx, "rw"); err != nil {
		return err
	}
	if err := copyPages(ctx, source.conn, target.conn); err != nil {
		return err
	}
	// One file, which needs no log beside it; imago turns the log on again.
	return target.exec("PRAGMA journal_mode = DELETE")
}

// copyPages copies all pages with SQLite's online backup.
func copyPages(ctx context.Context, source, target *sql.Conn) error {
	return source.Raw(func(from any) error {
		return target.Raw(func(to any) error {
			backup, err := to.(*sqlite3.SQLiteConn).Backup("main", from.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return err
			}
			for done := false; !done && err == nil; {
				if err = ctx.Err(); err == nil {
					done, err = backup.Step(backupPages)
				}
			}
			return errors.Join(err, backup.Finish())
		})
	})
}

// publish gives a complete file its name, which must be free, for good.
func publish(partial, target string) error {
	file, err := regularfile.Open(partial)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close(), os.Link(partial, target)); err != nil {
		return err
	}
	return regularfile.SyncFolder(filepath.Dir(target))
}
