package exactindex

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

// maxIdleJobs bounds the jobs that are kept for reuse.
const maxIdleJobs = 64

// job is one search. When no scan is running, it scans at once in its own goroutine and
// does not wait for others to join. Searches that arrive meanwhile wait for the end of that
// scan and share the next one.
type job[T Item] struct {
	query     query
	k         int
	minimum   float64
	floor     atomic.Uint64 // bits of the highest floor of any worker
	abandoned atomic.Bool   // the caller has returned
	done      chan struct{}
	hits      []Hit[T]
}

func (x *Index[T]) newJob() *job[T] {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.idleJobs); n > 0 {
		j := x.idleJobs[n-1]
		x.idleJobs = x.idleJobs[:n-1]
		return j
	}
	return &job[T]{done: make(chan struct{}, 1)}
}

func (j *job[T]) prepare(s shape, vector []float32, k int, minimum float64) {
	j.query.prepare(s, vector)
	j.k, j.minimum = k, minimum
	j.floor.Store(math.Float64bits(minimum))
}

// raiseFloor makes a floor known to all workers.
func (j *job[T]) raiseFloor(floor float64) {
	for {
		old := j.floor.Load()
		if math.Float64frombits(old) >= floor || j.floor.CompareAndSwap(old, math.Float64bits(floor)) {
			return
		}
	}
}

// release returns the hits of a job and keeps the job for reuse.
func (x *Index[T]) release(j *job[T]) []Hit[T] {
	hits := j.hits
	j.hits = nil
	j.query.wipe()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.idleJobs) < maxIdleJobs {
		x.idleJobs = append(x.idleJobs, j)
	}
	return hits
}

// startOrWait starts a batch of one job and returns true, or queues the job behind the
// running batch.
func (x *Index[T]) startOrWait(j *job[T]) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running {
		x.waiting = append(x.waiting, j)
		return false
	}
	x.running = true
	x.startBatch(j)
	return true
}

// startBatch fills the batch. It searches the version that is current now.
func (x *Index[T]) startBatch(jobs ...*job[T]) {
	b := &x.batch
	b.jobs = append(b.jobs[:0], jobs...)
	b.version, b.chunks = x.version, x.chunks
	b.nextChunk.Store(0)
	b.stopped.Store(false)
}

// runSingle runs a batch of one job in the caller's goroutine.
func (x *Index[T]) runSingle(ctx context.Context, j *job[T]) ([]Hit[T], error) {
	x.batch.run(ctx)
	stopped := x.batch.stopped.Load()
	if x.nextBatch() {
		go x.serveFunc()
	}
	if stopped {
		return nil, ctx.Err()
	}
	return x.release(j), nil
}

// serveWaiting runs batches until no job waits. It yields before it looks for the next
// batch: callers that were just answered and search again at once then share a scan, where
// otherwise the first of them would scan alone.
func (x *Index[T]) serveWaiting() {
	for more := true; more; more = x.nextBatch() {
		x.batch.run(context.Background())
		for _, j := range x.batch.jobs {
			j.done <- struct{}{}
		}
		runtime.Gosched()
	}
}

// nextBatch ends a batch and starts the next if jobs wait.
func (x *Index[T]) nextBatch() bool {
	x.mu.Lock()
	clear(x.batch.jobs)
	n := min(maxBatch, len(x.waiting))
	if x.running = n > 0; x.running {
		x.startBatch(x.waiting[:n]...)
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
	index     *Index[T]
	jobs      []*job[T]
	version   uint64
	chunks    []*chunk[T]
	nextChunk atomic.Int64 // the first chunk that no worker has claimed
	stopped   atomic.Bool
	workers   []*worker[T]
	helpers   sync.WaitGroup
}

// run scans all chunks and stores the hits in the jobs. It stops when the context ends.
func (b *batch[T]) run(ctx context.Context) {
	n := max(1, min(b.index.threads, len(b.chunks)/minShare))
	for len(b.workers) < n {
		b.workers = append(b.workers, newWorker(b))
	}
	b.helpers.Add(n - 1)
	for _, w := range b.workers[1:n] {
		go w.help()
	}
	b.workers[0].run(ctx)
	b.helpers.Wait()
	b.merge(b.workers[:n])
	for _, w := range b.workers[:n] {
		clear(w.scan.queries) // see query.wipe
		clear(w.vectors)
	}
	b.chunks = nil
}

// minShare is how many chunks are worth another core: waking it takes some
// microseconds.
const minShare = 4

// merge combines the hits of the workers.
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
