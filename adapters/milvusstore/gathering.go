package milvusstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A server spends most of the time of a small request on the request itself, so
// that callers who change different users at the same time are served together:
// while parallel requests of a kind are under way, those that come wait, and then
// share the next. Who is alone never waits.
const (
	parallel = 4
	// maxGathered bounds what shares a request: rows to insert, IDs to delete, or
	// users to read.
	maxGathered = 64
	// gatherPatience is the time that a call must have left to share a request. One
	// with less is sent alone, so that its end is not everybody's.
	gatherPatience = time.Second
)

// gathering is a table that puts calls together. It changes nothing about what each
// of them may rely on: a call joins a request before that is sent, and a request has
// the earliest deadline of its calls and takes effect as a whole. Only its failure
// is shared too.
type gathering struct {
	table
	claims, faces lane[row, struct{}]
	removals      lane[[]string, struct{}]
	reads         lane[key, []row]
}

func newGathering(t table) *gathering {
	g := &gathering{table: t}
	inserts := func(partition string) func(context.Context, []row) ([]struct{}, error) {
		return func(ctx context.Context, rows []row) ([]struct{}, error) {
			return make([]struct{}, len(rows)), t.insert(ctx, partition, rows...)
		}
	}
	g.claims.send, g.faces.send = inserts(claimsPartition), inserts(facesPartition)
	g.removals.send = func(ctx context.Context, ids [][]string) ([]struct{}, error) {
		return make([]struct{}, len(ids)), t.remove(ctx, slices.Concat(ids...))
	}
	g.removals.size = func(ids []string) int { return len(ids) }
	g.reads.send = g.readTogether
	return g
}

func (g *gathering) insert(ctx context.Context, partition string, rows ...row) error {
	if len(rows) != 1 {
		return g.table.insert(ctx, partition, rows...)
	}
	l := &g.faces
	if partition == claimsPartition {
		l = &g.claims
	}
	_, err := l.do(ctx, rows[0])
	return err
}

func (g *gathering) remove(ctx context.Context, ids []string) error {
	_, err := g.removals.do(ctx, ids)
	return err
}

func (g *gathering) users(ctx context.Context, keys ...key) ([]row, error) {
	if len(keys) != 1 {
		return g.table.users(ctx, keys...)
	}
	return g.reads.do(ctx, keys[0])
}

// readTogether reads several users at the same moment, or one after the other when
// they have too many rows, or one has rows that are not imago's.
func (g *gathering) readTogether(ctx context.Context, keys []key) ([][]row, error) {
	rows, err := g.table.users(ctx, keys...)
	if len(keys) == 1 {
		return [][]row{rows}, err
	}
	each := make([][]row, len(keys))
	if len(rows) >= maxRead || errors.Is(err, errForeign) {
		return nil, errApart
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

// errApart says that calls cannot share their request, which had no effect.
var errApart = errors.New("to be sent one by one")

// lane is where calls of one kind come together.
type lane[Q, A any] struct {
	// send makes a request of questions, and answers in their order.
	send func(ctx context.Context, questions []Q) ([]A, error)
	size func(Q) int // how much of maxGathered a question is; nil for 1

	mu       sync.Mutex
	underWay int
	waiting  []*call[Q, A]
}

// call is one caller's part of a request.
type call[Q, A any] struct {
	ctx      context.Context
	question Q
	answer   A
	err      error
	done     chan struct{} // closed when there is an answer or an error
}

// do has a question answered. It returns when that is done or the context ends; in
// the latter case it is not known whether the request takes effect, unless it
// still waited, as of any request.
func (l *lane[Q, A]) do(ctx context.Context, question Q) (A, error) {
	c := &call[Q, A]{ctx: ctx, question: question, done: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	if l.underWay < parallel {
		l.underWay++
		go l.work()
	}
	l.mu.Unlock()
	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
		l.leave(c)
		var none A
		return none, ctx.Err()
	}
}

// leave takes out a call that still waits.
func (l *lane[Q, A]) leave(c *call[Q, A]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.waiting, c); at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
	}
}

// work makes requests until no call waits.
func (l *lane[Q, A]) work() {
	for calls := l.take(); len(calls) > 0; calls = l.take() {
		l.request(calls)
		for _, c := range calls {
			close(c.done)
		}
	}
}

// take returns the calls of the next request, and none when the worker is to end.
// The first has waited longest.
func (l *lane[Q, A]) take() (calls []*call[Q, A]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := 0
	l.waiting = slices.DeleteFunc(l.waiting, func(c *call[Q, A]) bool {
		own := 1
		if l.size != nil {
			own = l.size(c.question)
		}
		fits := len(calls) == 0 || size+own <= maxGathered && calls[0].patient() && c.patient()
		if fits {
			calls, size = append(calls, c), size+own
		}
		return fits
	})
	if len(calls) == 0 {
		l.underWay--
	}
	return calls
}

// patient reports whether a call has time enough to share a request.
func (c *call[Q, A]) patient() bool {
	deadline, ok := c.ctx.Deadline()
	return !ok || time.Until(deadline) >= gatherPatience
}

// request makes a request of some calls.
func (l *lane[Q, A]) request(calls []*call[Q, A]) {
	if len(calls) == 1 {
		l.alone(calls[0])
		return
	}
	ctx, cancel := sharedBy(calls)
	defer cancel()
	questions := make([]Q, len(calls))
	for i, c := range calls {
		questions[i] = c.question
	}
	answers, err := l.send(ctx, questions)
	for i, c := range calls {
		switch {
		case errors.Is(err, errApart):
			l.alone(c)
		case err != nil:
			c.err = err
		default:
			c.answer = answers[i]
		}
	}
}

func (l *lane[Q, A]) alone(c *call[Q, A]) {
	answers, err := l.send(c.ctx, []Q{c.question})
	if c.err = err; err == nil {
		c.answer = answers[0]
	}
}

// sharedBy returns a context that ends with the earliest deadline of some calls, but not
// because one caller leaves.
func sharedBy[Q, A any](calls []*call[Q, A]) (context.Context, context.CancelFunc) {
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
