package fairlimit

import "sync"

// maxShareOfFree is how many times the free amount a client may hold.
const maxShareOfFree = 3

// Limit divides a limited amount among clients. A client may hold three times what is
// free: three quarters if it is alone, 3/7 each of two, 3/10 each of three, so that a
// further one always finds some free (dynamic thresholds; Choudhury and Hahne, IEEE/ACM
// Transactions on Networking 6.2, 1998). A client that holds nothing may take all that
// is free. It is safe for concurrent use.
type Limit struct {
	limit int64

	mu    sync.Mutex
	taken int64
	held  map[string]usage // of the clients that hold something
}

// usage is what a client holds, in how many pieces.
type usage struct{ amount, pieces int64 }

// New returns a Limit of which nothing is taken.
func New(limit int64) *Limit {
	return &Limit{limit: limit, held: map[string]usage{}}
}

// Acquire gives a client a new piece of an amount that may grow to most, if that is free
// now. A piece that is the only one of all may be larger than the limit.
func (l *Limit) Acquire(client string, amount, most int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken > 0 && !l.fits(l.held[client], most) {
		return false
	}
	l.add(client, amount, 1)
	return true
}

// Grow adds to a piece of a client, if the amount is free now.
func (l *Limit) Grow(client string, amount int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.held[client]
	onlyOne := own.pieces == 1
	if onlyOfAll := onlyOne && own.amount == l.taken; !onlyOfAll {
		if onlyOne {
			own.amount = 0
		}
		if !l.fits(own, amount) {
			return false
		}
	}
	l.add(client, amount, 0)
	return true
}

// fits reports whether a client may have a further amount.
func (l *Limit) fits(own usage, amount int64) bool {
	free := l.limit - l.taken
	return amount <= free && (own.amount == 0 || own.amount+amount <= maxShareOfFree*free)
}

// Release takes back a piece of an amount.
func (l *Limit) Release(client string, amount int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(client, -amount, -1)
}

func (l *Limit) add(client string, amount, pieces int64) {
	own := l.held[client]
	own.amount, own.pieces = own.amount+amount, own.pieces+pieces
	l.taken += amount
	if own.pieces == 0 {
		delete(l.held, client)
		return
	}
	l.held[client] = own
}
