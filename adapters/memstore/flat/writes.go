package flat

import (
	"runtime"
	"slices"
)

// Rows change under searches as in a database of versions (Reed, Naming and
// synchronization in a decentralized computer system, 1978): a row is born in one
// version and dies in another, a search looks at the rows of one version, and Publish
// makes the next version the current one. So all changes in between appear at
// the same moment, an item that is moved or replaced is never missed or seen
// twice, and a search holds up no write: what a chunk's lock covers is the time for
// one chunk. The memory of a row that died is erased and used again when the last
// search that can see it has ended.

// writes is what only the writer needs, and whoever erases rows.
type writes[T Item] struct {
	next   uint64 // the version in the making is the one behind it
	code   *code
	chunks []*chunk[T]
	dead   []uint32    // slots of rows that died, in the order of versions
	erased int         // so many of the first dead are erased
	vacant []*chunk[T] // with free rows; never the last chunk
	spare  int         // free rows in vacant chunks
	slabs  slabs
	cursor int // rows of the last chunk from here on are not alive
	// erasing says that a goroutine erases what is too much for its callers.
	erasing bool
}

// Add copies the vector of a new item into the index. Searches see it from the next
// Publish on. The vector must have the index's dimension and finite numbers; if its
// length is not 1, give or take 0.002, the row is right but slow to search.
func (x *Index[T]) Add(item T, vector []float32) {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.writes.code.encode(x.shape, vector)
	c, row := x.writes.allocate(x.shape)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(x.shape, row, vector, x.writes.code)
	c.settle(item, row, x.writes.next+1)
}

// settle gives a row to an item from a version on.
func (c *chunk[T]) settle(item T, row int, version uint64) {
	c.items[row], c.born[row], c.died[row] = item, version, forever
	c.filled, c.youngest = max(c.filled, row+1), version
	item.Place().slot = uint32(c.number*chunkRows + row)
}

// Remove takes an item out. Searches that begin after the next Publish do not see it;
// those that run may. Its vector is erased when the last of these has ended.
func (x *Index[T]) Remove(item T) {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.bury(item.Place().slot)
	for range 2 {
		x.compact()
	}
}

// bury has a row die in the version in the making.
func (x *Index[T]) bury(slot uint32) {
	c := x.writes.chunks[slot/chunkRows]
	c.mu.Lock()
	c.died[slot%chunkRows] = x.writes.next + 1
	c.mortal++
	c.mu.Unlock()
	x.writes.dead = append(x.writes.dead, slot)
}

// Vector returns the vector of an item that was published. It is the index's memory,
// valid until the next call of Remove or Publish.
func (x *Index[T]) Vector(item T) []float32 {
	slot := item.Place().slot
	x.mu.Lock()
	c := x.chunks[slot/chunkRows]
	x.mu.Unlock()
	return c.vector(x.shape, int(slot%chunkRows))
}

// Publish makes all that was added and removed since the last call visible, at the
// same moment.
func (x *Index[T]) Publish() {
	x.writing.Lock()
	x.writes.next++
	x.mu.Lock()
	x.version, x.chunks = x.writes.next, x.writes.chunks
	x.mu.Unlock()
	x.writing.Unlock()
	x.reclaim()
}

// allocate returns a row for a new item. The last chunk comes last, so that it can
// become empty.
func (w *writes[T]) allocate(s shape) (*chunk[T], int) {
	if n := len(w.vacant); n > 0 {
		c := w.vacant[n-1]
		if len(c.free) == 1 {
			w.vacant = w.vacant[:n-1]
		}
		w.spare--
		return c, c.take()
	}
	n := len(w.chunks)
	if n == 0 || w.chunks[n-1].filled == chunkRows && len(w.chunks[n-1].free) == 0 {
		w.chunks = append(w.chunks, newChunk[T](s, n, &w.slabs))
		n++
	}
	w.cursor = chunkRows
	if c := w.chunks[n-1]; c.filled == chunkRows {
		return c, c.take()
	}
	return w.chunks[n-1], w.chunks[n-1].filled
}

// take returns a free row.
func (c *chunk[T]) take() int {
	n := len(c.free)
	row := c.free[n-1]
	c.free = c.free[:n-1]
	return int(row)
}

// compactFrom is how many rows must be free elsewhere before rows of the last chunk are
// moved there, so that memory follows the number of items.
const compactFrom = 2 * chunkRows

