package exactindex

import (
	"context"
	"math"
	"slices"
)

// maxPending is how many rows of a search may wait for the float32 comparison.
const maxPending = 1 << 14

// chunkShare is how many chunks a worker claims at a time.
const chunkShare = 4

// worker scans for a batch on one core. Its memory is reused by the next batch.
type worker[T Item] struct {
	batch   *batch[T]
	help    func()
	lanes   []lane[T] // one per job, in the order of jobs
	order   []int     // the lanes in the order of the kernel: those with a first test first
	split   int       // how many these are
	changed bool      // the order must change
	scan    scan
	// gathered are rows that are about to be compared, vectors their vectors.
	gathered []gathered
	vectors  []float32
	scores   []float32
	// compared counts the float32 comparisons, for benchmarks.
	compared int
}

// lane is the work of a worker for one job.
type lane[T Item] struct {
	job   *job[T]
	best  topK[T]
	floor float64 // for which bound was computed
	bound bound
	// firstTest says whether the first test is made. It is given up when it rules out
	// little, and tried again when the floor has risen.
	firstTest bool
	triedAt   float64
	// pending are rows that survived but are unlikely to reach the floor. They wait:
	// by the end of the scan the floor may have risen above most.
	pending      []candidate
	pendingFloor float64 // the floor that the first of them survived
}

// gathered is a row to compare with the query of a lane.
type gathered struct {
	lane int32
	slot uint32
}

// candidate is a row that survived the tests, with its sum u.d.
type candidate struct {
	slot    uint32
	product int32
}

func newWorker[T Item](b *batch[T]) *worker[T] {
	s := b.index.shape
	w := &worker[T]{
		batch: b, scan: scan{shape: s}, gathered: make([]gathered, 0, gatherRows),
		vectors: make([]float32, gatherRows*s.dimension), scores: make([]float32, gatherRows),
	}
	w.help = func() {
		defer b.helpers.Done()
		w.run(context.Background())
	}
	return w
}

// run scans chunks until none is left, and then compares the pending rows.
func (w *worker[T]) run(ctx context.Context) {
	w.prepare()
	for {
		from := int(w.batch.nextChunk.Add(chunkShare)) - chunkShare
		if from >= len(w.batch.chunks) {
			break
		}
		for i := from; i < min(from+chunkShare, len(w.batch.chunks)); i++ {
			if w.stop(ctx) {
				return
			}
			w.scanChunk(ctx, i)
		}
	}
	w.flush()
	for i := range w.lanes {
		if w.stop(ctx) {
			return
		}
		w.comparePending(ctx, i)
	}
}

// stop reports whether the batch was cancelled.
func (w *worker[T]) stop(ctx context.Context) bool {
	if ctx.Err() != nil {
		w.batch.stopped.Store(true)
	}
	return w.batch.stopped.Load()
}

// prepare makes a lane for each job.
func (w *worker[T]) prepare() {
	n := len(w.batch.jobs)
	if n > cap(w.lanes) {
		w.lanes = slices.Grow(w.lanes[:cap(w.lanes)], n-cap(w.lanes))
	}
	w.lanes, w.gathered = w.lanes[:n], w.gathered[:0]
	if len(w.scan.counts) < n {
		w.scan.found = newFound(n)
	}
	for i, j := range w.batch.jobs {
		l := &w.lanes[i]
		l.job, l.firstTest, l.triedAt = j, w.scan.shape.hasFirstTest(), j.minimum
		l.pending = l.pending[:0]
		l.best.reset(j.k, j.minimum)
		l.setBound(w.scan.shape, j.minimum)
	}
	w.packQueries()
}

// setBound computes the bound for a floor.
func (l *lane[T]) setBound(s shape, floor float64) {
	l.floor = floor
	l.bound = l.job.query.bound(s, floor)
}

// updateBound computes the bound again if the floor has risen, and reports whether it has.
func (l *lane[T]) updateBound(s shape) bool {
	floor := math.Float64frombits(l.job.floor.Load())
	if floor <= l.floor {
		return false
	}
	l.setBound(s, floor)
	return true
}

// packQueries lays the queries out for the kernel, without those that were abandoned.
func (w *worker[T]) packQueries() {
	w.order, w.scan.queries, w.changed = w.order[:0], w.scan.queries[:0], false
	for _, two := range [...]bool{true, false} {
		for i := range w.lanes {
			if l := &w.lanes[i]; l.firstTest == two && !l.job.abandoned.Load() {
				w.order = append(w.order, i)
				w.scan.queries = append(w.scan.queries, l.job.query.numbers...)
			}
		}
		if two {
			w.split = len(w.order)
		}
	}
}

// scanChunk scans a chunk for all jobs.
func (w *worker[T]) scanChunk(ctx context.Context, i int) {
	w.refresh()
	all, width := w.scan.queries, w.scan.width()
	w.scanLanes(ctx, i, w.order[:w.split], all[:w.split*width], true)
	w.scanLanes(ctx, i, w.order[w.split:], all[w.split*width:], false)
	w.scan.queries = all
}

// refresh updates bounds whose floor has risen and drops abandoned searches.
func (w *worker[T]) refresh() {
	for _, i := range w.order {
		l := &w.lanes[i]
		if l.updateBound(w.scan.shape) && !l.firstTest && w.scan.shape.hasFirstTest() && l.floor >= l.triedAt+retryRise {
			l.firstTest, w.changed = true, true
		}
		w.changed = w.changed || l.job.abandoned.Load()
	}
	if w.changed {
		w.packQueries()
	}
}

