package apikey

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"imago/ports"
)

// budget is how often one client may call: a token bucket. Nil is no limit. It
// is safe for concurrent use.
type budget struct {
	bucket *rate.Limiter
}

// newBudget returns the budget of so many calls a second, of which a burst may
// come at once; a burst of 0 is the calls of one second, at least one. A rate of
// 0 is no limit.
func newBudget(perSecond float64, burst int) *budget {
	if perSecond == 0 {
		return nil
	}
	if burst == 0 {
		burst = max(1, int(math.Ceil(perSecond)))
	}
	return &budget{rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// same reports whether two budgets allow the same, whatever is left of them.
func (b *budget) same(other *budget) bool {
	if b == nil || other == nil {
		return b == other
	}
	return b.bucket.Limit() == other.bucket.Limit() && b.bucket.Burst() == other.bucket.Burst()
}

// spend takes one call, or answers with a ports.RateLimited that says when there
// will be one to take. A refused call takes nothing, so that a client that keeps
// asking is served at its rate all the same.
func (b *budget) spend(now time.Time) error {
	if b == nil || b.bucket.AllowN(now, 1) {
		return nil
	}
	missing := 1 - b.bucket.TokensAt(now)
	wait := time.Duration(missing / float64(b.bucket.Limit()) * float64(time.Second))
	return &ports.RateLimited{After: max(wait, time.Millisecond)}
}

// charge takes calls that were found to be due behind a request. They may be more
// than there are: the client then waits until they are paid for.
func (b *budget) charge(calls int, now time.Time) {
	if b == nil {
		return
	}
	for burst := b.bucket.Burst(); calls > 0 && burst > 0; calls -= burst {
		b.bucket.ReserveN(now, min(calls, burst))
	}
}

// Charge takes further calls from what a client's rate allows: its last request was
// worth more than one.
func (k *Keyring) Charge(client string, calls int) {
	keys := k.keys.Load()
	if keys == nil {
		return
	}
	for i := range *keys {
		if (*keys)[i].client.Name == client {
			(*keys)[i].budget.charge(calls, k.now())
		}
	}
}