// compact moves one row of the last chunk, if that helps to empty it.
func (x *Index[T]) compact() {
	w := &x.writes
	if w.spare < compactFrom {
		return
	}
	last := w.chunks[len(w.chunks)-1]
	for w.cursor = min(w.cursor, last.filled); w.cursor > 0; w.cursor-- {
		if row := w.cursor - 1; last.died[row] == forever && last.born[row] > 0 {
			x.move(last, row)
			return
		}
	}
}

// move has a row die and be born elsewhere.
func (x *Index[T]) move(from *chunk[T], row int) {
	item := from.items[row]
	x.bury(item.Place().slot)
	to, free := x.writes.allocate(x.shape)
	to.mu.Lock()
	defer to.mu.Unlock()
	to.copyRow(x.shape, free, from, row)
	to.settle(item, free, x.writes.next+1)
}

// eraseShare is how many rows are erased at a time: the next write waits for that, and
// a search that has come to its end, so it must be much less than a millisecond. A
// row of 512 numbers takes about a microsecond.
const eraseShare = 256

// reclaim erases rows that no search can see any more. Whoever finds another at it
// leaves it to that one to look again.
func (x *Index[T]) reclaim() {
	x.wanted.Store(true)
	for x.wanted.Load() && x.writing.TryLock() {
		x.wanted.Store(false)
		if more := x.erase(); more && !x.writes.erasing {
			x.writes.erasing = true
			go x.eraseAll()
		}
		x.writing.Unlock()
	}
}

// eraseAll erases what callers have left, and lets writes come in between.
func (x *Index[T]) eraseAll() {
	for more := true; more; runtime.Gosched() {
		x.writing.Lock()
		more = x.erase()
		x.writes.erasing = more
		x.writing.Unlock()
	}
	x.reclaim()
}

// erase erases rows that died in a version that is not looked at any more, and tells
// whether it has left some.
func (x *Index[T]) erase() (more bool) {
	w, version := &x.writes, x.oldest()
	n := 0
	for _, slot := range w.dead[w.erased:] {
		c, row := w.chunks[slot/chunkRows], int(slot%chunkRows)
		if c.died[row] > version {
			break
		}
		if more = n == eraseShare; more {
			break
		}
		n++
		c.erase(x.shape, row)
		if c.number == len(w.chunks)-1 {
			continue
		}
		if w.spare++; len(c.free) == 1 {
			w.vacant = append(w.vacant, c)
		}
	}
	w.forget(n)
	for n > 0 && w.shrink() {
		x.mu.Lock()
		x.chunks = w.chunks
		x.mu.Unlock()
	}
	return more
}

// forget notes that n more of the first dead are erased. What is left moves up when
// it is no more than what has gone, so that no row moves often.
func (w *writes[T]) forget(n int) {
	if w.erased += n; 2*w.erased >= len(w.dead) {
		w.dead = w.dead[:copy(w.dead, w.dead[w.erased:])]
		w.erased = 0
	}
}

// oldest returns the oldest version that a search looks at or will.
func (x *Index[T]) oldest() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy {
		return x.batch.version
	}
	return x.version
}

// erase leaves nothing of a row behind.
func (c *chunk[T]) erase(s shape, row int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.vector(s, row))
	c.write(s, row, nil, &code{numbers: s.blank, terms: nobody})
	var none T
	c.items[row], c.born[row], c.died[row] = none, 0, 0
	c.mortal--
	c.free = append(c.free, uint16(row))
}

// keepSpare is how many rows must be free elsewhere before an empty chunk is given back,
// so that adding and removing at its edge does not allocate each time.
const keepSpare = chunkRows / 8

// shrink gives back the last chunk if it is empty.
func (w *writes[T]) shrink() bool {
	n := len(w.chunks) - 1
	if w.spare < keepSpare || len(w.chunks[n].free) < w.chunks[n].filled {
		return false
	}
	// The array is shared with the slice that searches hold.
	w.chunks = slices.Clone(w.chunks[:n])
	w.cursor = chunkRows
	last := w.chunks[n-1]
	if at := slices.Index(w.vacant, last); at >= 0 {
		w.vacant = slices.Delete(w.vacant, at, at+1)
		w.spare -= len(last.free)
	}
	return true
}
