package memstore

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"imago/ports"
)

// maxBatch is how many writes may share a commit, and queueLength how many may
// wait for the one after: a caller beyond that waits for room.
const (
	maxBatch    = 256
	queueLength = 256
)

// write is a change on its way, with the channel of the caller who waits for
// the answer.
type write struct {
	change
	settled atomic.Bool // by the writer that took it or the caller that left
	answer  chan error
}

// writer is the only one that changes the index and the database. Its goroutine
// commits what is waiting in one transaction, applies it to the index, answers,
// and takes what has come to wait meanwhile.
type writer struct {
	index    *index
	database *database // nil for RAM only
	log      *slog.Logger

	queue   chan *write
	closing chan struct{} // closed to ask the writer to finish
	stopped chan struct{} // closed when it has
	failure error         // of closing the database; valid once stopped

	// wipeDelay is how long the traces of a removal may stay in the
	// write-ahead log, and wipe fires when it is over; nil when there are none.
	wipeDelay time.Duration
	wipe      <-chan time.Time
}

// newWriter returns a writer that begins with run. What a crash has left in the
// log of a database may be traces of a removal too, so it is wiped once anyway.
func newWriter(x *index, db *database, wipeDelay time.Duration, log *slog.Logger) *writer {
	w := &writer{
		index: x, database: db, log: log, wipeDelay: wipeDelay,
		queue:   make(chan *write, queueLength),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if db != nil {
		w.wipe = time.After(wipeDelay)
	}
	return w
}

// do has a change made and returns the answer. When the context ends before the
// writer has taken the change up, it is never made.
func (w *writer) do(ctx context.Context, c change) error {
	op := &write{change: c, answer: make(chan error, 1)}
	select {
	case w.queue <- op:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return errClosed
	}
	select {
	case err := <-op.answer:
		return err
	case <-ctx.Done():
		op.settled.Store(true)
		return ctx.Err()
	case <-w.stopped:
		return op.late()
	}
}

// late returns the answer of a write that the writer may have given before it
// stopped.
func (op *write) late() error {
	select {
	case err := <-op.answer:
		return err
	default:
		return errClosed
	}
}

// run works until the writer is asked to finish and nothing waits any more.
func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case op := <-w.queue:
			w.process(w.gather(op))
		case <-w.wipe:
			w.wipeLog()
		case <-w.closing:
			w.finish()
			return
		}
	}
}

// finish answers what waits and closes the database.
func (w *writer) finish() {
	for {
		select {
		case op := <-w.queue:
			w.process(w.gather(op))
		default:
			if w.database != nil {
				w.failure = w.database.close()
			}
			return
		}
	}
}

// gather takes what is waiting behind a first write, up to a batch, and leaves
// out what its caller has given up.
func (w *writer) gather(first *write) []*write {
	batch := make([]*write, 0, 1+len(w.queue))
	for op := first; ; {
		if op.settled.CompareAndSwap(false, true) {
			batch = append(batch, op)
		}
		if len(batch) == maxBatch {
			return batch
		}
		select {
		case op = <-w.queue:
		default:
			return batch
		}
	}
}

// process decides about the writes of a batch, commits what was accepted and
// answers all. When the commit fails nothing has happened, and that includes
// the refusals, which may have counted on an earlier write of the batch.
func (w *writer) process(batch []*write) {
	d := newDraft(w.index)
	answers := make([]error, len(batch))
	for i, op := range batch {
		answers[i] = d.admit(op.change)
	}
	if err := w.commit(d.changes); err != nil {
		for i := range answers {
			answers[i] = unavailable(err)
		}
	}
	for i, op := range batch {
		op.answer <- answers[i]
	}
}

// commit makes changes durable and then visible.
func (w *writer) commit(changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	if w.database != nil {
		if err := w.database.commit(changes); err != nil {
			return err
		}
		w.planWipe(changes)
	}
	w.index.apply(changes)
	return nil
}

// planWipe sees to it that vectors which the changes made obsolete leave the
// disk soon.
func (w *writer) planWipe(changes []change) {
	for _, c := range changes {
		if w.wipe == nil && (c.mode == removal || c.mode == ports.Replacement) {
			w.wipe = time.After(w.wipeDelay)
		}
	}
}

// wipeLog empties the write-ahead log; when a backup that is being taken does
// not let it, it tries again later.
func (w *writer) wipeLog() {
	w.wipe = nil
	if err := w.database.truncateLog(); err != nil {
		w.log.Warn("memstore: the write-ahead log could not be emptied, so traces of removed faces remain in it for now",
			"error", err)
		w.wipe = time.After(w.wipeDelay)
	}
}
