package retry

import (
	"context"
	"errors"
	"time"

	"imago/ports"
)

// Policy says how long to retry. The waits double from FirstWait up to MaxWait and
// end when their sum would exceed MaxTotal; the zero Policy never retries.
type Policy struct {
	FirstWait, MaxWait, MaxTotal time.Duration
}

// Default survives a restart of PostgreSQL (seconds) and of Milvus (half a minute with
// its default session time).
var Default = Policy{FirstWait: 100 * time.Millisecond, MaxWait: 5 * time.Second, MaxTotal: 90 * time.Second}

// Do calls f until its result is neither ports.ErrUnavailable nor
// ports.ErrOverloaded, and returns that, or the last error when the waits are used up.
// When ctx ends meanwhile it returns the context's error.
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

// Backoff counts the waits of one series of attempts. Where an attempt is a function,
// Do is simpler.
type Backoff struct {
	policy       Policy
	next, waited time.Duration
}

// Begin starts a new series of attempts.
func (p Policy) Begin() *Backoff { return &Backoff{policy: p, next: p.FirstWait} }

// Again waits and reports true if an attempt that returned err should be repeated.
// After it has reported false the Backoff is not used again.
func (b *Backoff) Again(ctx context.Context, err error) bool {
	if !transient(err) || b.next <= 0 || b.waited+b.next > b.policy.MaxTotal {
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
	b.next = min(2*b.next, b.policy.MaxWait)
	return true
}

func transient(err error) bool {
	return errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrOverloaded)
}
