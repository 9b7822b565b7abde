package token

import (
	"container/heap"
	"crypto/sha256"
	"sync"
	"time"
)

// replayCache holds the IDs of used tokens until they expire. While it is at its
// capacity every further token is rejected: one that is not recorded could be used
// again. It is safe for concurrent use.
type replayCache struct {
	capacity int

	mu       sync.Mutex
	seen     map[tokenID]struct{}
	expiries expiryHeap
}

// tokenID is the hash of the kid and the jti of a token.
type tokenID [sha256.Size]byte

func newReplayCache(capacity int) *replayCache {
	return &replayCache{capacity: capacity, seen: make(map[tokenID]struct{})}
}

// idOf returns the ID of a token. A jti is unique per key only.
func idOf(h header) tokenID {
	return sha256.Sum256([]byte(h.KeyID + "\x00" + h.ID))
}

// add records a token until its end, or rejects it.
func (c *replayCache) add(id tokenID, end, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(now)
	if _, seen := c.seen[id]; seen {
		return refuse(Replayed, "it was already used")
	}
	if len(c.seen) >= c.capacity {
		return refuse(CacheFull, "it holds %d tokens; raise token.replay_cache or lower token.max_age", c.capacity)
	}
	c.seen[id] = struct{}{}
	heap.Push(&c.expiries, expiry{at: end, elapsed: now.Add(end.Sub(now)), id: id})
	return nil
}

// evict removes the tokens that have expired by the wall clock and by the monotonic
// clock. With one of them alone, a wall clock that is set forward and back would make
// every token usable again.
func (c *replayCache) evict(now time.Time) {
	for len(c.expiries) > 0 && !now.Before(c.expiries[0].at) && !now.Before(c.expiries[0].elapsed) {
		delete(c.seen, heap.Pop(&c.expiries).(expiry).id)
	}
}

// expiry is when a token can be evicted.
type expiry struct {
	at      time.Time // by the wall clock
	elapsed time.Time // by the monotonic clock, where now has one; see package time
	id      tokenID
}

// expiryHeap is a min-heap by time.
type expiryHeap []expiry

// Len implements heap.Interface, like the methods below.
func (e expiryHeap) Len() int           { return len(e) }
func (e expiryHeap) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiryHeap) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *expiryHeap) Push(x any) { *e = append(*e, x.(expiry)) }

// Pop implements heap.Interface.
func (e *expiryHeap) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
