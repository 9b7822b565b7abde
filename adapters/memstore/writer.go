package memstore

import (
	"context"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"imago/adapters/memindex"
	"imago/adapters/memstore/sqlite"
	"imago/ports"
)

// maxBatch is how many writes may share a commit, and queueLength how many may
// wait for the one after: a caller beyond that waits for room.
const (
	maxBatch    = 256
	queueLength = 256
)

// file is the durable part of a store, a sqlite.File.
type file interface {
	// Commit makes all of the changes durable, or none of them.
	Commit(changes []sqlite.Change) error
	// TruncateLog removes the last copies of removed vectors from the disk. It fails
	// while another process is reading the file.
	TruncateLog() error
	// CheckPresent returns an error if the file was moved, deleted or replaced. It may be
	// called at any time.
	CheckPresent() error
	// Scan yields records with their chips; see sqlite.File.Scan.
	Scan(ctx context.Context, s ports.Selection) iter.Seq2[ports.Record, error]
	Close() error
}

// write is a change that waits for the writer, with the channel on which the caller waits
// for the result.
type write struct {
	change
	claimed atomic.Bool // by the writer that took it or the caller that left
	answer  chan error
}

// writer is the only one that changes the index and the database. Its goroutine
// commits what is waiting in one transaction, applies it to the index, answers,
// and continues with the writes that have been queued meanwhile.
type writer struct {
	index *memindex.Index
	file  file // nil for RAM only
	log   *slog.Logger

	queue   chan *write
	closing chan struct{} // closed to ask the writer to finish
	stopped chan struct{} // closed when it has
	failure error         // of closing the database; valid once stopped

	// wipeDelay is how long removed vectors may stay in the write-ahead log; wipeTimer is nil
	// while there are none in it.
	wipeDelay time.Duration
	wipeTimer <-chan time.Time
}

// newWriter returns a writer that starts with run. A crash may have left removed vectors in
// the log too, so it is emptied once anyway.
func newWriter(x *memindex.Index, f file, wipeDelay time.Duration, log *slog.Logger) *writer {
	w := &writer{
		index: x, file: f, log: log, wipeDelay: wipeDelay,
		queue:   make(chan *write, queueLength),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if f != nil {
		w.wipeTimer = time.After(wipeDelay)
	}
	return w
}

// submit has a change made and returns the answer. When the context ends before the
// writer has taken the change up, it is never made.
func (w *writer) submit(ctx context.Context, c change) error {
	op := &write{change: c, answer: make(chan error, 1)}
	select {
	case w.queue <- op:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-op.answer:
		return err
	case <-ctx.Done():
		op.claimed.Store(true)
		return ctx.Err()
	}
}

// run works until the writer is asked to finish. Nobody waits for an answer then.
func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case op := <-w.queue:
			w.process(w.collectBatch(op))
		case <-w.wipeTimer:
			w.wipeLog()
		case <-w.closing:
			if w.file != nil {
				w.failure = w.file.Close()
			}
			return
		}
	}
}

// collectBatch takes what is waiting behind a first write, up to a batch, and leaves
// out what its caller has given up.
func (w *writer) collectBatch(first *write) []*write {
	batch := make([]*write, 0, 1+len(w.queue))
	for op := first; ; {
		if op.claimed.CompareAndSwap(false, true) {
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
	p := newPlan(w.index)
	answers := make([]error, len(batch))
	for i, op := range batch {
		answers[i] = p.accept(op.change)
	}
	if err := w.commit(p.changes); err != nil {
		for i := range answers {
			answers[i] = err
		}
	}
	for i, op := range batch {
		op.answer <- answers[i]
	}
}

// commit makes changes durable and then visible.
func (w *writer) commit(changes []sqlite.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if w.file != nil {
		if err := w.file.Commit(changes); err != nil {
			return err
		}
		w.scheduleWipe(changes)
	}
	w.apply(changes)
	return nil
}

// apply makes changes visible, all those of a collection at the same moment.
func (w *writer) apply(changes []sqlite.Change) {
	for _, c := range changes {
		switch {
		case c.OneFace, c.Renew:
			w.index.RemoveFace(c.Face.User(), c.Face.FaceID)
		case c.Remove:
			w.index.RemoveUser(c.Face.User())
		}
		if c.Add || c.Renew {
			w.index.Add(c.Face)
		}
	}
	w.index.Publish()
}

// scheduleWipe sets the timer if changes have removed vectors, copies of which are in the
// log now.
func (w *writer) scheduleWipe(changes []sqlite.Change) {
	for _, c := range changes {
		if w.wipeTimer == nil && c.Remove {
			w.wipeTimer = time.After(w.wipeDelay)
		}
	}
}

// wipeLog empties the write-ahead log; when a backup that is being taken does
// not let it, it tries again later.
func (w *writer) wipeLog() {
	w.wipeTimer = nil
	if err := w.file.TruncateLog(); err != nil {
		w.log.Warn("cannot empty the write-ahead log, trying again; removed vectors stay in it until then",
			"error", err)
		w.wipeTimer = time.After(w.wipeDelay)
	}
}
