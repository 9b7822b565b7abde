package milvusstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A server spends most of the time of a small request on overhead, so callers who change
// different users at the same time share requests: while maxRunning requests of a kind
// are running, further calls wait and go into the next one together. A single caller
// never waits.
const (
	maxRunning = 4
	// maxBatch bounds a shared request: rows to insert, IDs to delete, or users to read. So
	// many rows with the largest chips are 4 MB; servers take 64 MB in one message.
	maxBatch = 64
	// minBatchTime is the time that a call must have left to share a request. One
	// with less is sent by itself, so that its deadline does not end the others.
	minBatchTime = time.Second
)

// batchingTable is a table that batches calls. It changes nothing about what each
// of them may rely on: a call joins a request before that is sent, and a request has
// the earliest deadline of its calls and takes effect as a whole. Only its failure
// is shared too.
type batchingTable struct {
	table
	claims, faces batchQueue[row, struct{}]
	removals      batchQueue[[]string, struct{}]
	reads         batchQueue[key, []row]
}

func newBatchingTable(t table) *batchingTable {
	b := &batchingTable{table: t}
	inserts := func(partition string) func(context.Context, []row) ([]struct{}, error) {
		return func(ctx context.Context, rows []row) ([]struct{}, error) {
			return make([]struct{}, len(rows)), t.insert(ctx, partition, rows...)
		}
	}
	b.claims.send, b.faces.send = inserts(claimsPartition), inserts(facesPartition)
	b.removals.send = func(ctx context.Context, ids [][]string) ([]struct{}, error) {
		return make([]struct{}, len(ids)), t.remove(ctx, slices.Concat(ids...))
	}
	b.removals.size = func(ids []string) int { return len(ids) }
	b.reads.send = b.readBatch
	return b
}

func (b *batchingTable) insert(ctx context.Context, partition string, rows ...row) error {
	if len(rows) != 1 {
		return b.table.insert(ctx, partition, rows...)
	}
	q := &b.faces
	if partition == claimsPartition {
		q = &b.claims
	}
	_, err := q.do(ctx, rows[0])
	return err
}

func (b *batchingTable) remove(ctx context.Context, ids []string) error {
	_, err := b.removals.do(ctx, ids)
	return err
}

func (b *batchingTable) users(ctx context.Context, keys ...key) ([]row, error) {
	if len(keys) != 1 {
		return b.table.users(ctx, keys...)
	}
	return b.reads.do(ctx, keys[0])
}

// readBatch reads several users at the same moment, or one after the other when
// they have too many rows, or one has rows that are not imago's.
func (b *batchingTable) readBatch(ctx context.Context, keys []key) ([][]row, error) {
	rows, err := b.table.users(ctx, keys...)
	if len(keys) == 1 {
		return [][]row{rows}, err
	}
	each := make([][]row, len(keys))
	if len(rows) >= maxRead || errors.Is(err, errForeignRow) {
		return nil, errSplitBatch
	}
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		for _, r := range rows {
			if r.key() == k {
				each[i] = append(each[i], r)
			}
		}
	}
	return each, nil
}

// errSplitBatch says that calls cannot share their request, which had no effect.
var errSplitBatch = errors.New("requests must be sent one by one")

// batchQueue collects calls of one kind.
type batchQueue[Req, Res any] struct {
	// send makes one request of several and returns the responses in their order.
	send func(ctx context.Context, requests []Req) ([]Res, error)
	size func(Req) int // how much of maxBatch a request is; nil for 1

	mu      sync.Mutex
	running int
	pending []*call[Req, Res]
}

// call is one caller's part of a request.
type call[Req, Res any] struct {
	ctx      context.Context
	request  Req
	response Res
	err      error
	done     chan struct{} // closed when there is an answer or an error
}

// do returns the response to a request. When the context ends first, it is not known
// whether the request takes effect, unless it was still pending.
func (q *batchQueue[Req, Res]) do(ctx context.Context, request Req) (Res, error) {
	c := &call[Req, Res]{ctx: ctx, request: request, done: make(chan struct{})}
	q.mu.Lock()
	q.pending = append(q.pending, c)
	if q.running < maxRunning {
		q.running++
		go q.run()
	}
	q.mu.Unlock()
	select {
	case <-c.done:
		return c.response, c.err
	case <-ctx.Done():
		q.drop(c)
		var none Res
		return none, ctx.Err()
	}
}

// drop takes out a call that is still pending.
func (q *batchQueue[Req, Res]) drop(c *call[Req, Res]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at := slices.Index(q.pending, c); at >= 0 {
		q.pending = slices.Delete(q.pending, at, at+1)
	}
}

// run sends batches until no call is pending.
func (q *batchQueue[Req, Res]) run() {
	for calls := q.nextBatch(); len(calls) > 0; calls = q.nextBatch() {
		q.sendBatch(calls)
		for _, c := range calls {
			close(c.done)
		}
	}
}

// nextBatch returns the calls of the next request, none when there are none. The first
// has waited longest.
func (q *batchQueue[Req, Res]) nextBatch() (calls []*call[Req, Res]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	q.pending = slices.DeleteFunc(q.pending, func(c *call[Req, Res]) bool {
		own := 1
		if q.size != nil {
			own = q.size(c.request)
		}
		fits := len(calls) == 0 || size+own <= maxBatch && calls[0].canWait() && c.canWait()
		if fits {
			calls, size = append(calls, c), size+own
		}
		return fits
	})
	if len(calls) == 0 {
		q.running--
	}
	return calls
}

// canWait reports whether a call has time enough to share a request.
func (c *call[Req, Res]) canWait() bool {
	deadline, ok := c.ctx.Deadline()
	return !ok || time.Until(deadline) >= minBatchTime
}

// sendBatch makes one request of some calls.
func (q *batchQueue[Req, Res]) sendBatch(calls []*call[Req, Res]) {
	if len(calls) == 1 {
		q.sendOne(calls[0])
		return
	}
	ctx, cancel := batchContext(calls)
	defer cancel()
	requests := make([]Req, len(calls))
	for i, c := range calls {
		requests[i] = c.request
	}
	responses, err := q.send(ctx, requests)
	for i, c := range calls {
		switch {
		case errors.Is(err, errSplitBatch):
			q.sendOne(c)
		case err != nil:
			c.err = err
		default:
			c.response = responses[i]
		}
	}
}

func (q *batchQueue[Req, Res]) sendOne(c *call[Req, Res]) {
	responses, err := q.send(c.ctx, []Req{c.request})
	if c.err = err; err == nil {
		c.response = responses[0]
	}
}

// batchContext returns a context that ends with the earliest deadline of some calls, but not
// because one caller leaves.
func batchContext[Req, Res any](calls []*call[Req, Res]) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(calls[0].ctx)
	var earliest time.Time
	for _, c := range calls {
		if deadline, ok := c.ctx.Deadline(); ok && (earliest.IsZero() || deadline.Before(earliest)) {
			earliest = deadline
		}
	}
	if earliest.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, earliest)
}
