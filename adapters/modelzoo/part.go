package modelzoo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"imago/config/regularfile"
)

// part is FILE.part, locked against every other pull of the same file. The lock
// is on the file itself, so that nothing else is left in the folder.
type part struct {
	file  *os.File
	lock  *flock.Flock
	final string
}

// openPart opens or creates the part of a file, waiting while another pull holds
// it.
func openPart(ctx context.Context, final string, poll time.Duration) (*part, error) {
	path := final + ".part"
	for {
		lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
		if _, err := lock.TryLockContext(ctx, poll); err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		file, err := regularfile.OpenFile(path, os.O_RDWR, 0)
		if err == nil && sameFile(lock, file) {
			return &part{file: file, lock: lock, final: final}, nil
		}
		// Whoever held the lock has renamed or removed the file meanwhile: what
		// is locked here is no longer the part.
		if file != nil {
			err = file.Close()
		}
		if err := errors.Join(ignoreMissing(err), lock.Close()); err != nil {
			return nil, err
		}
	}
}

func sameFile(lock *flock.Flock, file *os.File) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	opened, err := file.Stat()
	return err == nil && os.SameFile(locked, opened)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// size returns how many bytes there are.
func (p *part) size() (int64, error) {
	info, err := p.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// discard drops everything downloaded.
func (p *part) discard() error { return p.file.Truncate(0) }

// publish makes the part the file, durably and in one step.
func (p *part) publish() error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(p.file.Name(), p.final); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(p.final))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// release lets the part go. One that holds nothing is removed.
func (p *part) release() {
	if n, err := p.size(); err == nil && n == 0 {
		_ = os.Remove(p.file.Name())
	}
	_ = p.file.Close()
	_ = p.lock.Close()
}
