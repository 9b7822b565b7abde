package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"imago/config"
	"imago/config/diskspace"
	"imago/config/regularfile"
	"imago/ports"
)

// fileMode lets only the owner read the log.
const fileMode = 0o600

const (
	// ahead is how much room is reserved beyond the next line, and leastRoom what must be
	// left for the log to be healthy.
	ahead     = 64 << 10
	leastRoom = 4 << 10
	// gapOperation is the operation of the line behind lines that could not be written.
	gapOperation = "gap"
)

// Standard is the path that means a standard stream.
const Standard = "-"

// ErrClosed says that the log was closed or never started.
var ErrClosed = errors.New("audit: the log is not open")

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	path    string
	stream  *os.File // what Standard stands for
	matches bool
	durable bool

	// writing is held while lines are written or the file is replaced.
	writing sync.Mutex
	out     *os.File
	torn    bool // the file may end in the middle of a line
	// room is what has been reserved of the file.
	room struct{ from, to int64 }
	// failed is when the first line could not be written since the last one that was.
	failed time.Time

	// mu guards next and its lines until they are written; writing is locked first.
	mu   sync.Mutex
	next *batch
}

// batch are the lines of callers that wait for the lock: they share one write and
// one sync (group commit).
type batch struct {
	lines []byte
	// written and err are guarded by Log.writing.
	written bool
	err     error
}

// New returns a Log that is not open yet. With an empty path every method is a
// no-op.
func New(cfg config.Audit) *Log { return newLog(cfg, os.Stdout) }

// NewForCommand is New for a command whose results go to standard output: Standard
// means standard error.
func NewForCommand(cfg config.Audit) *Log { return newLog(cfg, os.Stderr) }

// Inspect returns why a log with these settings could not be written, nil when it could. It
// makes and changes nothing.
func Inspect(cfg config.Audit) error {
	if cfg.Path == "" || cfg.Path == Standard {
		return nil
	}
	if info, err := os.Stat(cfg.Path); err == nil && info.Mode()&os.ModeCharDevice != 0 && !cfg.Sync {
		return nil
	}
	f, err := regularfile.OpenFile(cfg.Path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		err = f.Close()
	} else if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(cfg.Path)) // it is made, its folder is not
	}
	if err != nil {
		return fmt.Errorf("audit: cannot open audit.path: %w", err)
	}
	if err := diskspace.Require(cfg.Path, ahead); err != nil {
		return fmt.Errorf("audit: audit.path: %w", err)
	}
	return nil
}

func newLog(cfg config.Audit, stream *os.File) *Log {
	return &Log{path: cfg.Path, stream: stream, matches: cfg.Matches, durable: cfg.Sync && cfg.Path != Standard, next: new(batch)}
}

// Start opens the file.
func (l *Log) Start(context.Context) error { return l.Reload() }

// Close closes the file. Lines written later are refused with ErrClosed.
func (l *Log) Close(context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.replace(nil, false)
}

// Reload reopens the file of the configured path and creates it where it is missing:
// after a rotation, later lines go to the new file. On an error the old file stays in
// use. No line is lost or split.
func (l *Log) Reload() error {
	if l.path == "" {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.path == Standard {
		return l.replace(l.stream, false)
	}
	// Opening a named pipe for reading and writing does not block.
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOCTTY, fileMode)
	if err != nil {
		return fmt.Errorf("audit: cannot open audit.path: %w", err)
	}
	torn, err := l.inspect(f)
	if err != nil {
		return errors.Join(fmt.Errorf("audit: cannot open audit.path: %w", err), f.Close())
	}
	return l.replace(f, torn)
}

// inspect reports whether the last line of a file is torn: the process that wrote
// it was killed, or the disk was full. It sets the mode to fileMode. Pipes and sockets
// are refused because a write could block; devices are refused where lines must be
// durable.
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
			return false, fmt.Errorf("%s is accessible to other users, and its mode cannot be changed (run chmod 600 on it): %w", l.path, err)
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

// replace switches to another file and closes the previous one. The caller holds
// writing.
func (l *Log) replace(f *os.File, torn bool) error {
	old := l.out
	l.out, l.torn, l.room = f, torn, struct{ from, to int64 }{}
	if old == nil || old == l.stream {
		return nil
	}
	return old.Close()
}

// Write appends the line of an entry. When the log is configured to be durable,
// the line is on disk once Write has returned nil. After an error the line may be
// missing or torn; the next one still begins on a line of its own, behind one that tells
// since when lines may be missing.
func (l *Log) Write(e ports.AuditEntry) error {
	if l.path == "" {
		return nil
	}
	line, err := encode(e, l.matches)
	if err != nil {
		return fmt.Errorf("audit: encode: %w", err)
	}
	own := l.enqueue(line)
	l.writing.Lock()
	defer l.writing.Unlock()
	if !own.written { // not written by another caller in the meantime
		l.closeBatch()
		own.err = l.flush(own.lines)
		own.written, own.lines = true, nil
	}
	return own.err
}

// enqueue adds a line to the next batch and returns that batch.
func (l *Log) enqueue(line []byte) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.lines = append(l.next.lines, line...)
	return l.next
}

// closeBatch begins a new batch.
func (l *Log) closeBatch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = new(batch)
}

// CheckHealth implements ports.HealthChecker: it says whether the next line can be written. After
// one that could not be it tries with the line about that.
func (l *Log) CheckHealth(context.Context) error {
	if l.path == "" {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	switch {
	case l.out == nil:
		return ErrClosed
	case !l.failed.IsZero():
		return l.flush(nil)
	}
	return l.reserve(leastRoom)
}

// flush writes lines, and syncs them where they must be durable. The caller holds
// writing.
func (l *Log) flush(lines []byte) error {
	if l.out == nil {
		return ErrClosed
	}
	if !l.failed.IsZero() {
		gap, err := encode(ports.AuditEntry{Time: l.failed, Duration: time.Since(l.failed), Phase: ports.AuditOutcome, Operation: gapOperation}, false)
		if err != nil {
			return err
		}
		lines = append(gap, lines...)
	}
	err := l.append(lines)
	if err == nil {
		l.failed = time.Time{}
	} else if l.failed.IsZero() {
		l.failed = time.Now()
	}
	return err
}

// append writes lines behind what is there.
func (l *Log) append(lines []byte) error {
	if l.torn {
		lines = append([]byte("\n"), lines...)
	}
	if err := l.reserve(int64(len(lines))); err != nil {
		return err
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

// reserve makes sure that there is room for n bytes and, where it can be had, for some
// more, so that a full disk is noticed before it cuts a line in two.
func (l *Log) reserve(n int64) error {
	size, err := l.out.Seek(0, io.SeekEnd)
	if err != nil || size >= l.room.from && size+n <= l.room.to {
		return nil // a stream, or reserved
	}
	for _, length := range []int64{n + ahead, n} {
		if err = allocate(l.out, size, length); err == nil {
			l.room.from, l.room.to = size, size+length
			return nil
		}
	}
	return fmt.Errorf("audit: write: no room for a line in audit.path: %w", err)
}
