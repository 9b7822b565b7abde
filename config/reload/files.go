package reload

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxRead bounds what is looked at of one file, in bytes. Those who load are to
// refuse files long before that size.
const maxRead = 16 << 20

// Files is a group of files that are read together. Its methods are safe for
// concurrent use, but for Start and Close, which come once each.
type Files struct {
	// Interval is how soon a change is noticed: a second, unless it is set
	// before Start.
	Interval time.Duration

	paths  []string
	load   func() error
	report func(error)

	reading sync.Mutex // one reading at a time
	seen    state      // of the last reading
	failure error      // of the last reading, until it is reported

	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// New returns Files that load puts in force; it leaves everything as it was when
// it answers an error. Report is told how every attempt but the first went, nil
// for success, and must not block. Empty paths are left out: without any there is
// nothing to do.
func New(load func() error, report func(error), paths ...string) *Files {
	f := &Files{load: load, report: report, Interval: time.Second}
	for _, path := range paths {
		if path != "" {
			f.paths = append(f.paths, path)
		}
	}
	return f
}

// Start loads the files and watches them until Close. It fails when they cannot
// be used.
func (f *Files) Start() error {
	if len(f.paths) == 0 {
		return nil
	}
	f.reading.Lock()
	defer f.reading.Unlock()
	f.seen = f.state()
	if err := f.load(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.wait.Go(func() { f.watch(ctx) })
	return nil
}

// Close ends the watching. What is in force stays.
func (f *Files) Close() {
	if f.cancel != nil {
		f.cancel()
	}
	f.wait.Wait()
}

// Reload loads the files at once, changed or not, and reports how that went.
func (f *Files) Reload() error {
	if len(f.paths) == 0 {
		return nil
	}
	f.reading.Lock()
	defer f.reading.Unlock()
	f.seen, f.failure = f.state(), nil
	err := f.load()
	f.report(err)
	return err
}

func (f *Files) watch(ctx context.Context) {
	ticker := time.NewTicker(f.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
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
	f.reading.Lock()
	defer f.reading.Unlock()
	if now := f.state(); now != f.seen {
		f.seen, f.failure = now, f.load()
		if f.failure == nil {
			f.report(nil)
		}
		return
	}
	if f.failure != nil {
		f.report(f.failure)
		f.failure = nil
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
	file, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer func() { _ = file.Close() }()
	return io.Copy(w, io.LimitReader(file, maxRead))
}

// Read returns the content of a file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}
