package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"imago/config"
	"imago/ports"
)

// fileMode lets nobody but the owner read who was looked for.
const fileMode = 0o600

// Standard is the path that stands for a standard stream.
const Standard = "-"

// ErrClosed says that the log was closed or never started.
var ErrClosed = errors.New("audit: the log is not open")

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	path    string
	stream  *os.File // what Standard stands for
	matches bool
	durable bool

	// turn is held while lines are written or the file is replaced.
	turn sync.Mutex
	out  *os.File
	torn bool // the file may end in the middle of a line

	// mu guards next and what is in it until it is taken; turn is taken first.
	mu   sync.Mutex
	next *batch
}

// batch are the lines of callers that wait for the same turn: they share one
// write and one sync.
type batch struct {
	lines []byte
	// written and err are guarded by the turn.
	written bool
	err     error
}

// New returns a Log that is not open yet. An empty path makes one whose every
// method does nothing and succeeds.
func New(cfg config.Audit) *Log { return newLog(cfg, os.Stdout) }

// NewForCommand is New for a command whose results go to standard output: where
// the log would, it goes to standard error.
func NewForCommand(cfg config.Audit) *Log { return newLog(cfg, os.Stderr) }

func newLog(cfg config.Audit, stream *os.File) *Log {
	return &Log{path: cfg.Path, stream: stream, matches: cfg.Matches, durable: cfg.Sync && cfg.Path != Standard, next: new(batch)}
}

// Start opens the file.
func (l *Log) Start(context.Context) error { return l.Reload() }

// Close closes the file. Lines written later are refused with ErrClosed.
func (l *Log) Close(context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.replace(nil, false)
}

// Reload opens the file of the configured path anew, and makes it where there is
// none: after the old one was renamed, what follows goes to a new file. Where
// that fails the old file stays in use. No line is lost or split.
func (l *Log) Reload() error {
	if l.path == "" {
		return nil
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.path == Standard {
		return l.replace(l.stream, false)
	}
	// A pipe that is opened for both directions is no reason to wait.
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOCTTY, fileMode)
	if err != nil {
		return fmt.Errorf("audit: open the file of audit.path: %w", err)
	}
	torn, err := l.inspect(f)
	if err != nil {
		return errors.Join(fmt.Errorf("audit: open the file of audit.path: %w", err), f.Close())
	}
	return l.replace(f, torn)
}

// inspect reports whether a file's last line has no end: the process that wrote
// it was killed, or the disk was full. It closes the file to everybody but its
// owner. What cannot be brought to disk is refused where lines are to be, and what
// could hold imago up always: nobody may read the other end of a pipe.
func (l *Log) inspect(f *os.File) (torn bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		if info.Mode()&os.ModeCharDevice == 0 {
			return false, fmt.Errorf("%s is not a regular file; %s is for standard output", l.path, Standard)
		}
		if l.durable {
			return false, fmt.Errorf("%s is not a regular file, and audit.sync needs one", l.path)
		}
		return false, nil
	}
	if info.Mode().Perm()&^fileMode != 0 {
		if err := f.Chmod(fileMode); err != nil {
			return false, fmt.Errorf("%s can be used by others, and that cannot be changed (chmod 600 it): %w", l.path, err)
		}
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

// replace puts another file in the place of the one in use, which is closed. The
// caller has the turn.
func (l *Log) replace(f *os.File, torn bool) error {
	old := l.out
	l.out, l.torn = f, torn
	if old == nil || old == l.stream {
		return nil
	}
	return old.Close()
}

// Write appends the line of an entry. When the log is configured to be durable,
// the line is on disk once Write has returned nil. An error means that it is not
// certain that the line is there; the next line begins a line of its own all
// the same.
func (l *Log) Write(e ports.AuditEntry) error {
	if l.path == "" {
		return nil
	}
	line, err := encode(e, l.matches)
	if err != nil {
		return fmt.Errorf("audit: encode: %w", err)
	}
	mine := l.enqueue(line)
	l.turn.Lock()
	defer l.turn.Unlock()
	if !mine.written { // nobody who had the turn before has taken it along
		l.take()
		mine.err = l.flush(mine.lines)
		mine.written, mine.lines = true, nil
	}
	return mine.err
}

// enqueue adds a line to the batch of the next turn and returns the batch.
func (l *Log) enqueue(line []byte) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.lines = append(l.next.lines, line...)
	return l.next
}

// take closes the batch that collects lines and begins another.
func (l *Log) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = new(batch)
}

// flush writes lines, and brings them to disk where they are to be. The caller
// has the turn.
func (l *Log) flush(lines []byte) error {
	if l.out == nil {
		return ErrClosed
	}
	if l.torn {
		lines = append([]byte("\n"), lines...)
	}
	n, err := l.out.Write(lines)
	if n > 0 {
		l.torn = lines[n-1] != '\n'
	}
	if err != nil {
		return fmt.Errorf("audit: write: %w", err)
	}
	if !l.durable {
		return nil
	}
	if err := l.out.Sync(); err != nil {
		return fmt.Errorf("audit: sync: %w", err)
	}
	return nil
}
