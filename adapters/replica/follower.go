package replica

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"imago/adapters/memindex"
	"imago/ports"
)

const (
	// pollEvery is how often an idle replica looks for changes: so long a removed face
	// stays in its memory.
	pollEvery = time.Second
	// checkTime bounds looking for changes, and loadTime making the copy.
	checkTime = 5 * time.Second
	loadTime  = 30 * time.Minute
	// keepUnconfirmed is for how long a copy is kept that the source does not confirm: so
	// long a removed face stays in the memory of an instance that is cut off.
	keepUnconfirmed = 10 * time.Minute
	// maxDelta is how many faces are brought up to date at once, about 30 MB of 128
	// numbers. The copy is made again where more have changed, which then takes less.
	maxDelta = 50_000
	// firstPause and lastPause are between attempts to make the copy; longPause is where
	// there are too many faces for it.
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	longPause  = 10 * time.Minute
)

// errTooMany ends the making of a copy, the others its use.
var (
	errTooMany = errors.New("the gallery has more faces than store.pgvector.replica.max_faces")
	errUnknown = errors.New("the change log does not lead from the copy to the present: all faces were removed at once, the database was restored, " +
		"the log was switched off for a while, or too much has changed; the copy is made again")
	errUnconfirmed = errors.New("the copy could not be confirmed for ten minutes and was erased; it is made again")
)

// round is one question to the source, whose answer is for all who asked before it was put.
type round struct {
	done chan struct{}
	copy *faceCopy // valid once done; nil where the source has to be searched
}

// follower keeps the copy. One goroutine makes it, asks the source for changes and applies
// them, when somebody wants to search and once in a while.
type follower struct {
	source Source
	notify func(error) // see ports.Replica
	Options

	mu     sync.Mutex
	next   *round        // what those who come now wait for
	wanted chan struct{} // somebody does

	stop    context.CancelFunc
	stopped chan struct{}

	// The fields of the goroutine.
	copy *faceCopy      // nil while there is none
	at   ports.Position // of the copy

	settled, usable                                            atomic.Bool
	faces, bytes, behind, applied, loads, checks, failedChecks atomic.Int64
}

func newFollower(source Source, options Options) *follower {
	return &follower{
		source: source, notify: func(error) {}, Options: options,
		wanted: make(chan struct{}, 1), next: noCopy(), stopped: make(chan struct{}),
	}
}

// noCopy is a round that is over: nobody waits while there is no copy.
func noCopy() *round {
	r := &round{done: make(chan struct{})}
	close(r.done)
	return r
}

func (f *follower) start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.run(ctx)
}

func (f *follower) close() {
	f.stop()
	<-f.stopped
}

// confirmed returns the copy when the source has said, after the call began, that it is not
// behind; nil when there is none or the source cannot tell.
func (f *follower) confirmed(ctx context.Context) (*faceCopy, error) {
	f.mu.Lock()
	r := f.next
	f.mu.Unlock()
	select {
	case <-r.done:
		return r.copy, nil
	default:
	}
	select {
	case f.wanted <- struct{}{}:
	default:
	}
	select {
	case <-r.done:
		return r.copy, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin starts a round: whoever comes from now on waits for the next one.
func (f *follower) begin() *round { return f.swap(&round{done: make(chan struct{})}) }

func (f *follower) swap(next *round) (before *round) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.next = f.next, next
	return before
}

func (f *follower) run(ctx context.Context) {
	defer close(f.stopped)
	defer f.drop()
	for ctx.Err() == nil && f.load(ctx) {
		f.follow(ctx)
		f.drop()
	}
}

// load makes the copy, however often it takes, and reports whether it is there: not when ctx
// has ended.
func (f *follower) load(ctx context.Context) bool {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := f.tryLoad(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		f.settled.Store(true)
		f.failed(ctx, err)
		if errors.Is(err, errTooMany) {
			pause = longPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

func (f *follower) tryLoad(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	began := time.Now()
	f.loads.Add(1)
	c := &faceCopy{index: memindex.New(f.Dimension, f.Threads)}
	n := int64(0)
	loader := memindex.NewLoader(c.index)
	at, err := f.source.Snapshot(ctx, func(r ports.Record) error {
		if n++; n > int64(f.MaxFaces) {
			return errTooMany
		}
		if n%1000 == 0 {
			f.faces.Store(n)
		}
		loader.Add(r)
		return nil
	})
	loader.Close()
	if err != nil {
		c.drop()
		f.faces.Store(0)
		return err
	}
	c.index.Publish()
	f.copy, f.at = c, at
	f.measure()
	f.confirm()
	f.settled.Store(true)
	f.Log.Info("read the faces into memory", "faces", n, "bytes", c.index.Bytes(), "duration_ms", time.Since(began).Milliseconds())
	return nil
}

// drop forgets the copy.
func (f *follower) drop() {
	if f.copy != nil {
		f.usable.Store(false)
		f.copy.drop()
		f.copy = nil
		f.faces.Store(0)
		f.bytes.Store(0)
	}
}

// follow answers rounds until the copy has to be made again.
func (f *follower) follow(ctx context.Context) {
	f.swap(&round{done: make(chan struct{})})
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	confirmed := time.Now()
	for goOn := true; goOn; {
		select {
		case <-f.wanted:
		case <-poll.C:
		case <-ctx.Done():
			close(f.swap(noCopy()).done)
			return
		}
		r := f.begin()
		err := f.catchUp(ctx)
		if f.usable.Store(err == nil); err == nil {
			confirmed, r.copy = time.Now(), f.copy
			f.confirm()
		} else if time.Since(confirmed) > keepUnconfirmed {
			err = errors.Join(errUnconfirmed, err)
		}
		if goOn = !errors.Is(err, errUnknown) && !errors.Is(err, errTooMany) && !errors.Is(err, errUnconfirmed); !goOn {
			close(f.swap(noCopy()).done)
		}
		close(r.done)
		if err != nil && ctx.Err() == nil {
			if goOn {
				f.failedChecks.Add(1)
			}
			f.failed(ctx, err)
		}
	}
}

// confirm notes that the copy is where the source is.
func (f *follower) confirm() {
	f.usable.Store(true)
	f.behind.Store(0)
	f.notify(nil)
}

// failed notes why the source has to be searched. It is asked whether it is well: its own
// failures are noted by whoever calls it.
func (f *follower) failed(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if f.source.Check(ctx) == nil {
		f.notify(err)
	}
}

// catchUp brings the copy to where the source is.
func (f *follower) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	f.checks.Add(1)
	head, err := f.source.Head(ctx)
	if err != nil || head == f.at {
		return err
	}
	f.behind.Store(max(0, head.Number-f.at.Number)) // less than none after a restore
	delta, err := f.source.Since(ctx, f.at, maxDelta)
	switch {
	case err != nil:
		return err
	case delta.Unknown:
		return errUnknown
	}
	f.copy.apply(delta)
	f.applied.Add(delta.To.Number - f.at.Number)
	f.at = delta.To
	f.measure()
	if f.copy.index.Len() > f.MaxFaces {
		return errTooMany
	}
	return nil
}

func (f *follower) measure() {
	f.faces.Store(int64(f.copy.index.Len()))
	f.bytes.Store(f.copy.index.Bytes())
}
