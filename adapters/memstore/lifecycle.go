package memstore

import (
	"context"
	"fmt"
	"time"

	"imago/adapters/memindex"
	"imago/adapters/memstore/sqlite"
	"imago/config"
	"imago/ports"
)

// wipeDelay is how long removed vectors may stay in the write-ahead log.
const wipeDelay = 10 * time.Second

// Open opens the file, where one is configured, and reads it into the index. It creates
// the file, and folders that are missing, for the owner alone. It fails when the file
// is in use by another process, damaged, not imago's, of a newer imago, or of another
// embedding space.
func (d *Driver) Open(ctx context.Context) error {
	file, err := d.openFile(ctx)
	if err != nil {
		d.forget()
		return err
	}
	d.writer = newWriter(d.index, file, d.wipeDelay, d.log)
	go d.writer.run()
	return nil
}

// openFile returns the file after it was read, nil for RAM only.
func (d *Driver) openFile(ctx context.Context) (file, error) {
	if d.cfg.Path == "" {
		d.log.Warn("faces are kept in memory only and are lost at exit; set store.memory.path to keep them")
		return nil, nil
	}
	loader := memindex.NewLoader(d.index)
	f, err := sqlite.Open(ctx, d.cfg, d.space, d.log, loader.Add)
	loader.Close()
	if err != nil {
		return nil, err
	}
	d.index.Publish()
	return f, nil
}

// Close closes the file and forgets the index.
func (d *Driver) Close() error {
	close(d.writer.closing)
	<-d.writer.stopped
	d.forget()
	return d.writer.failure
}

// forget empties the index.
func (d *Driver) forget() {
	d.index.Clear()
	d.index.Publish()
}

// Inspect reports whether a Driver with these settings could open its file, and how many faces
// are in it; see sqlite.Inspect.
func Inspect(ctx context.Context, cfg config.MemoryStore, space ports.Space, each func(ports.Record)) (faces int, err error) {
	faces, err = sqlite.Inspect(ctx, cfg, space, each)
	if err != nil {
		return 0, fmt.Errorf("memstore: cannot open: %w", err)
	}
	return faces, nil
}

// Backup copies the file of a store to a new one and reads the copy back; see
// sqlite.Backup.
func Backup(ctx context.Context, cfg config.MemoryStore, space ports.Space, target string, each func(ports.Record)) (faces int, err error) {
	faces, err = sqlite.Backup(ctx, cfg, space, target, each)
	if err != nil {
		return 0, fmt.Errorf("memstore: cannot back up: %w", err)
	}
	return faces, nil
}
