package memstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imago/ports"
)

// wipeDelay is how long what has been removed may linger in the write-ahead
// log.
const wipeDelay = 10 * time.Second

// Start opens the file, where one is configured, and reads it into the index;
// ctx bounds that time only. It creates the file, and folders that are missing,
// for the owner alone. It fails with a sentence for the operator when the file
// is in use by another process, damaged, not imago's, of a newer imago, or of
// another embedding space (ports.ErrSpaceMismatch), and leaves nothing behind
// then. A store starts once.
func (s *Store) Start(ctx context.Context) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.state.Load() != idle {
		return errors.New("memstore: a store can be started only once")
	}
	if s.space.Dimension < 1 {
		return fmt.Errorf("memstore: %w: vectors of %d numbers", ports.ErrInvalid, s.space.Dimension)
	}
	db, err := s.openFile(ctx)
	if err != nil {
		s.index.clear()
		return err
	}
	s.writer = newWriter(s.index, db, s.wipeDelay, s.log)
	go s.writer.run()
	s.state.Store(open)
	return nil
}

// openFile returns the database after it was read, nil for RAM only.
func (s *Store) openFile(ctx context.Context) (*database, error) {
	if s.cfg.Path == "" {
		s.log.Warn("memstore: faces are kept in RAM only and are lost at the end; set store.memory.path to keep them")
		return nil, nil
	}
	began := time.Now()
	db, err := openDatabase(ctx, s.cfg, s.space, s.log)
	if err != nil {
		return nil, cannotOpen(s.cfg.Path, err)
	}
	faces, err := db.load(ctx, s.index)
	if err != nil {
		return nil, cannotOpen(s.cfg.Path, errors.Join(err, db.close()))
	}
	s.log.Info("memstore: opened", "path", s.cfg.Path, "faces", faces, "encrypted", db.vault.sealing() != nil, "took", time.Since(began).Round(time.Millisecond))
	return db, nil
}

// Close commits and answers the writes that wait, closes the file and forgets
// the index. It returns when that is done or ctx ends; in the latter case it
// goes on by itself. Calling it again waits again and answers the same.
func (s *Store) Close(ctx context.Context) error {
	w := s.refuse()
	if w == nil {
		return nil
	}
	select {
	case <-w.stopped:
	case <-ctx.Done():
		return during("close", ctx.Err())
	}
	s.index.clear()
	return during("close", w.failure)
}

// refuse closes the store to new calls and asks the writer, if there is one, to
// finish.
func (s *Store) refuse() *writer {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.state.Swap(closed) == open {
		close(s.writer.closing)
	}
	return s.writer
}

// CheckHealth implements ports.HealthChecker. A disk that refuses writes does
// not make the store unhealthy as long as it can answer searches; a file that
// is gone does, because nothing that is enrolled would be kept.
func (s *Store) CheckHealth(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return during("health", err)
	}
	if db := s.writer.database; db != nil {
		return during("health", db.present())
	}
	return nil
}
