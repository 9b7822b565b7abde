package memstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"imago/config"
	"imago/ports"
)

// Inspect reports whether a Store with these settings could open its file, and
// how many faces are in it; each is given to look at, in order, and valid until that
// returns. It reads and checks all of it, as Start does, and changes
// nothing in the file, which may be in use by a running imago; SQLite may leave an
// empty log beside it. The errors are those of Start, or of ctx; a file that is not
// there yet is fs.ErrNotExist.
func Inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space, each func(ports.Record)) (faces int, err error) {
	faces, err = inspect(ctx, cfg, space, each)
	if err != nil {
		return 0, cannotOpen(cfg.Path, err)
	}
	return faces, nil
}

func inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space, each func(ports.Record)) (faces int, err error) {
	vault, err := newVault(cfg.Encryption, space)
	if err != nil {
		return 0, err
	}
	path, err := filepath.EvalSymlinks(cfg.Path)
	if err != nil {
		return 0, cmp.Or(missed(cfg.Path), err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return 0, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return 0, errors.New("it is not a regular file") // SQLite would wait for a pipe's other side
	}
	// A running imago goes on: what the witness says now is in what is read next.
	before, err := hear(path)
	if err != nil {
		return 0, err
	}
	source := url.URL{Path: path}
	d := &database{path: path, dimension: space.Dimension, vault: vault, log: slog.New(slog.DiscardHandler)}
	if d.pool, err = sql.Open("sqlite3", "file:"+source.EscapedPath()+fmt.Sprintf("?mode=ro&_busy_timeout=%d", busyTimeout.Milliseconds())); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.pool.Close()) }()
	if d.conn, err = d.pool.Conn(ctx); err != nil {
		return 0, err
	}
	defer d.conn.Close()
	if err := d.exec("BEGIN"); err != nil { // so that all is read of one moment
		return 0, err
	}
	return d.look(ctx, space, cfg.Encryption.Convert, before, each)
}

// missed is what the witness of a file that is not there has to say.
func missed(path string) error {
	before, err := hear(path)
	return cmp.Or(err, before.refuses(path, "", 0))
}

// look judges the file as opening it would.
func (d *database) look(ctx context.Context, space ports.Space, convert bool, before *testimony, each func(ports.Record)) (faces int, err error) {
	fresh, err := d.identify()
	if err != nil {
		return 0, err
	}
	if fresh {
		return 0, before.refuses(d.path, "", 0)
	}
	if err := d.checkSpace(space); err != nil {
		return 0, err
	}
	if d.vault.unbound, err = d.isUnbound(); err != nil {
		return 0, err
	}
	from, err := d.plan(convert)
	if err != nil {
		return 0, err
	}
	version, err := d.version()
	if err != nil {
		return 0, err
	}
	if version < schemaVersion { // nothing in it tells what is damaged
		return faces, d.row("SELECT count(*) FROM face").Scan(&faces)
	}
	d.vault.plain = from == fromPlain
	return d.lookAtFaces(ctx, before, each)
}

// lookAtFaces checks what ought to be in the file and what is.
func (d *database) lookAtFaces(ctx context.Context, before *testimony, each func(ports.Record)) (faces int, err error) {
	id, err := d.meta(metaFile)
	if err != nil {
		return 0, err
	}
	known, err := d.loadContents()
	if err != nil {
		return 0, err
	}
	if known {
		if err := before.refuses(d.path, id, d.contents.commits); err != nil {
			return 0, err
		}
	}
	found, err := d.read(ctx, each)
	if err == nil && known {
		err = d.contents.compare(found)
	}
	if err == nil {
		err = d.loadSlots()
	}
	return int(found.faces), err
}
