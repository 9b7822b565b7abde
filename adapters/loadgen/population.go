package loadgen

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
)

// population is who is enrolled by a generator, as numbers. Whoever has been
// taken or begun is in nobody's way until settled. Safe for concurrent use.
type population struct {
	limit int

	mu       sync.Mutex
	next     uint64
	enrolled []uint64
	// doubtful are those whose last request has no clear outcome.
	doubtful []uint64
	inWork   int
}

// begin returns a number to enrol: one that is in doubt, as a client would ask
// again, or a new one. It is false where there are as many as there may be.
func (p *population) begin() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.doubtful) - 1; last >= 0 {
		n := p.doubtful[last]
		p.doubtful = p.doubtful[:last]
		p.inWork++
		return n, true
	}
	if len(p.enrolled)+p.inWork >= p.limit {
		return 0, false
	}
	p.next++
	p.inWork++
	return p.next, true
}

// take returns somebody who is enrolled, to be unenrolled.
func (p *population) take(random *rand.Rand) (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.enrolled) == 0 {
		return 0, false
	}
	i, last := random.IntN(len(p.enrolled)), len(p.enrolled)-1
	n := p.enrolled[i]
	p.enrolled[i] = p.enrolled[last]
	p.enrolled = p.enrolled[:last]
	p.inWork++
	return n, true
}

// fate is what became of somebody.
type fate int

const (
	gone fate = iota
	there
	unclear
)

// settle ends what begin or take began.
func (p *population) settle(n uint64, f fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inWork--
	switch f {
	case there:
		p.enrolled = append(p.enrolled, n)
	case unclear:
		p.doubtful = append(p.doubtful, n)
	}
}

// takeAny returns somebody who is or may be enrolled, to be removed.
func (p *population) takeAny() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range []*[]uint64{&p.enrolled, &p.doubtful} {
		if last := len(*list) - 1; last >= 0 {
			n := (*list)[last]
			*list = (*list)[:last]
			p.inWork++
			return n, true
		}
	}
	return 0, false
}

// known returns who is enrolled, and how many are in doubt.
func (p *population) known() (enrolled []uint64, doubtful int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.enrolled), len(p.doubtful)
}

// name returns the user ID of a number.
func name(prefix string, n uint64) string { return prefix + strconv.FormatUint(n, 10) }
