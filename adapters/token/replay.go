package token

import (
	"container/heap"
	"crypto/sha256"
	"sync"
	"time"
)

// replayCache remembers the tokens that were opened until their time is over.
// It holds as many as it has room for; while it is full, every further token is
// refused: a token that cannot be remembered could be used again. It is safe for
// concurrent use.
type replayCache struct {
	room int

	mu   sync.Mutex
	seen map[tokenID]struct{}
	ends endings
}

// tokenID stands for the kid and the jti of a token, whatever their length.
type tokenID [sha256.Size]byte

func newReplayCache(room int) *replayCache {
	return &replayCache{room: room, seen: make(map[tokenID]struct{})}
}

// idOf tells tokens of different keys apart even where they have one jti.
func idOf(h header) tokenID {
	return sha256.Sum256([]byte(h.KeyID + "\x00" + h.ID))
}

// add remembers a token until its end, or refuses it.
func (c *replayCache) add(id tokenID, end, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	if _, seen := c.seen[id]; seen {
		return refuse(Replayed, "it was opened before")
	}
	if len(c.seen) >= c.room {
		return refusef(CacheFull, "%d tokens are remembered; raise token.replay_cache or lower token.max_age", c.room)
	}
	c.seen[id] = struct{}{}
	heap.Push(&c.ends, ending{at: end, elapsed: now.Add(end.Sub(now)), id: id})
	return nil
}

// forget drops the tokens whose time is over, by the clock and by the time that
// has passed: a clock that leaps ahead and is set right again would otherwise have
// all of them opened once more, and so would one that was set back.
func (c *replayCache) forget(now time.Time) {
	for len(c.ends) > 0 && !now.Before(c.ends[0].at) && !now.Before(c.ends[0].elapsed) {
		delete(c.seen, heap.Pop(&c.ends).(ending).id)
	}
}

// ending is when a token can be forgotten.
type ending struct {
	at      time.Time // by the clock
	elapsed time.Time // by the monotonic clock, where now has one; see package time
	id      tokenID
}

// endings is a heap, the earliest on top.
type endings []ending

// Len is for package heap, like the methods below.
func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push is for package heap.
func (e *endings) Push(x any) { *e = append(*e, x.(ending)) }

// Pop is for package heap.
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
