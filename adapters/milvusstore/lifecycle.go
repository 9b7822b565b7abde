package milvusstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"imago/ports"
)

// Open connects and makes sure that the Milvus collection is there, of the
// store's embedding space, with the index that is configured, and loaded; the
// first start fixes the space for good. It waits for the server as long as
// store.milvus.connect_timeout says, and for the collection to be loaded, which
// for a large one takes minutes, until ctx ends. It fails when the server cannot be
// reached, turns the credentials down, or holds something else or vectors of another
// space.
//
// An index of another kind than configured is replaced, during which no instance
// can search; all instances must be configured alike, and one that is not reports
// itself unhealthy.
func (d *Driver) Open(ctx context.Context) error {
	began := time.Now()
	t, err := d.open(ctx)
	if err != nil {
		return fmt.Errorf("collection %s at %s: %w", d.cfg.Collection, d.cfg.Address, ports.Classify(ctx, err))
	}
	d.serve(t)
	d.log.Info("store opened", "address", d.cfg.Address, "collection", d.cfg.Collection,
		"index", d.cfg.Index, "duration_ms", time.Since(began).Milliseconds())
	return nil
}

// serve begins to answer calls.
func (d *Driver) serve(t table) {
	d.table = t
	// The cleaner goes on until Close, not only while the store starts.
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	cleaner := &claimCleaner{driver: d}
	running.Go(func() { cleaner.run(ctx) })
	d.stop = func() { stop(); running.Wait() }
}

// Close ends what goes on in the background and disconnects.
func (d *Driver) Close() error {
	d.stop()
	return d.table.close()
}
