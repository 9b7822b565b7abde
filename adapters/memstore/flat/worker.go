package flat

import (
	"context"
	"math"
	"slices"
)

// maxPending is how many rows of a search may wait for the float32 comparison.
const maxPending = 1 << 14

// share is how many chunks a worker takes at a time.
const share = 4

// worker is a core's part in a batch. Its memory is used again by the next batch.
type worker[T Item] struct {
	batch   *batch[T]
	helping func()
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
	floor float64 // that bound was made for
	bound bound
	// two says whether the first test is made. It is given up when it rules out
	// little, and tried again when the floor has risen.
	two     bool
	triedAt float64
	// pending are rows that survived but are unlikely to reach the floor. They wait:
	// by the end of the scan the floor may have risen above most.
	pending []waiting
	waited  float64 // the floor that the first of them survived
}

// gathered is a row to compare with the query of a lane.
type gathered struct {
	lane int32
	slot uint32
}

// waiting is a row that survived the tests, with its sum u.d.
type waiting struct {
	slot    uint32
	product int32
}

func newWorker[T Item](b *batch[T]) *worker[T] {
	s := b.index.shape
	w := &worker[T]{
		batch: b, scan: scan{shape: s}, gathered: make([]gathered, 0, gatherRows),
		vectors: make([]float32, gatherRows*s.dimension), scores: make([]float32, gatherRows),
	}
	w.helping = func() {
		defer b.helping.Done()
		w.run(context.Background())
	}
	return w
}

// run takes chunks until there are none, and then settles what is pending.
func (w *worker[T]) run(ctx context.Context) {
	w.prepare()
	for {
		from := int(w.batch.next.Add(share)) - share
		if from >= len(w.batch.chunks) {
			break
		}
		for i := from; i < min(from+share, len(w.batch.chunks)); i++ {
			if w.stop(ctx) {
				return
			}
			w.chunk(ctx, i)
		}
	}
	w.flush()
	for i := range w.lanes {
		if w.stop(ctx) {
			return
		}
		w.settle(ctx, i)
	}
}

// stop tells whether to give up.
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
		l.job, l.two, l.triedAt = j, w.scan.shape.two(), j.minimum
		l.pending = l.pending[:0]
		l.best.reset(j.k, j.minimum)
		l.aim(w.scan.shape, j.minimum)
	}
	w.arrange()
}

// aim makes the bound for a floor.
func (l *lane[T]) aim(s shape, floor float64) {
	l.floor = floor
	l.bound = l.job.query.bound(s, floor)
}

// follow aims anew if the floor has risen, and tells whether it has.
func (l *lane[T]) follow(s shape) bool {
	floor := math.Float64frombits(l.job.floor.Load())
	if floor <= l.floor {
		return false
	}
	l.aim(s, floor)
	return true
}

// arrange lays the queries out for the kernel, without those whose caller has gone.
func (w *worker[T]) arrange() {
	w.order, w.scan.queries, w.changed = w.order[:0], w.scan.queries[:0], false
	for _, two := range [...]bool{true, false} {
		for i := range w.lanes {
			if l := &w.lanes[i]; l.two == two && !l.job.left.Load() {
				w.order = append(w.order, i)
				w.scan.queries = append(w.scan.queries, l.job.query.numbers...)
			}
		}
		if two {
			w.split = len(w.order)
		}
	}
}

// chunk scans a chunk for all jobs.
func (w *worker[T]) chunk(ctx context.Context, i int) {
	w.refresh()
	all, width := w.scan.queries, w.scan.width()
	w.part(ctx, i, w.order[:w.split], all[:w.split*width], true)
	w.part(ctx, i, w.order[w.split:], all[w.split*width:], false)
	w.scan.queries = all
}

// refresh follows the floors that rose and the callers that left.
func (w *worker[T]) refresh() {
	for _, i := range w.order {
		l := &w.lanes[i]
		if l.follow(w.scan.shape) && !l.two && w.scan.shape.two() && l.floor >= l.triedAt+retryRise {
			l.two, w.changed = true, true
		}
		w.changed = w.changed || l.job.left.Load()
	}
	if w.changed {
		w.arrange()
	}
}

// part scans chunk i for some lanes.
func (w *worker[T]) part(ctx context.Context, i int, order []int, queries []int8, two bool) {
	if len(order) == 0 {
		return
	}
	c, s := w.batch.chunks[i], &w.scan
	s.two, s.queries, s.bounds = two, queries, s.bounds[:0]
	for _, l := range order {
		s.bounds = append(s.bounds, w.lanes[l].bound)
	}
	c.mu.RLock()
	s.codes, s.terms, s.blocks = c.codes, c.terms, c.scanned()
	w.batch.index.kernel.scan(s)
	resting := c.resting(w.batch.version)
	for at := range order {
		if !resting || s.bounds[at].all() {
			rows, products := s.survivors(at)
			s.counts[at] = c.visible(rows, products, w.batch.version)
		}
	}
	c.mu.RUnlock()
	for at, l := range order {
		if two && int(s.passed[at])*giveUpShare > s.blocks {
			w.lanes[l].two, w.lanes[l].triedAt = false, w.lanes[l].floor
			w.changed = true
		}
		rows, products := s.survivors(at)
		w.weigh(ctx, i, l, rows, products)
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

// visible leaves the rows that a version has at the front and returns their number.
func (c *chunk[T]) visible(rows []uint16, products []int32, version uint64) int32 {
	n := int32(0)
	for i, row := range rows {
		if c.born[row] <= version && version < c.died[row] {
			rows[n], products[n] = row, products[i]
			n++
		}
	}
	return n
}

// weigh compares the rows that may well reach the floor, and has the others wait.
func (w *worker[T]) weigh(ctx context.Context, i, lane int, rows []uint16, products []int32) {
	l, terms := &w.lanes[lane], w.batch.chunks[i].terms
	for at, row := range rows {
		slot := uint32(i*chunkRows) + uint32(row)
		alpha, beta := terms[termAt(int(row), 0)], terms[termAt(int(row), 1)]
		if beta == unbounded || l.job.query.estimate(products[at], alpha, beta) >= l.floor {
			w.compare(lane, slot)
		} else {
			if len(l.pending) == 0 {
				l.waited = l.floor
			}
			l.pending = append(l.pending, waiting{slot, products[at]})
		}
	}
	if len(l.pending) > maxPending-chunkRows {
		w.settle(ctx, lane)
	}
}

// settle compares the pending rows that may still reach the floor. Without a threshold
// these are so many that it looks now and then whether anybody waits for them.
func (w *worker[T]) settle(ctx context.Context, lane int) {
	l := &w.lanes[lane]
	for i, p := range l.pending {
		if i%settleRows == settleRows-1 && (l.job.left.Load() || w.stop(ctx)) {
			break
		}
		l.follow(w.scan.shape)
		if l.floor > l.waited {
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

// settleRows is how many rows are settled between two such looks: at 512 numbers, half a
// megabyte.
const settleRows = 256

// gatherRows is how many vectors are compared at a time, of whichever lanes. They are
// brought together first: copies of far-off memory overlap, with each other and with the
// next chunk, where a comparison would wait for each.
const gatherRows = 32

// compare has a row compared, together with others.
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
	l.job.lift(l.best.floor)
}
