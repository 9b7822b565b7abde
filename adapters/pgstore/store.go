package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"imago/config"
	"imago/ports"
)

// The states of a Store.
const (
	idle int32 = iota
	open
	closed
)

// Store is a ports.VectorStore in a schema of a PostgreSQL database. It is safe
// for concurrent use, and any number of stores may share a schema. Every call
// before Start and after Close answers ports.ErrUnavailable. A server that went
// away is found again without a restart.
type Store struct {
	cfg   config.PGVectorStore
	space ports.Space
	log   *slog.Logger

	starting sync.Mutex // held while the state changes
	state    atomic.Int32
	pool     *pgxpool.Pool // from Start on
	graph    *graph        // from Start on; nil where searches are exact
	stopped  chan struct{} // closed when Close has done its work
}

var (
	_ ports.VectorStore   = (*Store)(nil)
	_ ports.HealthChecker = (*Store)(nil)
)

// New returns a store for vectors of a space. It is of no use until started.
func New(cfg config.PGVectorStore, space ports.Space, log *slog.Logger) *Store {
	return &Store{cfg: cfg, space: space, log: log, stopped: make(chan struct{})}
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
	records, err := s.records(ctx, collection, `
		SELECT user_id, face_id, owner, enrolled_at, vector FROM faces
		WHERE collection = $1 AND user_id = $2 ORDER BY face_id`, userID)
	if err == nil && len(records) == 0 {
		err = ports.ErrNotFound
	}
	return records, err
}

// Count implements ports.VectorStore. Its time is proportional to the answer.
func (s *Store) Count(ctx context.Context, collection string) (int, error) {
	n, err := s.count(ctx, collection)
	return n, during(ctx, "count", err)
}

func (s *Store) count(ctx context.Context, collection string) (n int, err error) {
	if err := s.readable(ctx, collection); err != nil {
		return 0, err
	}
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM users WHERE collection = $1`, collection).Scan(&n)
	return n, err
}

// CheckHealth implements ports.HealthChecker: it asks the server whether the
// schema is still there, still of the same space, and may be written to. It
// waits for a free connection as every call does.
func (s *Store) CheckHealth(ctx context.Context) error {
	return during(ctx, "health", s.checkHealth(ctx))
}

func (s *Store) checkHealth(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	var identity, name string
	var readOnly bool
	err := s.pool.QueryRow(ctx, `SELECT identity, name, pg_is_in_recovery() FROM space`).Scan(&identity, &name, &readOnly)
	switch {
	case err != nil:
		return err
	case readOnly:
		return fmt.Errorf("%w: the server is a replica that takes no writes", ports.ErrUnavailable)
	}
	return s.compareSpace(identity, name)
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
