package memstore

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"imago/config"
	"imago/ports"
)

// scanPage is how many records a scan copies at a time.
const scanPage = 256

// The states of a Store.
const (
	idle int32 = iota
	open
	closed
)

// Store is an exact ports.VectorStore in RAM, durable where a path is
// configured. It is safe for concurrent use. Every call before Start and after
// Close answers ports.ErrUnavailable.
//
// Searches and other reads never wait for the disk. Writes share commits; a
// failed commit (a full disk, say) answers ports.ErrUnavailable to all who
// shared it and changes nothing, and the next write tries anew.
type Store struct {
	cfg       config.MemoryStore
	space     ports.Space
	log       *slog.Logger
	wipeDelay time.Duration

	starting sync.Mutex // held while the state changes
	state    atomic.Int32
	index    *index
	writer   *writer // from Start on
}

var (
	_ ports.VectorStore   = (*Store)(nil)
	_ ports.HealthChecker = (*Store)(nil)
)

// New returns a store for vectors of a space. It is of no use until started.
func New(cfg config.MemoryStore, space ports.Space, log *slog.Logger) *Store {
	return &Store{
		cfg: cfg, space: space, log: log, wipeDelay: wipeDelay,
		index: newIndex(space.Dimension, cfg.SearchThreads),
	}
}

// Add implements ports.VectorStore.
func (s *Store) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	return during("add", s.add(ctx, r, mode))
}

func (s *Store) add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := ports.ValidateMode(mode); err != nil {
		return err
	}
	if err := ports.ValidateRecord(r, s.space.Dimension); err != nil {
		return err
	}
	// The caller may leave early and use its vector again.
	r.Vector = slices.Clone(r.Vector)
	return s.writer.do(ctx, change{mode, r})
}

// Remove implements ports.VectorStore. The vectors are overwritten in the
// database at once, and gone from its write-ahead log some seconds later. Of an
// ID a copy may, rarely, stay in the unused part of a page until that is used
// again.
func (s *Store) Remove(ctx context.Context, collection, userID, owner string) error {
	return during("remove", s.remove(ctx, collection, userID, owner))
}

func (s *Store) remove(ctx context.Context, collection, userID, owner string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := ports.ValidateRemoval(collection, userID, owner); err != nil {
		return err
	}
	mode := removal
	if owner != "" {
		mode |= ports.IfOwner
	}
	return s.writer.do(ctx, change{mode, ports.Record{Collection: collection, UserID: userID, Owner: owner}})
}

// Get implements ports.VectorStore.
func (s *Store) Get(ctx context.Context, collection, userID string) ([]ports.Record, error) {
	records, err := s.get(ctx, collection, userID)
	return records, during("get", err)
}

func (s *Store) get(ctx context.Context, collection, userID string) ([]ports.Record, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := ports.ValidateUser(collection, userID); err != nil {
		return nil, err
	}
	records := s.index.get(collection, userID)
	if len(records) == 0 {
		return nil, ports.ErrNotFound
	}
	return records, nil
}

// Search implements ports.VectorStore. It is a comparison with every face of the
// collection, on as many cores as the configuration allows; searches that come at the
// same time share one.
func (s *Store) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	matches, err := s.search(ctx, q)
	return matches, during("search", err)
}

func (s *Store) search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := ports.ValidateQuery(q, s.space.Dimension); err != nil {
		return nil, err
	}
	return s.index.search(ctx, q)
}

// Count implements ports.VectorStore.
func (s *Store) Count(ctx context.Context, collection string) (int, error) {
	if err := s.readable(ctx, collection); err != nil {
		return 0, during("count", err)
	}
	return s.index.count(collection), nil
}

// Scan implements ports.VectorStore. It copies a page at a time and holds
// nothing while it yields.
func (s *Store) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		at := cursor{user: selection.From}
		for {
			var page []ports.Record
			err := s.ready(ctx)
			if err == nil {
				err = ports.ValidateSelection(selection)
			}
			if err == nil {
				page, at = s.index.page(selection, at, scanPage)
			}
			for i := 0; i < len(page) && err == nil; i++ {
				if err = ctx.Err(); err == nil && !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(ports.Record{}, during("scan", err))
				return
			}
			if len(page) < scanPage {
				return
			}
		}
	}
}

// ready returns why a call cannot be answered now, nil when it can.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch s.state.Load() {
	case open:
		return nil
	case closed:
		return errClosed
	default:
		return errNotOpen
	}
}

// readable is ready for a call about a collection.
func (s *Store) readable(ctx context.Context, collection string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return ports.ValidateCollection(collection)
}
