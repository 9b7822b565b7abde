package vectorstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"imago/ports"
)

// What calls answer before Start and after Close.
var (
	errNotOpen = fmt.Errorf("%w: the store is not open", ports.ErrUnavailable)
	errClosed  = fmt.Errorf("%w: the store is closed", ports.ErrUnavailable)
)

// Start opens the driver; ctx bounds that time only. A store starts once: after a
// Start that failed it may be tried again.
func (s *Store) Start(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.unready != errNotOpen {
		return errors.New(s.name + ": a store can be started only once")
	}
	if s.dimension < 1 {
		return fmt.Errorf("%s: cannot open: %w: vectors of %d numbers", s.name, ports.ErrInvalid, s.dimension)
	}
	if err := s.driver.Open(ctx); err != nil {
		return fmt.Errorf("%s: cannot open: %w", s.name, err)
	}
	s.change(nil)
	return nil
}

// Close refuses new calls, waits for those that are under way and closes the driver. A
// scan ends with its next record; its caller must not wait for Close before. Close
// returns when that is done or ctx ends; in the latter case it goes on by itself.
// Calling it again waits again and answers the same.
func (s *Store) Close(ctx context.Context) error {
	s.beginClose()
	select {
	case <-s.closed:
		return s.failure
	case <-ctx.Done():
		return fmt.Errorf("%s: close: %w", s.name, ctx.Err())
	}
}

func (s *Store) beginClose() {
	s.changing.Lock()
	defer s.changing.Unlock()
	switch s.change(errClosed) {
	case errNotOpen:
		close(s.closed)
	case nil:
		go func() {
			defer close(s.closed)
			s.calls.Wait()
			if err := s.driver.Close(); err != nil {
				s.failure = fmt.Errorf("%s: close: %w", s.name, err)
			}
		}()
	}
}

// change sets what calls answer and returns what they did before.
func (s *Store) change(unready error) (before error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.unready = s.unready, unready
	return before
}

// begin begins a call, which s.calls.Done ends, or returns why there cannot be one: its
// context has ended, the store is not open, or the arguments are wrong.
func (s *Store) begin(ctx context.Context, arguments error) error {
	if err := ports.Ended(ctx); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := cmp.Or(s.unready, arguments); err != nil {
		return err
	}
	s.calls.Add(1)
	return nil
}

// goOn returns why a call that is under way cannot go on, nil when it can.
func (s *Store) goOn(ctx context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return cmp.Or(ports.Ended(ctx), s.unready)
}
