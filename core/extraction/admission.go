package extraction

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"imago/ports"
)

// admission bounds how many pictures are worked on at once and how many wait.
type admission struct {
	workers chan struct{}
	waiting chan struct{}
	mu      sync.Mutex
	// reserved is the number of reservations held, in all and by client.
	reserved int
	byClient map[string]int
	// lastRefused is the client that was turned away last, and when.
	lastRefused   string
	lastRefusedAt time.Time
	// meanTime is a moving mean of the time that a picture takes, in nanoseconds; 0
	// before the first.
	meanTime atomic.Int64
}

func newAdmission(workers, queue int) *admission {
	return &admission{workers: make(chan struct{}, workers), waiting: make(chan struct{}, queue), byClient: map[string]int{}}
}

// reserve is Extractor.Reserve.
func (a *admission) reserve(client string) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.mayReserve(client) && a.saturated() {
		a.lastRefused, a.lastRefusedAt = client, time.Now()
		return nil, a.overloaded()
	}
	a.addReserved(client, 1)
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.addReserved(client, -1)
	}), nil
}

const (
	// maxShare is how many places a client may hold for each place that is free, while
	// others want some.
	maxShare = 3
	// refusedFor is how long a client that was turned away counts as wanting a place.
	refusedFor = 10 * time.Second
)

// mayReserve reports whether there is a place for another picture of a client.
func (a *admission) mayReserve(client string) bool {
	left, own := cap(a.workers)+cap(a.waiting)-a.reserved, a.byClient[client]
	others := own < a.reserved || a.lastRefused != client && time.Since(a.lastRefusedAt) < refusedFor
	return left > 0 && (own == 0 || !others || own < maxShare*left)
}

func (a *admission) addReserved(client string, n int) {
	a.reserved += n
	if a.byClient[client] += n; a.byClient[client] == 0 {
		delete(a.byClient, client)
	}
}

// saturated reports whether no worker is free and the queue is at least half full, so
// that those who hold reservations keep the workers busy.
func (a *admission) saturated() bool {
	return len(a.workers) == cap(a.workers) && 2*len(a.waiting) >= cap(a.waiting)
}

// enter waits for a worker, in the order of arrival. On success leave must be
// called. It answers ErrOverloaded at once when the queue is full, or so long that
// ctx would end before a worker is free.
func (a *admission) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case a.workers <- struct{}{}:
		return nil
	default:
	}
	if !a.meetsDeadline(ctx) {
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
	// When both cases are ready, select chooses at random.
	if err := ctx.Err(); err != nil {
		<-a.workers
		return err
	}
	return nil
}

// tryWorker takes a worker if one is idle. release gives it back.
func (a *admission) tryWorker() (release func(), ok bool) {
	select {
	case a.workers <- struct{}{}:
		return func() { <-a.workers }, true
	default:
		return nil, false
	}
}

// meetsDeadline reports whether a worker will probably be free for one more picture
// before ctx ends.
func (a *admission) meetsDeadline(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	wait := time.Duration(len(a.waiting)+1) * time.Duration(a.meanTime.Load()) / time.Duration(cap(a.workers))
	return !bounded || time.Until(deadline) > wait
}

func (a *admission) overloaded() error {
	return fmt.Errorf("extraction: %w: %d of %d pictures in progress and %d of %d waiting",
		ports.ErrOverloaded, len(a.workers), cap(a.workers), len(a.waiting), cap(a.waiting))
}

// leave gives back the worker that was taken at a time.
func (a *admission) leave(began time.Time) {
	const weight = 8 // of the past: about the last dozen pictures count
	took := int64(time.Since(began))
	if old := a.meanTime.Load(); old > 0 {
		took = old + (took-old)/weight // a concurrent update may be lost, which does not matter
	}
	a.meanTime.Store(took)
	<-a.workers
}
