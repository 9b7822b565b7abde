package httpapi

import "sync"

// shareOfRest is how many times as much as is left for all a client may hold.
const shareOfRest = 3

// shares divides something of which there is a limited amount among clients. A
// client may hold three times as much as is left: three quarters when it is alone,
// 3/7 each of two, 3/10 each of three, so that whoever comes finds a part of it
// free (dynamic thresholds; Choudhury and Hahne, IEEE/ACM Transactions on
// Networking 6.2, 1998). Whoever holds nothing may take whatever is left. It is safe
// for concurrent use.
type shares struct {
	limit int64

	mu    sync.Mutex
	taken int64
	held  map[string]holding // of the clients that hold something
}

// holding is what a client has, in how many pieces.
type holding struct{ amount, pieces int64 }

func newShares(limit int64) *shares {
	return &shares{limit: limit, held: map[string]holding{}}
}

// take gives a client a new piece of an amount that may grow to most, if there is
// room for that now. The only piece of all may be larger than the limit.
func (s *shares) take(client string, amount, most int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.held[client]
	if s.taken > 0 && !s.room(own, most) {
		return false
	}
	s.add(client, amount, 1)
	return true
}

// grow adds to a piece of a client, if there is room for that now.
func (s *shares) grow(client string, amount int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.held[client]
	onlyOne := own.pieces == 1
	if onlyOfAll := onlyOne && own.amount == s.taken; !onlyOfAll {
		if onlyOne {
			own.amount = 0
		}
		if !s.room(own, amount) {
			return false
		}
	}
	s.add(client, amount, 0)
	return true
}

// room reports whether there is room for a further amount of a client.
func (s *shares) room(own holding, amount int64) bool {
	left := s.limit - s.taken
	return amount <= left && (own.amount == 0 || own.amount+amount <= shareOfRest*left)
}

// give takes a piece of an amount back.
func (s *shares) give(client string, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(client, -amount, -1)
}

func (s *shares) add(client string, amount, pieces int64) {
	own := s.held[client]
	own.amount, own.pieces = own.amount+amount, own.pieces+pieces
	s.taken += amount
	if own.pieces == 0 {
		delete(s.held, client)
		return
	}
	s.held[client] = own
}
