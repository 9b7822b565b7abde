package exactindex

import (
	"runtime"
	"slices"
)

// Multi-version concurrency control (Reed, Naming and synchronization in a decentralized
// computer system, 1978): a row is added in one version and removed in another, a search
// reads the rows of one version, and Publish makes the next version the current one. So
// all changes in between become visible at the same moment, an item that is moved or
// replaced is never missed or found twice, and a search blocks a write for the time of
// one chunk at most, while it holds the chunk's lock. The memory of a removed (dead) row is
// erased and reused when the last search that can see it has ended.

// writes is the state that adding, removing and erasing rows need.
type writes[T Item] struct {
	version  uint64 // published last; changes belong to the next one
	code     *code
	chunks   []*chunk[T]
	dead     []uint32    // slots of removed rows, in the order of versions
	erased   int         // how many of the first dead are erased
	vacant   []*chunk[T] // with free rows; never the last chunk
	freeRows int         // free rows in vacant chunks
	slabs    slabs
	cursor   int // rows of the last chunk from here on are not alive
	// erasing is set while a goroutine erases in the background.
	erasing bool
}

// Add copies the vector of a new item into the index. Searches see it from the next
// Publish on. The vector must have the index's dimension and finite numbers; if its
// length differs from 1 by more than 0.002, the scores are right but the search is slow.
func (x *Index[T]) Add(item T, vector []float32) {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.writes.code.encode(x.shape, vector)
	c, row := x.writes.allocate(x.shape)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(x.shape, row, vector, x.writes.code)
	c.assign(item, row, x.writes.version+1)
}

// assign makes a row the item's from a version on.
func (c *chunk[T]) assign(item T, row int, version uint64) {
	c.items[row], c.addedIn[row], c.removedIn[row] = item, version, never
	c.filled, c.newest = max(c.filled, row+1), version
	item.Place().slot = uint32(c.number*chunkRows + row)
}

// Remove takes an item out. Searches that begin after the next Publish do not see it;
// those that run may. Its vector is erased when the last of these has ended.
func (x *Index[T]) Remove(item T) {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.markDead(item.Place().slot)
	for range 2 {
		x.compact()
	}
}

// markDead marks the row deleted as of the next version.
func (x *Index[T]) markDead(slot uint32) {
	c := x.writes.chunks[slot/chunkRows]
	c.mu.Lock()
	c.removedIn[slot%chunkRows] = x.writes.version + 1
	c.dead++
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
	x.writes.version++
	x.mu.Lock()
	x.version, x.chunks = x.writes.version, x.writes.chunks
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
		w.freeRows--
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
	if w.freeRows < compactFrom {
		return
	}
	last := w.chunks[len(w.chunks)-1]
	for w.cursor = min(w.cursor, last.filled); w.cursor > 0; w.cursor-- {
		if row := w.cursor - 1; last.removedIn[row] == never && last.addedIn[row] > 0 {
			x.move(last, row)
			return
		}
	}
}

// move marks a row deleted and adds its item in another row, in the same version.
func (x *Index[T]) move(from *chunk[T], row int) {
	item := from.items[row]
	x.markDead(item.Place().slot)
	to, free := x.writes.allocate(x.shape)
	to.mu.Lock()
	defer to.mu.Unlock()
	to.copyRow(x.shape, free, from, row)
	to.assign(item, free, x.writes.version+1)
}

// eraseBatch is how many rows are erased at a time: the next write and the end of a search
// wait for it, so it must take much less than a millisecond. A row of 512 numbers takes
// about a microsecond.
const eraseBatch = 256

// reclaim erases rows that no search can see any more. If another goroutine is at it, that
// one will look again.
func (x *Index[T]) reclaim() {
	x.reclaimWanted.Store(true)
	for x.reclaimWanted.Load() && x.writing.TryLock() {
		x.reclaimWanted.Store(false)
		if more := x.erase(); more && !x.writes.erasing {
			x.writes.erasing = true
			go x.eraseAll()
		}
		x.writing.Unlock()
	}
}

// eraseAll erases what remains in batches, so that writes can go ahead in between.
func (x *Index[T]) eraseAll() {
	for more := true; more; runtime.Gosched() {
		x.writing.Lock()
		more = x.erase()
		x.writes.erasing = more
		x.writing.Unlock()
	}
	x.reclaim()
}

// erase erases a batch of rows that were removed in a version that no search reads any
// more, and reports whether some remain.
func (x *Index[T]) erase() (more bool) {
	w, version := &x.writes, x.oldestVersion()
	n := 0
	for _, slot := range w.dead[w.erased:] {
		c, row := w.chunks[slot/chunkRows], int(slot%chunkRows)
		if c.removedIn[row] > version {
			break
		}
		if more = n == eraseBatch; more {
			break
		}
		n++
		c.erase(x.shape, row)
		if c.number == len(w.chunks)-1 {
			continue
		}
		if w.freeRows++; len(c.free) == 1 {
			w.vacant = append(w.vacant, c)
		}
	}
	w.dropErased(n)
	for n > 0 && w.shrink() {
		x.mu.Lock()
		x.chunks = w.chunks
		x.mu.Unlock()
	}
	return more
}

// dropErased records that n more of the first dead are erased. It compacts the list when
// at least half of it is erased, so that no entry moves often.
func (w *writes[T]) dropErased(n int) {
	if w.erased += n; 2*w.erased >= len(w.dead) {
		w.dead = w.dead[:copy(w.dead, w.dead[w.erased:])]
		w.erased = 0
	}
}

// oldestVersion returns the oldest version that a running or future search reads.
func (x *Index[T]) oldestVersion() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running {
		return x.batch.version
	}
	return x.version
}

// erase zeroes all that is kept of a row.
func (c *chunk[T]) erase(s shape, row int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.vector(s, row))
	c.write(s, row, nil, &code{numbers: s.blank, terms: neverSurvives})
	var none T
	c.items[row], c.addedIn[row], c.removedIn[row] = none, 0, 0
	c.dead--
	c.free = append(c.free, uint16(row))
}

// keepFreeRows is how many rows must be free elsewhere before an empty chunk is given back,
// so that adding and removing around its size does not allocate each time.
const keepFreeRows = chunkRows / 8

// shrink frees the last chunk if it is empty.
func (w *writes[T]) shrink() bool {
	n := len(w.chunks) - 1
	if w.freeRows < keepFreeRows || len(w.chunks[n].free) < w.chunks[n].filled {
		return false
	}
	// The array is shared with the slice that searches hold.
	w.chunks = slices.Clone(w.chunks[:n])
	w.cursor = chunkRows
	last := w.chunks[n-1]
	if at := slices.Index(w.vacant, last); at >= 0 {
		w.vacant = slices.Delete(w.vacant, at, at+1)
		w.freeRows -= len(last.free)
	}
	return true
}
