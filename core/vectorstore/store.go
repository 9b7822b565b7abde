package vectorstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"imago/core/outage"
	"imago/ports"
)

// Store is a driver's ports.VectorStore. It is safe for concurrent use. Every call
// before Start and after Close answers ports.ErrUnavailable.
type Store struct {
	name      string
	driver    ports.StoreDriver
	dimension int
	watch     *outage.Watch // nil for none
	retention Retention

	changing sync.Mutex     // held while Start opens the driver and while Close begins
	mu       sync.RWMutex   // guards unready, and that no call begins unless it is nil
	unready  error          // what calls answer; nil while the store is open
	calls    sync.WaitGroup // the calls that are under way
	closed   chan struct{}  // closed when the driver is
	failure  error          // of closing the driver; valid when closed is closed
}

var (
	_ ports.VectorStore   = (*Store)(nil)
	_ ports.HealthChecker = (*Store)(nil)
)

// New returns a store for vectors of a space. The name stands in front of its errors.
// Call Start before use.
func New(name string, driver ports.StoreDriver, space ports.Space) *Store {
	return &Store{name: name, driver: driver, dimension: space.Dimension, unready: errNotOpen, closed: make(chan struct{})}
}

// reads are the calls that work when a check of the driver succeeds.
var reads = []string{callSearch, callGet, callScan, callCount, callExpired, callHealth}

// The calls, as errors and the log name them.
const (
	callAdd    = "add"
	callRemove = "remove"
	callGet    = "get"
	callSearch = "search"
	callScan   = "scan"
	callCount  = "count"
	callHealth = "health"

	callExpired = "expired"
	callExpire  = "expire"
)

// LogOutages has the log told when the driver's backend is lost and when it is back, and so of a
// replica's copy of the faces. Call it before Start.
func (s *Store) LogOutages(log *slog.Logger) {
	log = log.With("component", s.name)
	s.watch = outage.New(log, outage.Words{
		Level: slog.LevelError, Lost: "store lost", Back: "store back",
		Action: "requests are answered 503 until it is back; make sure that the backend runs, can be reached and takes writes",
	})
	if r, ok := s.driver.(ports.Replica); ok {
		r.Notify(tell(outage.New(log, outage.Words{
			Level: slog.LevelWarn, Lost: "searching in the database", Back: "searching in memory again",
			Action: "answers are right but take far longer until the copy in memory can be used again, which is tried without end",
		})))
	}
}

// tell returns what tells a watch about the copy of a replica.
func tell(watch *outage.Watch) func(error) {
	return func(err error) {
		if err == nil {
			watch.Succeeded("check")
			return
		}
		_ = watch.Failed("check", err)
	}
}

// Add implements ports.VectorStore.
func (s *Store) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if err := s.begin(ctx, cmp.Or(validateMode(mode), ValidateRecord(r, s.dimension))); err != nil {
		return s.failed(ctx, callAdd, err)
	}
	defer s.calls.Done()
	// A caller who leaves early may use its memory again.
	r.Vector, r.Chip = slices.Clone(r.Vector), slices.Clone(r.Chip)
	if !r.ExpiresAt.IsZero() {
		r.ExpiresAt = r.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	began := time.Now()
	return s.answered(ctx, callAdd, began, s.driver.Add(ctx, r, mode.Regardless(s.retention.cutoff(r.Collection))))
}

// Remove implements ports.VectorStore.
func (s *Store) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	if err := s.begin(ctx, cmp.Or(validateRemoval(removal), validateOwners(owners))); err != nil {
		return s.failed(ctx, callRemove, err)
	}
	defer s.calls.Done()
	began := time.Now()
	return s.answered(ctx, callRemove, began, s.remove(ctx, removal, owners))
}

// Get implements ports.VectorStore.
func (s *Store) Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	if err := s.begin(ctx, validateUser(user)); err != nil {
		return nil, s.failed(ctx, callGet, err)
	}
	defer s.calls.Done()
	began := time.Now()
	records, err := s.get(ctx, user)
	return records, s.answered(ctx, callGet, began, err)
}

// Search implements ports.VectorStore.
func (s *Store) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if err := s.begin(ctx, validateQuery(q, s.dimension)); err != nil {
		return nil, s.failed(ctx, callSearch, err)
	}
	defer s.calls.Done()
	began := time.Now()
	matches, err := s.search(ctx, q)
	return matches, s.answered(ctx, callSearch, began, err)
}

// Scan implements ports.VectorStore. It ends with ports.ErrUnavailable when the store is
// closed meanwhile.
func (s *Store) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		if err := s.begin(ctx, validateSelection(selection)); err != nil {
			yield(ports.Record{}, s.failed(ctx, callScan, err))
			return
		}
		defer s.calls.Done()
		began := time.Now()
		for r, err := range s.scan(ctx, selection) {
			if err != nil {
				yield(ports.Record{}, s.answered(ctx, callScan, began, err))
				return
			}
			if err := s.goOn(ctx); err != nil {
				yield(ports.Record{}, s.failed(ctx, callScan, err))
				return
			}
			if !yield(r, nil) {
				return
			}
			began = time.Now()
		}
		_ = s.answered(ctx, callScan, began, nil)
	}
}

// Count implements ports.VectorStore.
func (s *Store) Count(ctx context.Context, collection string) (int, error) {
	if err := s.begin(ctx, validateCollection(collection)); err != nil {
		return 0, s.failed(ctx, callCount, err)
	}
	defer s.calls.Done()
	began := time.Now()
	n, err := s.count(ctx, collection)
	return n, s.answered(ctx, callCount, began, err)
}

// CheckHealth implements ports.HealthChecker.
func (s *Store) CheckHealth(ctx context.Context) error {
	if err := s.begin(ctx, nil); err != nil {
		return s.failed(ctx, callHealth, err)
	}
	defer s.calls.Done()
	began := time.Now()
	return s.answered(ctx, callHealth, began, s.driver.Check(ctx))
}

// failed puts the store and the call in front of an error and classifies it.
func (s *Store) failed(ctx context.Context, call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", s.name, call, ports.Classify(ctx, err))
}

// stuck is how long a call takes at least whose deadline passed because of the driver.
const stuck = time.Second

// answered is failed for what the driver has answered to a call that began then. It tells the
// watch what that says of the backend; that a caller has left says nothing.
func (s *Store) answered(ctx context.Context, call string, began time.Time, err error) error {
	err = s.failed(ctx, call, err)
	late := errors.Is(err, context.DeadlineExceeded)
	switch {
	case errors.Is(err, ports.ErrNotReady):
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, ports.ErrSpaceMismatch), late && time.Since(began) >= stuck:
		return s.watch.Failed(call, err)
	case late, errors.Is(err, context.Canceled):
	case call == callHealth:
		s.watch.Healthy(reads...)
	default:
		s.watch.Succeeded(call)
	}
	return err
}
