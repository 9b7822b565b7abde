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

// partialFile is FILE.part, locked against every other pull of the same file. The lock
// is on the file itself, so that nothing else is left in the folder.
type partialFile struct {
	file   *os.File
	lock   *flock.Flock
	target string
}

// openPartial opens or creates the partial file of target, waiting while another pull has it
// locked.
func openPartial(ctx context.Context, target string, poll time.Duration) (*partialFile, error) {
	path := target + ".part"
	for {
		lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
		if _, err := lock.TryLockContext(ctx, poll); err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		file, err := regularfile.OpenFile(path, os.O_RDWR, 0)
		if err == nil && sameFile(lock, file) {
			return &partialFile{file: file, lock: lock, target: target}, nil
		}
		// The previous holder of the lock has renamed or removed the file: the lock
		// is on a file that is no longer the partial file.
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

// size returns the length in bytes.
func (p *partialFile) size() (int64, error) {
	info, err := p.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// discard truncates the file.
func (p *partialFile) discard() error { return p.file.Truncate(0) }

// publish renames the partial file to its target, atomically and durably.
func (p *partialFile) publish() error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(p.file.Name(), p.target); err != nil {
		return err
	}
	return regularfile.SyncFolder(filepath.Dir(p.target))
}

// release closes and unlocks the partial file. An empty one is removed.
func (p *partialFile) release() {
	if n, err := p.size(); err == nil && n == 0 {
		_ = os.Remove(p.file.Name())
	}
	_ = p.file.Close()
	_ = p.lock.Close()
}
