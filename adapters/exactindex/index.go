package exactindex

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Item is what a row belongs to: a face, of the group that is its user. Groups and
// IDs must not change while the item is in the index.
type Item interface {
	comparable
	// Group returns the name of the group; of each, a search returns the best item.
	Group() string
	// ID tells items of a group apart: of equally good ones a search returns the
	// smallest ID.
	ID() string
	// Place returns a field of the item in which the index notes its row.
	Place() *Place
}

// Place is where an item's row is; only the index uses it.
type Place struct{ slot uint32 }

// Index holds the vectors of items and finds those nearest to another. Any number of
// goroutines may search at any time. Add, Remove, Publish and Vector are for
// one goroutine at a time, which may differ from those that search.
//
// It needs less than a fifth of the memory of the float32 vectors beyond them: 96 bytes for a
// vector of 128 numbers, 300 for one of 512.
type Index[T Item] struct {
	shape   shape
	kernel  kernel
	threads int

	writing sync.Mutex // held while the fields of writes are in use
	writes  writes[T]

	mu       sync.Mutex // guards what follows
	version  uint64     // what has been published
	chunks   []*chunk[T]
	running  bool // a batch runs
	waiting  []*job[T]
	idleJobs []*job[T]

	batch         batch[T]    // of the goroutine that runs it
	reclaimWanted atomic.Bool // rows may have become erasable
	serveFunc     func()
}

// New returns an empty index for vectors of a dimension. A search uses at most
// threads cores, 0 means one per core (GOMAXPROCS).
func New[T Item](dimension, threads int) *Index[T] {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	x := &Index[T]{shape: shapeOf(dimension), kernel: bestKernel(), threads: threads}
	x.writes.code = newCode(x.shape)
	x.batch.index = x
	x.serveFunc = x.serveWaiting
	return x
}

// Search returns at most k items, the best of each group, that score at least
// minimum: best first, ties by group bytewise. It sees what was published when it
// began, or somewhat later, and all of it or nothing. It returns as soon as the
// context ends, within the time for one chunk.
func (x *Index[T]) Search(ctx context.Context, vector []float32, k int, minimum float64) ([]Hit[T], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j := x.newJob()
	j.prepare(x.shape, vector, k, minimum)
	if x.startOrWait(j) {
		return x.runSingle(ctx, j)
	}
	select {
	case <-j.done:
		return x.release(j), nil
	case <-ctx.Done():
		// The job is not reused: the batch may still be working on it.
		j.abandoned.Store(true)
		return nil, ctx.Err()
	}
}

// Bytes returns how much memory the rows need, with the free ones of chunks in use. It waits
// for no search.
func (x *Index[T]) Bytes() (n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.chunks[:min(1, len(x.chunks))] { // all need the same
		n = int64(len(x.chunks)) * int64(4*len(c.vectors)+c.overhead())
	}
	return n
}
