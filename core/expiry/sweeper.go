package expiry

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"imago/core/outage"
	"imago/ports"
)

const (
	// Operation is that of the lines of the audit log.
	Operation = "expire"
	// address stands where other lines have the address of a client.
	address = "imago"

	// batchUsers is how many users are erased between two looks at the clock, and workers
	// how many at once.
	batchUsers = 64
	workers    = 8
	// holdFactor is how many times Options.Within a clock that was set forward must stand
	// before anybody is erased by it.
	holdFactor = 4
	// callLimit bounds one call to the store.
	callLimit = time.Minute
)

// Store is what a Sweeper needs of vectorstore.Store.
type Store interface {
	// Expired returns the IDs of at most limit users of a collection who have expired at a
	// time.
	Expired(ctx context.Context, collection string, at time.Time, limit int) ([]string, error)
	// Expire removes a user who has expired at that time, or answers ports.ErrNotFound.
	Expire(ctx context.Context, user ports.UserKey, at time.Time) error
}

// Options are the settings of a Sweeper.
type Options struct {
	// Collections are the collections whose users are erased.
	Collections []string
	// Within is how long after the expiry, or the start, a user is erased at the latest.
	Within time.Duration
	// Audit writes a line of the audit log; nil for none. Where Required is set, nobody is
	// erased without one.
	Audit    func(ports.AuditEntry) error
	Required bool
	// Erased, where set, is called with the users of a collection that were erased.
	Erased func(collection string, users int)
}

// Sweeper erases expired users from Start to Close. Any number of instances may do so over
// one store: each user is erased once.
type Sweeper struct {
	store Store
	o     Options
	log   *slog.Logger
	clock steadyClock

	stop    context.CancelFunc // nil before Start
	stopped chan struct{}
}

// New returns a Sweeper that does not run yet.
func New(store Store, o Options, log *slog.Logger) *Sweeper {
	return &Sweeper{
		store: store, o: o, log: log.With("component", "expiry"),
		clock:   steadyClock{read: systemClock(), hold: holdFactor * o.Within},
		stopped: make(chan struct{}),
	}
}

// Start begins to erase, half of Options.Within later: a clock that is wrong when a machine
// has booted has time to be set right.
func (s *Sweeper) Start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.clock.now()
	go s.run(ctx)
	return nil
}

// Close ends the erasing and waits for calls that are under way.
func (s *Sweeper) Close(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Sweeper) run(ctx context.Context) {
	defer close(s.stopped)
	ticker := time.NewTicker(s.o.Within / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.sweep(ctx)
		}
	}
}

// sweep erases everybody who has expired. What fails is tried again by the next one.
func (s *Sweeper) sweep(ctx context.Context) {
	for _, collection := range s.o.Collections {
		users, err := s.collection(ctx, collection)
		if users > 0 {
			s.log.Info("expired users erased", "collection", collection, "users", users)
			if s.o.Erased != nil {
				s.o.Erased(collection, users)
			}
		}
		if err != nil && ctx.Err() == nil && !outage.Reported(err) {
			s.log.Error("cannot erase expired users, trying again; no request shows them", "collection", collection, "error", err,
				"retry_ms", (s.o.Within / 2).Milliseconds())
		}
	}
}

// collection erases the expired users of a collection and returns their number.
func (s *Sweeper) collection(ctx context.Context, name string) (users int, err error) {
	for {
		n, more, err := s.batch(ctx, name, s.now())
		users += n
		// Where none of many could be erased, another instance is at it, or the backend has
		// another clock.
		if err != nil || !more || n == 0 {
			return users, err
		}
	}
}

// batch erases some users, and reports whether there may be more.
func (s *Sweeper) batch(ctx context.Context, collection string, at time.Time) (users int, more bool, err error) {
	limited, cancel := context.WithTimeout(ctx, callLimit)
	ids, err := s.store.Expired(limited, collection, at, batchUsers)
	cancel()
	if err != nil {
		return 0, false, err
	}
	var erased atomic.Int64
	var group errgroup.Group
	group.SetLimit(workers)
	for _, id := range ids {
		group.Go(func() error {
			err := s.erase(ctx, ports.UserKey{Collection: collection, UserID: id}, at)
			if err == nil {
				erased.Add(1)
			} else if errors.Is(err, ports.ErrNotFound) {
				return nil // enrolled again, or erased by another instance
			}
			return err
		})
	}
	err = group.Wait()
	return int(erased.Load()), len(ids) == batchUsers, err
}

// erase erases a user, with lines in the audit log.
func (s *Sweeper) erase(ctx context.Context, user ports.UserKey, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := ports.AuditEntry{
		Time: time.Now(), Phase: ports.AuditIntent, RequestID: rand.Text(), Address: address,
		Operation: Operation, Collection: user.Collection, UserID: user.UserID,
	}
	if s.o.Required {
		if err := s.write(e); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	err := s.store.Expire(ctx, user, at)
	e.Phase, e.Status, e.Duration = ports.AuditOutcome, 200, time.Since(e.Time)
	switch {
	case err == nil:
	case !s.o.Required:
		return err
	case errors.Is(err, ports.ErrNotFound):
		e.Status, e.Reasons = 404, []string{"not_found"}
	default:
		e.Status, e.Reasons = 503, []string{"unavailable"}
	}
	if failed := s.write(e); failed != nil {
		s.log.Error("cannot write audit entry", "operation", Operation, "phase", e.Phase, "status", e.Status, "error", failed)
	}
	return err
}

func (s *Sweeper) write(e ports.AuditEntry) error {
	if s.o.Audit == nil {
		return nil
	}
	return s.o.Audit(e)
}

// now returns the time by which users are erased.
func (s *Sweeper) now() time.Time {
	at, jumped := s.clock.now()
	if jumped {
		s.log.Warn("system clock was set forward: users who expire by that are hidden, and erased only when the clock has stood for a while; set it right if it is wrong",
			"ahead_seconds", int(s.clock.ahead.Seconds()), "hold_seconds", int(s.clock.hold.Seconds()))
	}
	return at
}
