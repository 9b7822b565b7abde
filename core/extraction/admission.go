package extraction

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"imago/ports"
)

// admission lets a bounded number of pictures be worked on at once and a
// bounded number wait.
type admission struct {
	workers chan struct{}
	waiting chan struct{}
	mu      sync.Mutex
	// expected is the number of reservations that are held, all and by client.
	expected int
	by       map[string]int
	// refused is the client that was turned away last, at some time.
	refused   string
	refusedAt time.Time
	// pace is how long the work on one picture takes, a moving mean in
	// nanoseconds; 0 before the first.
	pace atomic.Int64
}

func newAdmission(workers, queue int) *admission {
	return &admission{workers: make(chan struct{}, workers), waiting: make(chan struct{}, queue), by: map[string]int{}}
}

// reserve is Extractor.Reserve.
func (a *admission) reserve(client string) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.hasPlace(client) && a.crowded() {
		a.refused, a.refusedAt = client, time.Now()
		return nil, a.overloaded()
	}
	a.expect(client, 1)
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.expect(client, -1)
	}), nil
}

const (
	// shareOfRest is how many times as many places as are left a client may hold
	// while others want some.
	shareOfRest = 3
	// wanting is how long a client that was turned away is expected to come back.
	wanting = 10 * time.Second
)

// hasPlace reports whether there is a place for a further picture of a client.
func (a *admission) hasPlace(client string) bool {
	left, own := cap(a.workers)+cap(a.waiting)-a.expected, a.by[client]
	others := own < a.expected || a.refused != client && time.Since(a.refusedAt) < wanting
	return left > 0 && (own == 0 || !others || own < shareOfRest*left)
}

func (a *admission) expect(client string, n int) {
	a.expected += n
	if a.by[client] += n; a.by[client] == 0 {
		delete(a.by, client)
	}
}

// crowded reports whether no worker is free and the queue is half full or more:
// those who hold reservations keep the workers busy.
func (a *admission) crowded() bool {
	return len(a.workers) == cap(a.workers) && 2*len(a.waiting) >= cap(a.waiting)
}

// enter waits for a worker, in the order of arrival. On success leave must be
// called. It answers ErrOverloaded at once when as many wait already as may, or
// so many that ctx would end before the turn came.
func (a *admission) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case a.workers <- struct{}{}:
		return nil
	default:
	}
	if !a.inTime(ctx) {
		return a.overloaded()
	}
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
	default:
		return a.overloaded()
	}
	select {
	case a.workers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	// Where both were possible at once the choice was by chance.
	if err := ctx.Err(); err != nil {
		<-a.workers
		return err
	}
	return nil
}

// spare takes an idle worker, if there is one, for work that could be done without.
// release gives it back.
func (a *admission) spare() (release func(), ok bool) {
	select {
	case a.workers <- struct{}{}:
		return func() { <-a.workers }, true
	default:
		return nil, false
	}
}

// inTime reports whether those who wait will probably have had their turn before
// ctx ends.
func (a *admission) inTime(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	turns := time.Duration(len(a.waiting)+1) * time.Duration(a.pace.Load()) / time.Duration(cap(a.workers))
	return !bounded || time.Until(deadline) > turns
}

func (a *admission) overloaded() error {
	return fmt.Errorf("extraction: %w: %d of %d pictures in work and %d of %d waiting",
		ports.ErrOverloaded, len(a.workers), cap(a.workers), len(a.waiting), cap(a.waiting))
}

// leave ends the work that was begun at a time.
func (a *admission) leave(began time.Time) {
	const weight = 8 // of the past: the last dozen pictures or so count
	took := int64(time.Since(began))
	if old := a.pace.Load(); old > 0 {
		took = old + (took-old)/weight // concurrent updates may lose one, which is no harm
	}
	a.pace.Store(took)
	<-a.workers
}
