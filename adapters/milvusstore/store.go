package milvusstore

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imago/config"
	"imago/ports"
)

// The states of a Store.
const (
	idle int32 = iota
	open
	closed
)

// Store is a ports.VectorStore in a collection of a Milvus server. It is safe for
// concurrent use, and any number of stores may share a Milvus collection. Every
// call before Start and after Close answers ports.ErrUnavailable. A server that
// went away is found again without a restart.
//
// A user can have at most 1000 faces. What is promised of changes that several
// instances make to one user at the same moment is written at claimWindow; after
// an instance has died in the middle of one, the user cannot be changed for 10 to
// 12 seconds.
type Store struct {
	cfg    config.MilvusStore
	space  ports.Space
	log    *slog.Logger
	timing timing
	turns  *turns
	dead   atomic.Pointer[map[string]bool] // see deadClaims

	starting sync.Mutex // held while the state changes
	state    atomic.Int32
	table    table              // from Start on
	stop     context.CancelFunc // ends the sweeper; from Start on
	stopped  chan struct{}      // closed when Close has done its work
	failure  error              // of closing; for whom stopped is closed
}

var (
	_ ports.VectorStore   = (*Store)(nil)
	_ ports.HealthChecker = (*Store)(nil)
)

// New returns a store for vectors of a space. It is of no use until started.
func New(cfg config.MilvusStore, space ports.Space, log *slog.Logger) *Store {
	return &Store{
		cfg: cfg, space: space, log: log,
		timing: productionTiming(), turns: newTurns(), stopped: make(chan struct{}),
	}
}

// Add implements ports.VectorStore.
func (s *Store) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	return during(ctx, "add", s.add(ctx, r, mode))
}

func (s *Store) add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := cmp.Or(ports.ValidateMode(mode), ports.ValidateRecord(r, s.space.Dimension)); err != nil {
		return err
	}
	began := time.Now()
	mine, err := s.turns.take(ctx, key{r.Collection, r.UserID}, s.timing.patience)
	if err != nil {
		return err
	}
	defer s.turns.give(mine)
	// Who waited here while somebody else found out need not ask again: the user
	// did exist during this call.
	if mode == ports.First && mine.seen.After(began) {
		return ports.ErrExists
	}
	asked := time.Now()
	err = s.write(ctx, mine.key, adding(r, mode))
	switch {
	case err == nil:
		mine.seen = time.Now()
	case errors.Is(err, ports.ErrExists):
		mine.seen = asked
	}
	return err
}

// Remove implements ports.VectorStore.
func (s *Store) Remove(ctx context.Context, collection, userID, owner string) error {
	return during(ctx, "remove", s.remove(ctx, collection, userID, owner))
}

func (s *Store) remove(ctx context.Context, collection, userID, owner string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := ports.ValidateRemoval(collection, userID, owner); err != nil {
		return err
	}
	mine, err := s.turns.take(ctx, key{collection, userID}, s.timing.patience)
	if err != nil {
		return err
	}
	defer s.turns.give(mine)
	return s.write(ctx, mine.key, removing(owner))
}

// Get implements ports.VectorStore.
func (s *Store) Get(ctx context.Context, collection, userID string) ([]ports.Record, error) {
	records, err := s.get(ctx, collection, userID)
	return records, during(ctx, "get", err)
}

func (s *Store) get(ctx context.Context, collection, userID string) ([]ports.Record, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := ports.ValidateUser(collection, userID); err != nil {
		return nil, err
	}
	place := key{collection, userID}.span(facesPartition)
	place.wanted = faces
	rows, err := s.table.read(ctx, place, maxUserRows)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ports.ErrNotFound
	}
	records := make([]ports.Record, 0, len(rows))
	for _, r := range latest(rows) {
		records = append(records, r.record())
	}
	slices.SortFunc(records, func(a, b ports.Record) int { return strings.Compare(a.FaceID, b.FaceID) })
	return records, nil
}

// Count implements ports.VectorStore. In a collection of 16384 faces and more it
// counts a user twice for the instant in which the user's faces are being
// replaced.
func (s *Store) Count(ctx context.Context, collection string) (int, error) {
	n, err := s.count(ctx, collection)
	return n, during(ctx, "count", err)
}

func (s *Store) count(ctx context.Context, collection string) (int, error) {
	if err := s.readable(ctx, collection); err != nil {
		return 0, err
	}
	rows, err := s.table.read(ctx, collectionSpan(collection), maxRead)
	if err != nil {
		return 0, err
	}
	if len(rows) >= maxRead {
		return s.table.heads(ctx, collection)
	}
	users := slices.CompactFunc(rows, func(a, b row) bool { return a.key() == b.key() })
	return len(users), nil
}

// CheckHealth implements ports.HealthChecker: it reads from the server, and asks
// whether the index is still the one that is configured.
func (s *Store) CheckHealth(ctx context.Context) error {
	err := s.ready(ctx)
	if err == nil {
		err = s.table.check(ctx)
	}
	return during(ctx, "health", err)
}

// ready returns why a call cannot be answered now, nil when it can.
func (s *Store) ready(ctx context.Context) error {
	if err := ports.Ended(ctx); err != nil {
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
