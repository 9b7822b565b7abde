package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"imago/config"
)

// Stdout is the path that stands for standard output.
const Stdout = "-"

// ErrClosed says that the log was closed or never started.
var ErrClosed = errors.New("audit: the log is not open")

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	path    string
	matches bool
	durable bool

	// syncing is held while a file is brought to disk, and taken before mu.
	// The writers that come meanwhile share the next turn.
	syncing sync.Mutex
	synced  uint64 // lines up to this one are on disk
	lost    uint64 // lines up to this one may not be, and never will surely be
	lostErr error

	mu      sync.Mutex
	out     *os.File
	torn    bool   // the file may end in the middle of a line
	written uint64 // lines so far
}

// New returns a Log that is not open yet. An empty path makes one whose every
// method does nothing and succeeds.
func New(cfg config.Audit) *Log {
	return &Log{path: cfg.Path, matches: cfg.Matches, durable: cfg.Sync && cfg.Path != Stdout}
}

// Start opens the file.
func (l *Log) Start(context.Context) error { return l.Reload() }

// Close closes the file. Lines written later are refused
// with ErrClosed.
func (l *Log) Close(context.Context) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	return l.replace(nil, false)
}

// Reload opens the file of the configured path anew, and makes it where there is
// none: after the old one was renamed, what follows goes to a new file. Where
// that fails the old file stays in use. No line is lost or split.
func (l *Log) Reload() error {
	if l.path == "" {
		return nil
	}
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.path == Stdout {
		return l.replace(os.Stdout, false)
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("audit: open the log: %w", err)
	}
	torn, err := l.inspect(f)
	if err != nil {
		return errors.Join(fmt.Errorf("audit: open the log: %w", err), f.Close())
	}
	return l.replace(f, torn)
}

// inspect reports whether a file's last line has no end: the process that wrote
// it was killed, or the disk was full. What cannot be brought to disk is refused
// where lines are to be.
func (l *Log) inspect(f *os.File) (torn bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		if l.durable {
			return false, fmt.Errorf("%s is not a regular file, and audit.sync needs one", l.path)
		}
		return false, nil
	}
	if info.Size() == 0 {
		return false, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

// replace puts another file in the place of the one in use, which is closed, and
// brought to disk before that where lines are to be. The caller holds syncing.
func (l *Log) replace(f *os.File, torn bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.out
	l.out, l.torn = f, torn
	if old == nil || old == os.Stdout {
		return nil
	}
	if !l.durable {
		return old.Close()
	}
	err := old.Sync()
	l.settle(l.written, err)
	return errors.Join(err, old.Close())
}

// Write appends the line of an entry. When the log is configured to be durable,
// the line is on disk once Write has returned nil. An error means that it is not
// certain that the line is there; the next line begins a line of its own all
// the same.
func (l *Log) Write(e Entry) error {
	if l.path == "" {
		return nil
	}
	line, err := encode(e, l.matches)
	if err != nil {
		return fmt.Errorf("audit: encode: %w", err)
	}
	number, err := l.append(line)
	if err != nil {
		return err
	}
	if !l.durable {
		return nil
	}
	return l.sync(number)
}

// append writes one line and returns its number.
func (l *Log) append(line []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return 0, ErrClosed
	}
	if l.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := l.out.Write(line)
	// After a failed write of nothing the file is as torn as before.
	l.torn = l.torn && n == 0 || n > 0 && n < len(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return 0, fmt.Errorf("audit: write: %w", err)
	}
	l.written++
	return l.written, nil
}

// sync returns when the line of a number is on disk. Writers that wait for each
// other share one call.
func (l *Log) sync(number uint64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced < number {
		l.mu.Lock()
		out, upTo := l.out, l.written
		l.mu.Unlock()
		if out == nil {
			return ErrClosed
		}
		l.settle(upTo, out.Sync())
	}
	if l.lost >= number {
		return fmt.Errorf("audit: sync: %w", l.lostErr)
	}
	return nil
}

// settle notes what bringing the lines up to a number to disk came to. After a
// failure a later success says nothing about them: the kernel may have dropped
// their pages (fsync(2), "Errors"). The caller holds syncing.
func (l *Log) settle(upTo uint64, err error) {
	if err != nil && l.synced < upTo {
		l.lost, l.lostErr = upTo, err
	}
	l.synced = max(l.synced, upTo)
}
