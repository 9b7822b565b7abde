package retry

import (
	"context"
	"errors"
	"time"

	"imago/ports"
)

// Policy says how patient a run is. The waits double from First to Longest and
// end when they would add up to more than Patience; the zero Policy never
// repeats anything.
type Policy struct {
	First, Longest, Patience time.Duration
}

// Default lives through a restart of PostgreSQL (seconds) and of Milvus (half a
// minute with its default session time).
var Default = Policy{First: 100 * time.Millisecond, Longest: 5 * time.Second, Patience: 90 * time.Second}

// Do calls f until it answers something else than ports.ErrUnavailable or
// ports.ErrOverloaded, and returns that, or the last error when patience is at
// its end. When ctx ends meanwhile it returns the context's error.
func (p Policy) Do(ctx context.Context, f func() error) error {
	for b := p.Begin(); ; {
		err := f()
		if !b.Again(ctx, err) {
			if ctx.Err() != nil && transient(err) {
				return ctx.Err()
			}
			return err
		}
	}
}

// Backoff counts the waits of one run of attempts. It serves where the attempt
// is not a function; Do is simpler where it is.
type Backoff struct {
	policy       Policy
	next, waited time.Duration
}

// Begin starts a new run of attempts.
func (p Policy) Begin() *Backoff { return &Backoff{policy: p, next: p.First} }

// Again reports whether an attempt that answered err should be repeated, and
// waits before it says yes. After a no the Backoff is spent.
func (b *Backoff) Again(ctx context.Context, err error) bool {
	if !transient(err) || b.next <= 0 || b.waited+b.next > b.policy.Patience {
		return false
	}
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	b.waited += b.next
	b.next = min(2*b.next, b.policy.Longest)
	return true
}

func transient(err error) bool {
	return errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrOverloaded)
}
