package flat

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
	// Place returns memory of the item that is the index's.
	Place() *Place
}

// Place is where an item's row is. It is of no use outside the index.
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

	mu      sync.Mutex // guards what follows
	version uint64     // what has been published
	chunks  []*chunk[T]
	busy    bool // a batch runs
	waiting []*job[T]
	spare   []*job[T]

	batch   batch[T]    // of the goroutine that runs it
	wanted  atomic.Bool // rows may have become erasable
	serving func()
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
	x.serving = x.serve
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
	if x.enter(j) {
		return x.alone(ctx, j)
	}
	select {
	case <-j.done:
		return x.retire(j), nil
	case <-ctx.Done():
		// The job is not used again: the batch may still be at it.
		j.left.Store(true)
		return nil, ctx.Err()
	}
}
