package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"imago/config"
)

// Start connects and makes sure that the database has what the store needs: the
// extension, the schema, the tables, and the space of the vectors, which the
// first start in a schema settles for ever; ctx bounds that time only. It fails
// with a sentence for the operator when the server cannot be reached, lacks
// pgvector and may not get it, or holds vectors of another embedding space
// (ports.ErrSpaceMismatch), and leaves no connection behind then. An index that
// is configured and missing is built after Start has returned. A store starts
// once.
func (s *Store) Start(ctx context.Context) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.state.Load() != idle {
		return errors.New("pgstore: a store can be started only once")
	}
	if err := s.open(ctx); err != nil {
		return during(ctx, "cannot open", err)
	}
	if s.graph != nil {
		s.graph.start()
	}
	s.state.Store(open)
	return nil
}

func (s *Store) open(ctx context.Context) error {
	if err := checkIndex(s.cfg, s.space.Dimension); err != nil {
		return err
	}
	began := time.Now()
	cfg, err := settings(s.cfg)
	if err != nil {
		return err
	}
	sess, err := s.setup(ctx, cfg.ConnConfig)
	if err != nil {
		return err
	}
	cfg.AfterConnect = sess.prepare
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return err
	}
	s.pool = pool
	if s.cfg.Index == config.IndexHNSW {
		s.graph = newGraph(s.cfg, s.space.Dimension, sess, cfg.ConnConfig, s.log)
	}
	s.log.Info("pgstore: opened", "host", cfg.ConnConfig.Host, "database", cfg.ConnConfig.Database,
		"schema", s.cfg.Schema, "index", s.cfg.Index, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// Close refuses new calls, waits for those that are under way and disconnects.
// It returns when that is done or ctx ends; in the latter case it goes on by
// itself. Calling it again waits again.
func (s *Store) Close(ctx context.Context) error {
	s.refuse()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pgstore: close: %w", ctx.Err())
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
			s.graph.close()
			s.pool.Close()
		}()
	}
}
