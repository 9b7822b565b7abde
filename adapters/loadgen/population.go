package loadgen

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
)

// userPool holds the users of a generator as numbers. Between begin or take and finish a
// user is not in it. Safe for concurrent use.
type userPool struct {
	limit int

	mu       sync.Mutex
	next     uint64
	enrolled []uint64
	// uncertain are those whose last request has no clear outcome.
	uncertain  []uint64
	inProgress int
}

// begin returns a number to enrol: one that is uncertain, as a client would ask
// again, or a new one. It is false where there are as many as there may be.
func (p *userPool) begin() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.pop(&p.uncertain); ok {
		return n, true
	}
	if len(p.enrolled)+p.inProgress >= p.limit {
		return 0, false
	}
	p.next++
	p.inProgress++
	return p.next, true
}

// pop takes the last of a list, if there is one.
func (p *userPool) pop(list *[]uint64) (uint64, bool) {
	last := len(*list) - 1
	if last < 0 {
		return 0, false
	}
	n := (*list)[last]
	*list = (*list)[:last]
	p.inProgress++
	return n, true
}

// take returns somebody who is enrolled, to be unenrolled.
func (p *userPool) take(random *rand.Rand) (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.enrolled); n > 0 {
		i := random.IntN(n)
		p.enrolled[i], p.enrolled[n-1] = p.enrolled[n-1], p.enrolled[i]
	}
	return p.pop(&p.enrolled)
}

// takeForRemoval returns somebody who is or may be enrolled.
func (p *userPool) takeForRemoval() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.pop(&p.enrolled); ok {
		return n, true
	}
	return p.pop(&p.uncertain)
}

// userState is the state of a user after a request.
type userState int

const (
	gone userState = iota
	there
	unknown
)

// finish returns a user after begin or take.
func (p *userPool) finish(n uint64, f userState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inProgress--
	switch f {
	case there:
		p.enrolled = append(p.enrolled, n)
	case unknown:
		p.uncertain = append(p.uncertain, n)
	}
}

// known returns who is enrolled, and how many are uncertain.
func (p *userPool) known() (enrolled []uint64, uncertain int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.enrolled), len(p.uncertain)
}

// name returns the user ID of a number.
func name(prefix string, n uint64) string { return prefix + strconv.FormatUint(n, 10) }
