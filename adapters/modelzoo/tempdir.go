package modelzoo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// tempDirPrefix begins the names of temporary folders.
const tempDirPrefix = ".pull-"

// tempDir is a temporary folder inside the models folder, for the packages that a command
// downloads. It is locked while its process lives, so that one left behind by a killed
// process can be told from one in use.
type tempDir struct {
	dir  string
	lock *flock.Flock
	// packages caches the outcome of each download, by name and version.
	packages map[string]fetchedPackage
}

// fetchedPackage is the path of a downloaded package, or why it could not be downloaded.
type fetchedPackage struct {
	path string
	err  error
}

// openTempDir creates a temporary folder in a models folder and removes those left behind
// there, under a lock on the folder itself.
func openTempDir(ctx context.Context, models string, poll time.Duration) (*tempDir, error) {
	models, err := filepath.Abs(models)
	if err != nil {
		return nil, err
	}
	folder := lockOf(models)
	if _, err := folder.TryLockContext(ctx, poll); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	defer folder.Close()
	if err := removeStale(models); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(models, tempDirPrefix+"*")
	if err != nil {
		return nil, err
	}
	w := &tempDir{dir: dir, lock: lockOf(dir), packages: map[string]fetchedPackage{}}
	if _, err := w.lock.TryLock(); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

// lockOf is a lock on a folder, which leaves no file there.
func lockOf(dir string) *flock.Flock { return flock.New(dir, flock.SetFlag(os.O_RDONLY)) }

// removeStale removes the temporary folders that no process has locked.
func removeStale(models string) error {
	entries, err := os.ReadDir(models)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), tempDirPrefix) {
			err = errors.Join(err, removeUnlocked(filepath.Join(models, e.Name())))
		}
	}
	return err
}

func removeUnlocked(dir string) error {
	lock := lockOf(dir)
	defer lock.Close()
	if held, err := lock.TryLock(); !held || err != nil {
		return ignoreMissing(err)
	}
	return os.RemoveAll(dir)
}

// remove deletes the folder and releases its lock.
func (w *tempDir) remove() error {
	return errors.Join(os.RemoveAll(w.dir), w.lock.Close())
}
