package reload

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"imago/config/regularfile"
)

// maxRead bounds what is looked at of one file, in bytes. Those who load are to
// refuse files long before that size.
const maxRead = 16 << 20

// patience is how long one reading may take before it is reported. Files are read
// in microseconds, but for a file system that hangs.
const patience = 10 * time.Second

// errSlow is what is reported of a reading that has not come to its end.
var errSlow = errors.New("the files cannot be read in time: their file system does not answer")

// errClosed is what whoever waits for a reading is told when the watching ends.
var errClosed = errors.New("the files are not watched any more")

// Files is a group of files that are read together. Its methods are safe for
// concurrent use, but for Start and Close, which come once each.
type Files struct {
	// Interval is how soon a change is noticed: a second, unless it is set
	// before Start.
	Interval time.Duration

	paths  []string
	load   func() error
	report func(error)

	// turn holds a token while nothing is read: one reading at a time. A reading
	// that hangs keeps it, and costs one goroutine however long it hangs.
	turn     chan struct{}
	seen     state // of the last reading; whoever has the turn may use it
	failure  error // of the last reading, until it is reported
	patience time.Duration
	hung     atomic.Bool // it was reported that a reading hangs

	closing chan struct{}
	close   func()
	wait    sync.WaitGroup
}

// New returns Files that load puts in force; it leaves everything as it was when
// it answers an error. Report is told how every attempt but the first went, nil
// for success, and must not block. Empty paths are left out: without any there is
// nothing to do. Load and report are called from one goroutine at a time, but for a
// report that a reading hangs.
func New(load func() error, report func(error), paths ...string) *Files {
	f := &Files{
		load: load, report: report, Interval: time.Second, patience: patience,
		turn: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	f.turn <- struct{}{}
	f.close = sync.OnceFunc(func() { close(f.closing) })
	for _, path := range paths {
		if path != "" {
			f.paths = append(f.paths, path)
		}
	}
	return f
}

// Start loads the files and watches them until Close. It fails when they cannot
// be used, and when they cannot be read in time.
func (f *Files) Start() error {
	if len(f.paths) == 0 {
		return nil
	}
	if err := f.attempt(func() error {
		f.seen = f.state()
		return f.load()
	}); err != nil {
		return err
	}
	f.wait.Go(f.watch)
	return nil
}

// Close ends the watching. What is in force stays. It does not wait for a reading
// that hangs.
func (f *Files) Close() {
	f.close()
	f.wait.Wait()
}

// Reload loads the files at once, changed or not, and reports how that went.
func (f *Files) Reload() error {
	if len(f.paths) == 0 {
		return nil
	}
	err := f.attempt(func() error {
		f.seen, f.failure = f.state(), nil
		err := f.load()
		f.report(err)
		return err
	})
	f.reportHung(err)
	return err
}

func (f *Files) watch() {
	ticker := time.NewTicker(f.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-f.closing:
			return
		case <-ticker.C:
			f.Poll()
		}
	}
}

// Poll loads the files if they are others than at the last attempt, whether that
// succeeded or not. Writers are not always careful, and two files cannot be
// replaced in one step: what is wrong is reported when it is still there at the
// next look, and once.
func (f *Files) Poll() {
	f.reportHung(f.attempt(func() error {
		if now := f.state(); now != f.seen {
			f.seen, f.failure = now, f.load()
			if f.failure == nil {
				f.report(nil)
			}
			return nil
		}
		if f.failure != nil {
			f.report(f.failure)
			f.failure = nil
		}
		return nil
	}))
}

// attempt does a reading in its turn and waits for its end for a while. A reading
// that hangs goes on; what it finds in the end is put in force and reported as
// ever.
func (f *Files) attempt(read func() error) error {
	late := time.NewTimer(f.patience)
	defer late.Stop()
	select {
	case <-f.turn:
	case <-late.C:
		return errSlow
	case <-f.closing:
		return errClosed
	}
	done := make(chan error, 1)
	go func() {
		defer func() { f.turn <- struct{}{} }()
		err := read()
		f.hung.Store(false)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errSlow
	case <-f.closing:
		return errClosed
	}
}

// reportHung reports a reading that hangs, once.
func (f *Files) reportHung(err error) {
	if errors.Is(err, errSlow) && !f.hung.Swap(true) {
		f.report(errSlow)
	}
}

// state tells the states of the files apart: the hash of their contents, or why
// they cannot be read. Times of change are of no use: two changes can fall into
// one tick of the file system's clock, and mounted secrets are swapped by
// symbolic links. The files are small enough to be read every second.
type state [sha256.Size]byte

func (f *Files) state() state {
	all := sha256.New()
	for _, path := range f.paths {
		content := sha256.New()
		length, err := readInto(content, path)
		if err != nil {
			fmt.Fprint(content, err)
		}
		_ = binary.Write(all, binary.LittleEndian, length) // a hash takes everything
		all.Write(content.Sum(nil))
	}
	return state(all.Sum(nil))
}

func readInto(w io.Writer, path string) (int64, error) {
	file, err := regularfile.Open(path)
	if err != nil {
		return -1, err
	}
	defer func() { _ = file.Close() }()
	return io.Copy(w, io.LimitReader(file, maxRead))
}
