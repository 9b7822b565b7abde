package outage

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// calm is how long nothing may have failed before a part counts as back, so that one
	// which comes and goes does not fill the log.
	calm = 3 * time.Second
	// reminder is how often a part that is still lost is logged.
	reminder = time.Minute
	// forget is how long a failed call that nobody makes again counts while the part as a
	// whole is healthy.
	forget = 30 * time.Second
)

// Words are what is logged of a part: that it is lost, what to do, and that it is back.
// Level is that of the first.
type Words struct {
	Level              slog.Level
	Lost, Action, Back string
}

// Watch follows the calls of one part. It is safe for concurrent use, and a nil Watch follows
// nothing.
type Watch struct {
	log   *slog.Logger
	words Words
	now   func() time.Time // the clock but in tests

	lost     atomic.Bool // whether there is anything below
	mu       sync.Mutex
	failing  map[string]time.Time // the calls whose last result was a failure, and when
	since    time.Time            // the first failure
	last     time.Time            // the last one
	well     time.Time            // the first moment behind it in which no call was failing
	told     time.Time            // when the log was last told of it
	failures int
}

// New returns a Watch of a part that is not lost.
func New(log *slog.Logger, words Words) *Watch {
	return &Watch{log: log, words: words, now: time.Now, failing: map[string]time.Time{}}
}

// reported is an error that is in the log as part of an outage.
type reported struct{ error }

func (r reported) Unwrap() error { return r.error }

// Reported says whether an error has been logged, or counted, as part of an outage.
func Reported(err error) bool {
	var r reported
	return errors.As(err, &r)
}

// Failed notes that a call failed because the part is lost. It returns the error, which is then
// Reported. The first failure is logged, and a reminder every minute.
func (w *Watch) Failed(call string, err error) error {
	if w == nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	w.failing[call], w.last, w.well = now, now, time.Time{}
	w.failures++
	switch {
	case !w.lost.Swap(true):
		w.since, w.told = now, now
		w.log.Log(context.Background(), w.words.Level, w.words.Lost, "call", call, "error", err, "action", w.words.Action)
	case now.Sub(w.told) >= reminder:
		w.told = now
		w.log.Warn(w.words.Lost+", still", "call", call, "error", err, "since", w.since.UTC(), "failures", w.failures)
	}
	return reported{err}
}

// Succeeded notes that a call of the part succeeded. The part is back when no call fails any more.
func (w *Watch) Succeeded(call string) {
	if w == nil || !w.lost.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.failing, call)
	w.settle(w.now())
}

// Healthy notes that a check of the part succeeded, which vouches for the calls that it names; others
// count as failing for a while.
func (w *Watch) Healthy(calls ...string) {
	if w == nil || !w.lost.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, call := range calls {
		delete(w.failing, call)
	}
	now := w.now()
	for call, at := range w.failing {
		if now.Sub(at) >= forget {
			delete(w.failing, call)
		}
	}
	w.settle(now)
}

// settle logs that the part is back if it is. The caller holds mu.
func (w *Watch) settle(now time.Time) {
	if len(w.failing) > 0 || !w.lost.Load() {
		return
	}
	if w.well.IsZero() {
		w.well = now
	}
	if now.Sub(w.last) < calm {
		return
	}
	w.log.Info(w.words.Back, "duration_ms", w.well.Sub(w.since).Milliseconds(), "failures", w.failures)
	w.lost.Store(false)
	w.failures = 0
}
