package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Start connects and makes sure that the Milvus collection is there, of the
// store's embedding space, with the index that is configured, and loaded; the
// first start settles the space for ever. It waits for the server as long as
// store.milvus.connect_timeout says, and for the collection to be loaded, which
// for a large one takes minutes, until ctx ends. It fails with a sentence for the
// operator when the server cannot be reached, turns the credentials down, or holds
// something else or vectors of another space (ports.ErrSpaceMismatch), and leaves
// no connection behind then. A store starts once.
//
// An index of another kind than configured is replaced, during which no instance
// can search; all instances must be configured alike, and one that is not reports
// itself unhealthy.
func (s *Store) Start(ctx context.Context) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.state.Load() != idle {
		return errors.New("milvusstore: a store can be started only once")
	}
	began := time.Now()
	t, err := s.open(ctx)
	if err != nil {
		return during(ctx, "cannot open the collection "+s.cfg.Collection+" at "+s.cfg.Address, err)
	}
	s.serve(t)
	s.log.Info("milvusstore: opened", "address", s.cfg.Address, "collection", s.cfg.Collection,
		"index", s.cfg.Index, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// serve begins to answer calls.
func (s *Store) serve(t table) {
	s.table = t
	// The sweeper goes on until Close, not only while the store starts.
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	sweeps := &sweeper{store: s}
	running.Go(func() { sweeps.run(ctx) })
	s.stop = func() { stop(); running.Wait() }
	s.state.Store(open)
}

// Close refuses new calls, ends what goes on in the background and disconnects;
// calls that are under way answer ports.ErrUnavailable. It returns when that is
// done or ctx ends; in the latter case it goes on by itself. Calling it again
// waits again and answers the same.
func (s *Store) Close(ctx context.Context) error {
	s.refuse()
	select {
	case <-s.stopped:
		return s.failure
	case <-ctx.Done():
		return fmt.Errorf("milvusstore: close: %w", ctx.Err())
	}
}

// refuse closes the store to new calls and begins to disconnect.
func (s *Store) refuse() {
	s.starting.Lock()
	defer s.starting.Unlock()
	switch s.state.Swap(closed) {
	case idle:
		close(s.stopped)
	case open:
		go func() {
			defer close(s.stopped)
			s.stop()
			if err := s.table.close(); err != nil {
				s.failure = fmt.Errorf("milvusstore: close: %w", err)
			}
		}()
	}
}
