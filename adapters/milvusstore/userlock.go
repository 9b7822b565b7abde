package milvusstore

import (
	"context"
	"sync"
	"time"
)

// userLocks lets this instance change a user one change at a time, so that it makes
// one claim at a time and its callers need not contend through Milvus. It keeps a lock
// for as long as somebody holds it or waits for it. The zero value is not ready; see
// newUserLocks.
type userLocks struct {
	mu    sync.Mutex
	locks map[key]*userLock
}

// userLock is the lock of one user. Whoever holds it may use knownAt.
type userLock struct {
	key     key
	free    chan struct{} // holds a token while nobody holds the lock
	refs    int           // who waits for the lock or holds it; guarded by userLocks.mu
	knownAt time.Time     // when the user was last known to exist; zero for never
}

func newUserLocks() *userLocks { return &userLocks{locks: map[key]*userLock{}} }

// lock waits for the lock of a user. It gives up when the context ends, or with errBusy
// after a while.
func (u *userLocks) lock(ctx context.Context, k key, timeout time.Duration) (*userLock, error) {
	l := u.ref(k)
	select {
	case <-l.free:
		return l, nil
	case <-ctx.Done():
		u.unref(l)
		return nil, ctx.Err()
	case <-time.After(timeout):
		u.unref(l)
		return nil, errBusy
	}
}

func (u *userLocks) unlock(l *userLock) {
	l.free <- struct{}{}
	u.unref(l)
}

func (u *userLocks) ref(k key) *userLock {
	u.mu.Lock()
	defer u.mu.Unlock()
	l, ok := u.locks[k]
	if !ok {
		l = &userLock{key: k, free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		u.locks[k] = l
	}
	l.refs++
	return l
}

func (u *userLocks) unref(l *userLock) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if l.refs--; l.refs == 0 {
		delete(u.locks, l.key)
	}
}
