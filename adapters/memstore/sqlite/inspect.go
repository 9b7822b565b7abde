package sqlite

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"imago/config"
	"imago/ports"
)

// Inspect reports whether Open would accept the file, and how many faces are in it; each is
// given the records as Open gives them. It reads and checks all of it and changes nothing in
// the file, which may be in use by a running imago; SQLite may leave an empty log beside it.
// The errors are those of Open, or of ctx; a file that is not there yet is fs.ErrNotExist.
// Only Inspect looks for chips without a face.
func Inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space, each func(ports.Record)) (faces int, err error) {
	f := &File{dimension: space.Dimension, log: slog.New(slog.DiscardHandler)}
	faces, err = f.inspect(ctx, cfg, space, each)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, openError(cfg.Path, err)
	}
	return faces, nil
}

func (f *File) inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space, each func(ports.Record)) (faces int, err error) {
	if f.cipher, err = newVectorCipher(cfg.Encryption, space); err != nil {
		return 0, err
	}
	if f.path, err = filepath.EvalSymlinks(cfg.Path); err != nil {
		before, unread := readCommitCounter(cfg.Path)
		return 0, cmp.Or(unread, before.check(cfg.Path, "", 0), err)
	}
	if f.path, err = filepath.Abs(f.path); err != nil {
		return 0, err
	}
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return 0, errNotRegular // SQLite would wait for a pipe's other side
	}
	// A running imago goes on: what the counter has now is in what is read next.
	before, err := readCommitCounter(f.path)
	if err != nil {
		return 0, err
	}
	if err := f.connect(ctx, "ro"); err != nil {
		return 0, err
	}
	if err := f.exec("BEGIN"); err != nil { // so that all is read of one moment
		return 0, err
	}
	if err := f.readHeader(); err != nil {
		return 0, err
	}
	if f.fresh {
		return 0, before.check(f.path, "", 0)
	}
	if err := f.checkSpace(space); err != nil {
		return 0, err
	}
	f.cipher.allowUnbound = f.isUnbound()
	from, err := f.cipher.conversion(f.header, cfg.Encryption.Convert)
	if err != nil {
		return 0, err
	}
	if f.version < checksumVersion { // nothing in it tells what is damaged
		return faces, f.row("SELECT count(*) FROM face").Scan(&faces)
	}
	f.cipher.allowPlain = from == fromPlain
	known, err := f.checkCommits(before)
	if err != nil {
		return 0, err
	}
	if faces, err = f.readAll(ctx, known, each); err != nil {
		return 0, err
	}
	return faces, f.checkChips()
}
