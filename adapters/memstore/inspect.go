package memstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"imago/config"
	"imago/ports"
)

// Inspect reports whether a Store with these settings could open its file, and
// how many faces are in it. It changes nothing in the file, which may be in use
// by a running imago; SQLite may leave an empty log beside it. The errors are
// those of Start; a file that is not there yet is fs.ErrNotExist.
func Inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space) (faces int, err error) {
	faces, err = inspect(ctx, cfg, space)
	if err != nil {
		return 0, cannotOpen(cfg.Path, err)
	}
	return faces, nil
}

func inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space) (faces int, err error) {
	vault, err := newVault(cfg.Encryption, space)
	if err != nil {
		return 0, err
	}
	path, err := filepath.EvalSymlinks(cfg.Path)
	if err != nil {
		return 0, err
	}
	if path, err = filepath.Abs(path); err != nil {
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
	return d.look(space, cfg.Encryption.Convert)
}

// look judges the file as opening it would.
func (d *database) look(space ports.Space, convert bool) (faces int, err error) {
	fresh, err := d.identify()
	if err != nil || fresh {
		return 0, err
	}
	if err := d.checkSpace(space); err != nil {
		return 0, err
	}
	if _, err := d.plan(convert); err != nil {
		return 0, err
	}
	return faces, d.row("SELECT count(*) FROM face").Scan(&faces)
}
