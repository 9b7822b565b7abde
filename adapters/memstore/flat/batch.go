package flat

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// maxBatch is how many searches share a scan: more would not fit the first-level
// cache together with the rows.
const maxBatch = 32

// maxSpare bounds the jobs that are kept for further searches.
const maxSpare = 64

// job is one search. A search that finds nobody scanning scans at once, in its own
// goroutine, and so does not wait for company. Those that come meanwhile wait for the end of
// that scan and then share the next one.
type job[T Item] struct {
	query   query
	k       int
	minimum float64
	floor   atomic.Uint64 // bits of the highest floor of any worker
	left    atomic.Bool   // the caller has gone
	done    chan struct{}
	hits    []Hit[T]
}

func (x *Index[T]) newJob() *job[T] {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.spare); n > 0 {
		j := x.spare[n-1]
		x.spare = x.spare[:n-1]
		return j
	}
	return &job[T]{done: make(chan struct{}, 1)}
}

func (j *job[T]) prepare(s shape, vector []float32, k int, minimum float64) {
	j.query.prepare(s, vector)
	j.k, j.minimum = k, minimum
	j.floor.Store(math.Float64bits(minimum))
}

// lift makes a floor known to all workers.
func (j *job[T]) lift(floor float64) {
	for {
		old := j.floor.Load()
		if math.Float64frombits(old) >= floor || j.floor.CompareAndSwap(old, math.Float64bits(floor)) {
			return
		}
	}
}

// retire returns the answer of a job and keeps the job for another search.
func (x *Index[T]) retire(j *job[T]) []Hit[T] {
	hits := j.hits
	j.hits = nil
	j.query.forget()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.spare) < maxSpare {
		x.spare = append(x.spare, j)
	}
	return hits
}

// enter begins a batch of one job, or has the job wait for a batch that runs.
func (x *Index[T]) enter(j *job[T]) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy {
		x.waiting = append(x.waiting, j)
		return false
	}
	x.busy = true
	x.begin(j)
	return true
}

// begin fills the batch. What it sees is the version of this moment.
func (x *Index[T]) begin(jobs ...*job[T]) {
	b := &x.batch
	b.jobs = append(b.jobs[:0], jobs...)
	b.version, b.chunks = x.version, x.chunks
	b.next.Store(0)
	b.stopped.Store(false)
}

// alone runs a batch of one job in the goroutine of its caller.
func (x *Index[T]) alone(ctx context.Context, j *job[T]) ([]Hit[T], error) {
	x.batch.run(ctx)
	stopped := x.batch.stopped.Load()
	if x.next() {
		go x.serving()
	}
	if stopped {
		return nil, ctx.Err()
	}
	return x.retire(j), nil
}

// serve runs batches until nobody waits. Callers who were just answered get the
// processor before it looks: those that search again at once make the next batch
// together, where otherwise the first would scan alone.
func (x *Index[T]) serve() {
	for more := true; more; more = x.next() {
		x.batch.run(context.Background())
		for _, j := range x.batch.jobs {
			j.done <- struct{}{}
		}
		runtime.Gosched()
	}
}

// next ends a batch and begins the next, if there are jobs.
func (x *Index[T]) next() bool {
	x.mu.Lock()
	clear(x.batch.jobs)
	n := min(maxBatch, len(x.waiting))
	if x.busy = n > 0; x.busy {
		x.begin(x.waiting[:n]...)
		rest := copy(x.waiting, x.waiting[n:])
		clear(x.waiting[rest:])
		x.waiting = x.waiting[:rest]
	}
	x.mu.Unlock()
	x.reclaim()
	return n > 0
}

// batch is the scan that runs: at most one per index.
type batch[T Item] struct {
	index   *Index[T]
	jobs    []*job[T]
	version uint64
	chunks  []*chunk[T]
	next    atomic.Int64 // the first chunk that no worker has taken
	stopped atomic.Bool
	workers []*worker[T]
	helping sync.WaitGroup
}

// run scans all chunks and leaves the answers in the jobs. The context's end stops it.
func (b *batch[T]) run(ctx context.Context) {
	n := max(1, min(b.index.threads, len(b.chunks)/minShare))
	for len(b.workers) < n {
		b.workers = append(b.workers, newWorker(b))
	}
	b.helping.Add(n - 1)
	for _, w := range b.workers[1:n] {
		go w.helping()
	}
	b.workers[0].run(ctx)
	b.helping.Wait()
	b.merge(b.workers[:n])
	for _, w := range b.workers[:n] {
		clear(w.scan.queries) // see query.forget
		clear(w.vectors)
	}
	b.chunks = nil
}

// minShare is how many chunks are worth another core: waking it takes some
// microseconds.
const minShare = 4

// merge puts together what the workers found.
func (b *batch[T]) merge(workers []*worker[T]) {
	for i, j := range b.jobs {
		best := &workers[0].lanes[i].best
		for _, w := range workers[1:] {
			for _, h := range w.lanes[i].best.heap {
				if h.Score >= best.floor {
					best.offer(h.Item, h.Score)
				}
			}
			w.lanes[i].best.reset(0, 0)
		}
		j.hits = best.hits()
		best.reset(0, 0)
	}
}
