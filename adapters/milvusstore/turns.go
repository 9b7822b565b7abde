package milvusstore

import (
	"context"
	"sync"
	"time"
)

// turns lets the changes of a user take turns within this instance, so that it
// makes one claim at a time and its callers need not contend through Milvus. It
// remembers a user for as long as somebody changes it or waits to. The zero value
// is not ready; see newTurns.
type turns struct {
	mu   sync.Mutex
	held map[key]*turn
}

// turn is the queue for one user. Whoever has the turn may use seen.
type turn struct {
	key    key
	free   chan struct{} // holds a token while nobody has the turn
	queued int           // who waits or has the turn; guarded by turns.mu
	seen   time.Time     // when the user was last known to exist; zero for never
}

func newTurns() *turns { return &turns{held: map[key]*turn{}} }

// take waits for the turn. It gives up when the context ends, or with errBusy
// after a while.
func (t *turns) take(ctx context.Context, k key, patience time.Duration) (*turn, error) {
	mine := t.join(k)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-mine.free:
		return mine, nil
	case <-ctx.Done():
		t.leave(mine)
		return nil, ctx.Err()
	case <-timer.C:
		t.leave(mine)
		return nil, errBusy
	}
}

// give passes the turn on.
func (t *turns) give(mine *turn) {
	mine.free <- struct{}{}
	t.leave(mine)
}

func (t *turns) join(k key) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine, ok := t.held[k]
	if !ok {
		mine = &turn{key: k, free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.held[k] = mine
	}
	mine.queued++
	return mine
}

func (t *turns) leave(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.queued--; mine.queued == 0 {
		delete(t.held, mine.key)
	}
}
