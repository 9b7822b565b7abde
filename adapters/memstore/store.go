package memstore

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"imago/adapters/memindex"
	"imago/config"
	"imago/ports"
)

// Driver is an exact ports.StoreDriver in RAM, durable where a path is configured.
//
// Searches and other reads never wait for the disk. Writes share commits; a
// failed commit (a full disk, say) answers ports.ErrUnavailable to all who
// shared it and changes nothing, and the next write is tried all the same.
type Driver struct {
	cfg       config.MemoryStore
	space     ports.Space
	log       *slog.Logger
	wipeDelay time.Duration

	index  *memindex.Index
	writer *writer // from Open on
}

var _ ports.StoreDriver = (*Driver)(nil)

// New returns a driver for vectors of a space.
func New(cfg config.MemoryStore, space ports.Space, log *slog.Logger) *Driver {
	return &Driver{
		cfg: cfg, space: space, log: log.With("component", "memstore"), wipeDelay: wipeDelay,
		index: memindex.New(space.Dimension, cfg.SearchThreads),
	}
}

// errNoChips answers a record with a chip.
var errNoChips = fmt.Errorf("%w: a store in RAM only keeps no chips; set store.memory.path", ports.ErrInvalid)

// Add implements ports.StoreDriver.
func (d *Driver) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if len(r.Chip) > 0 && d.writer.file == nil {
		return errNoChips
	}
	return d.writer.submit(ctx, addition(r, mode))
}

// Remove implements ports.StoreDriver. The vectors and chips are overwritten in the
// database at once, and gone from its write-ahead log some seconds later. Of an
// ID a copy may, rarely, stay in the unused part of a page until that is used
// again.
func (d *Driver) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	return d.writer.submit(ctx, deletion(removal, owners))
}

// Expire implements ports.StoreDriver; what becomes of the bytes is said at Remove.
func (d *Driver) Expire(ctx context.Context, user ports.UserKey, c ports.Cutoff) error {
	return d.writer.submit(ctx, expiration(user, c))
}

// Expired implements ports.StoreDriver. It looks at every user.
func (d *Driver) Expired(_ context.Context, collection string, c ports.Cutoff) iter.Seq2[string, error] {
	return d.index.Expired(collection, c)
}

// Get implements ports.StoreDriver.
func (d *Driver) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	records := d.index.Get(user)
	if len(records) == 0 {
		return nil, ports.ErrNotFound
	}
	return records, nil
}

// Search implements ports.StoreDriver. It is a comparison with every face of the
// collection, on as many cores as the configuration allows; searches that come at the
// same time share one.
func (d *Driver) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	return d.index.Search(ctx, q)
}

// Count implements ports.StoreDriver.
func (d *Driver) Count(_ context.Context, collection string) (int, error) {
	return d.index.Count(collection), nil
}

// Scan implements ports.StoreDriver. It holds nothing while it yields. With chips it reads
// the file.
func (d *Driver) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	if f := d.writer.file; f != nil && selection.WithChips {
		return f.Scan(ctx, selection)
	}
	return d.index.Scan(selection)
}

// Check implements ports.StoreDriver. A disk that refuses writes does not make the
// store unhealthy as long as it can answer searches; a file that is gone does, because
// nothing that is enrolled would be kept.
func (d *Driver) Check(context.Context) error {
	if f := d.writer.file; f != nil {
		return f.CheckPresent()
	}
	return nil
}
