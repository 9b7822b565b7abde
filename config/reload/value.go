package reload

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"imago/config/regularfile"
)

// maxRead bounds how much of a file is compared, in bytes. Source.Parse should refuse
// files long before that size.
const maxRead = 16 << 20

// readTimeout is how long a read may take before it is reported. Files are read in
// microseconds, unless a file system hangs.
const readTimeout = 10 * time.Second

var (
	errSlow   = errors.New("timed out reading the files: their file system does not respond")
	errClosed = errors.New("closed: the files are no longer watched")
)

// Source is what a Value is made of.
type Source[T any] struct {
	// Component is the package name in errors and in the log.
	Component string
	// What names the value in the log, in the plural, such as API keys.
	What string
	// Paths are the files to watch; empty ones are ignored. They are read together.
	Paths []string
	// Parse reads the files. It gets the current value, which is zero at first. It is
	// called from one goroutine at a time.
	Parse func(current T) (T, error)
	// Describe returns the attributes of a value for the log.
	Describe func(T) []any
}

// Value is a value parsed from files. Its methods are safe for concurrent use, except for
// Start and Close, which may be called once each.
type Value[T any] struct {
	// Interval is the time between two polls: a second, unless it is set before Start.
	Interval time.Duration

	source   Source[T]
	log      *slog.Logger
	onReload func(error)
	current  atomic.Pointer[T]

	// reading holds a token while nothing is read: one read at a time. A read that hangs
	// keeps it, and one goroutine, however long it hangs.
	reading     chan struct{}
	seen        fingerprint // of the last read; guarded by reading
	failure     error       // of the last read, until it is reported; guarded by reading
	readTimeout time.Duration
	hung        atomic.Bool // it was reported that a read hangs

	closing chan struct{}
	close   func()
	wait    sync.WaitGroup
}

// New returns a Value, which is zero until it is started or set.
func New[T any](source Source[T], log *slog.Logger) *Value[T] {
	source.Paths = slices.DeleteFunc(source.Paths, func(path string) bool { return path == "" })
	v := &Value[T]{
		Interval: time.Second, source: source, log: log.With("component", source.Component), onReload: func(error) {},
		reading: make(chan struct{}, 1), readTimeout: readTimeout, closing: make(chan struct{}),
	}
	v.reading <- struct{}{}
	v.close = sync.OnceFunc(func() { close(v.closing) })
	return v
}

// OnReload sets a callback for the outcome of every reload, nil for success. It must be
// called before Start; the callback must not block.
func (v *Value[T]) OnReload(f func(error)) { v.onReload = f }

// Current returns the value that was read last.
func (v *Value[T]) Current() (current T) {
	if p := v.current.Load(); p != nil {
		current = *p
	}
	return current
}

// Set replaces the current value.
func (v *Value[T]) Set(value T) {
	v.current.Store(&value)
	v.log.Info("loaded "+v.source.What, v.source.Describe(value)...)
}

// Start reads the files and watches them until Close. It fails when they cannot be used,
// and does nothing without files.
func (v *Value[T]) Start(context.Context) error {
	if len(v.source.Paths) == 0 {
		return nil
	}
	if err := v.attempt(func() error {
		v.seen = v.fingerprint()
		return v.load()
	}); err != nil {
		return v.wrap(err)
	}
	v.wait.Go(v.watch)
	return nil
}

// Close stops watching and keeps the current value. It does not wait for a read that
// hangs.
func (v *Value[T]) Close(context.Context) error {
	v.close()
	v.wait.Wait()
	return nil
}

// Reload reads the files at once, whether they have changed or not. On an error the
// current value stays.
func (v *Value[T]) Reload() error {
	if len(v.source.Paths) == 0 {
		return nil
	}
	err := v.attempt(func() error {
		v.seen, v.failure = v.fingerprint(), nil
		err := v.load()
		v.report(err)
		return err
	})
	v.reportHung(err)
	return v.wrap(err)
}

func (v *Value[T]) watch() {
	ticker := time.NewTicker(v.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-v.closing:
			return
		case <-ticker.C:
			v.Poll()
		}
	}
}

// Poll reads the files if they have changed since the last read, successful or not. Not
// every writer replaces a file atomically, and two files never are: a failure is reported
// once, and only if the files are the same at the next poll.
func (v *Value[T]) Poll() {
	v.reportHung(v.attempt(func() error {
		if now := v.fingerprint(); now != v.seen {
			v.seen, v.failure = now, v.load()
			if v.failure == nil {
				v.report(nil)
			}
			return nil
		}
		if v.failure != nil {
			v.report(v.failure)
			v.failure = nil
		}
		return nil
	}))
}

func (v *Value[T]) load() error {
	value, err := v.source.Parse(v.Current())
	if err == nil {
		v.Set(value)
	}
	return err
}

// attempt runs one read and waits for it up to readTimeout. A read that hangs goes on in
// its goroutine, and has its usual effect in the end.
func (v *Value[T]) attempt(read func() error) error {
	late := time.NewTimer(v.readTimeout)
	defer late.Stop()
	select {
	case <-v.reading:
	case <-late.C:
		return errSlow
	case <-v.closing:
		return errClosed
	}
	done := make(chan error, 1)
	go func() {
		defer func() { v.reading <- struct{}{} }()
		err := read()
		v.hung.Store(false)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errSlow
	case <-v.closing:
		return errClosed
	}
}

// reportHung reports a read that hangs, once.
func (v *Value[T]) reportHung(err error) {
	if errors.Is(err, errSlow) && !v.hung.Swap(true) {
		v.report(errSlow)
	}
}

// report logs a failed reload and calls the callback.
func (v *Value[T]) report(err error) {
	if err != nil {
		v.log.Error(fmt.Sprintf("cannot reload %s, keeping current ones", v.source.What), "error", err)
	}
	v.onReload(v.wrap(err))
}

func (v *Value[T]) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", v.source.Component, err)
}

// fingerprint is a hash of the contents of the files, or of why they cannot be read.
// Modification times are not enough: two changes can fall into one tick of the file
// system's clock, and mounted secrets are replaced by symbolic links.
type fingerprint [sha256.Size]byte

func (v *Value[T]) fingerprint() fingerprint {
	all := sha256.New()
	for _, path := range v.source.Paths {
		content := sha256.New()
		length, err := readInto(content, path)
		if err != nil {
			fmt.Fprint(content, err)
		}
		_ = binary.Write(all, binary.LittleEndian, length) // a hash never fails
		all.Write(content.Sum(nil))
	}
	return fingerprint(all.Sum(nil))
}

func readInto(w io.Writer, path string) (int64, error) {
	file, err := regularfile.Open(path)
	if err != nil {
		return -1, err
	}
	defer func() { _ = file.Close() }()
	return io.Copy(w, io.LimitReader(file, maxRead))
}