// scanLanes scans chunk i for some lanes.
func (w *worker[T]) scanLanes(ctx context.Context, i int, order []int, queries []int8, firstTest bool) {
	if len(order) == 0 {
		return
	}
	c, s := w.batch.chunks[i], &w.scan
	s.firstTest, s.queries, s.bounds = firstTest, queries, s.bounds[:0]
	for _, l := range order {
		s.bounds = append(s.bounds, w.lanes[l].bound)
	}
	c.mu.RLock()
	s.codes, s.terms, s.blocks = c.codes, c.terms, c.scanned()
	w.batch.index.kernel.scan(s)
	resting := c.allVisible(w.batch.version)
	for at := range order {
		if !resting || s.bounds[at].all() {
			rows, products := s.survivors(at)
			s.counts[at] = c.visible(rows, products, w.batch.version)
		}
	}
	c.mu.RUnlock()
	for at, l := range order {
		if firstTest && int(s.passed[at])*giveUpShare > s.blocks {
			w.lanes[l].firstTest, w.lanes[l].triedAt = false, w.lanes[l].floor
			w.changed = true
		}
		rows, products := s.survivors(at)
		w.score(ctx, i, l, rows, products)
	}
}

// The first test of a search is given up in a chunk of which it lets a third of the
// blocks pass, until the floor has risen by retryRise.
const (
	giveUpShare = 3
	retryRise   = 0.02
)

// survivors returns what the kernel found for a query.
func (s *scan) survivors(at int) ([]uint16, []int32) {
	from, to := at*chunkRows, at*chunkRows+int(s.counts[at])
	return s.rows[from:to], s.products[from:to]
}

// visible moves the rows that a version contains to the front and returns their number.
func (c *chunk[T]) visible(rows []uint16, products []int32, version uint64) int32 {
	n := int32(0)
	for i, row := range rows {
		if c.addedIn[row] <= version && version < c.removedIn[row] {
			rows[n], products[n] = row, products[i]
			n++
		}
	}
	return n
}

// score compares the rows that are likely to reach the floor and queues the others.
func (w *worker[T]) score(ctx context.Context, i, lane int, rows []uint16, products []int32) {
	l, terms := &w.lanes[lane], w.batch.chunks[i].terms
	for at, row := range rows {
		slot := uint32(i*chunkRows) + uint32(row)
		alpha, beta := terms[termAt(int(row), 0)], terms[termAt(int(row), 1)]
		if beta == unbounded || l.job.query.estimate(products[at], alpha, beta) >= l.floor {
			w.compare(lane, slot)
		} else {
			if len(l.pending) == 0 {
				l.pendingFloor = l.floor
			}
			l.pending = append(l.pending, candidate{slot, products[at]})
		}
	}
	if len(l.pending) > maxPending-chunkRows {
		w.comparePending(ctx, lane)
	}
}

// comparePending compares the pending rows that may still reach the floor. Without a
// threshold there are so many that it checks for cancellation now and then.
func (w *worker[T]) comparePending(ctx context.Context, lane int) {
	l := &w.lanes[lane]
	for i, p := range l.pending {
		if i%checkRows == checkRows-1 && (l.job.abandoned.Load() || w.stop(ctx)) {
			break
		}
		l.updateBound(w.scan.shape)
		if l.floor > l.pendingFloor {
			terms, row := w.batch.chunks[p.slot/chunkRows].terms, int(p.slot%chunkRows)
			if !l.bound.survives(p.product, terms[termAt(row, 0)], terms[termAt(row, 1)]) {
				continue
			}
		}
		w.compare(lane, p.slot)
	}
	w.flush()
	l.pending = l.pending[:0]
}

// checkRows is how many rows are compared between two such checks: at 512 numbers, half
// a megabyte.
const checkRows = 256

// gatherRows is how many vectors are compared at a time, of whichever lanes. They are
// brought together first: copies of far-off memory overlap, with each other and with the
// next chunk, where a comparison would wait for each.
const gatherRows = 32

// compare queues a row for the float32 comparison, which is made for several at once.
func (w *worker[T]) compare(lane int, slot uint32) {
	n, dimension := len(w.gathered), w.scan.dimension
	w.gathered = append(w.gathered, gathered{int32(lane), slot})
	copy(w.vectors[n*dimension:], w.batch.chunks[slot/chunkRows].vector(w.scan.shape, int(slot%chunkRows)))
	if n+1 == gatherRows {
		w.flush()
	}
}

// flush offers the gathered rows with their float32 scores, a lane at a time.
func (w *worker[T]) flush() {
	for from, to := 0, 0; from < len(w.gathered); from = to {
		lane := w.gathered[from].lane
		for to = from + 1; to < len(w.gathered) && w.gathered[to].lane == lane; {
			to++
		}
		w.offer(&w.lanes[lane], w.gathered[from:to], w.vectors[from*w.scan.dimension:])
	}
	w.compared += len(w.gathered)
	w.gathered = w.gathered[:0]
}

// offer offers rows of one lane.
func (w *worker[T]) offer(l *lane[T], rows []gathered, vectors []float32) {
	scores := w.scores[:len(rows)]
	w.batch.index.kernel.dots(l.job.query.vector, vectors, scores)
	for at, row := range rows {
		score := max(-1, min(1, float64(scores[at])))
		if score >= l.best.floor {
			l.best.offer(w.batch.chunks[row.slot/chunkRows].items[row.slot%chunkRows], score)
		}
	}
	l.job.raiseFloor(l.best.floor)
}
