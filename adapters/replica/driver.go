package replica

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"imago/ports"
)

// Source is the store that is copied.
type Source interface {
	ports.StoreDriver
	ports.ChangeFeed
}

// Options are the settings of a replica.
type Options struct {
	Dimension int // of the vectors
	Threads   int // that a search may use; 0 for one per core
	MaxFaces  int // a gallery with more is searched in the store; at least 1
	Log       *slog.Logger
}

// Driver is a ports.StoreDriver that searches in memory. Everything but Search is the
// source's. Any number of replicas may follow one source.
type Driver struct {
	Source
	follower  *follower
	fallbacks atomic.Int64
}

var (
	_ ports.StoreDriver = (*Driver)(nil)
	_ ports.Replica     = (*Driver)(nil)
)

// New returns a replica of a source, which is opened and closed with it.
func New(source Source, options Options) *Driver {
	return &Driver{Source: source, follower: newFollower(source, options)}
}

// Open implements ports.StoreDriver. It does not wait for the copy: searches are answered by
// the source until it is there, and Check says so.
func (d *Driver) Open(ctx context.Context) error {
	if err := d.Source.Open(ctx); err != nil {
		return err
	}
	d.follower.start()
	return nil
}

// Search implements ports.StoreDriver. It sees whatever was acknowledged anywhere before it
// began: either the source has confirmed since then that the copy has it, or the source
// answers.
func (d *Driver) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	c, err := d.follower.confirmed(ctx)
	if err != nil {
		return nil, err
	}
	if c != nil {
		if matches, ok, err := c.search(ctx, q); ok {
			return matches, err
		}
	}
	d.fallbacks.Add(1)
	return d.Source.Search(ctx, q)
}

// Check implements ports.StoreDriver. A replica that has just been opened cannot serve before
// it has its copy, or knows that it cannot have one: searches in the source would be too slow
// for what it is given to do.
func (d *Driver) Check(ctx context.Context) error {
	if err := d.Source.Check(ctx); err != nil {
		return err
	}
	if !d.follower.settled.Load() {
		return fmt.Errorf("%w: %w: reading the faces into memory, %d so far", ports.ErrUnavailable, ports.ErrNotReady, d.follower.faces.Load())
	}
	return nil
}

// Close implements ports.StoreDriver.
func (d *Driver) Close() error {
	d.follower.close()
	return d.Source.Close()
}

// Notify implements ports.Replica.
func (d *Driver) Notify(fn func(error)) { d.follower.notify = fn }

// Stats implements ports.Replica.
func (d *Driver) Stats() ports.ReplicaStats {
	f := d.follower
	return ports.ReplicaStats{
		Usable: f.usable.Load(), Faces: f.faces.Load(), Bytes: f.bytes.Load(), Behind: f.behind.Load(), Applied: f.applied.Load(),
		Loads: f.loads.Load(), Checks: f.checks.Load(), FailedChecks: f.failedChecks.Load(), Fallbacks: d.fallbacks.Load(),
	}
}
