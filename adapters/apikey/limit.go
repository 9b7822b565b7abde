package apikey

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"imago/ports"
)

// budget is the token bucket of one client. Nil is no limit. It is safe for
// concurrent use.
type budget struct {
	bucket *rate.Limiter
}

// newBudget returns the budget of a rate in calls per second and a burst; a burst of 0
// is the calls of one second, at least one. A rate of 0 is no limit.
func newBudget(perSecond float64, burst int) *budget {
	if perSecond == 0 {
		return nil
	}
	if burst == 0 {
		burst = max(1, int(math.Ceil(perSecond)))
	}
	return &budget{rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// same reports whether two budgets have the same rate and burst.
func (b *budget) same(other *budget) bool {
	if b == nil || other == nil {
		return b == other
	}
	return b.bucket.Limit() == other.bucket.Limit() && b.bucket.Burst() == other.bucket.Burst()
}

// take consumes one call, or returns a ports.RateLimited with the time to wait. A
// rejected call consumes nothing, so that a client that keeps calling is still served
// at its rate.
func (b *budget) take(now time.Time) error {
	if b == nil || b.bucket.AllowN(now, 1) {
		return nil
	}
	missing := 1 - b.bucket.TokensAt(now)
	wait := time.Duration(missing / float64(b.bucket.Limit()) * float64(time.Second))
	return &ports.RateLimited{After: max(wait, time.Millisecond)}
}

// charge consumes further calls after a request. They may be more than are left: the
// client then waits until the bucket has refilled.
func (b *budget) charge(calls int, now time.Time) {
	if b == nil {
		return
	}
	for burst := b.bucket.Burst(); calls > 0 && burst > 0; calls -= burst {
		b.bucket.ReserveN(now, min(calls, burst))
	}
}

// Charge consumes further calls of a client's rate: its last request counts as more
// than one.
func (k *Keyring) Charge(client string, calls int) {
	for _, key := range k.Current().keys {
		if key.client.Name == client {
			key.budget.charge(calls, k.now())
			return // the client's other keys share it
		}
	}
}
