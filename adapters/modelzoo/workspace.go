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

// workspacePrefix is how the names of workspaces begin.
const workspacePrefix = ".pull-"

// workspace is a folder inside the models folder, for what is needed until the end of
// a command only. It is locked as long as its process lives, so that one that a killed
// process has left is told from one in use.
type workspace struct {
	dir  string
	lock *flock.Flock
	// packages holds what became of each package, by its name and version.
	packages map[string]fetchedPackage
}

// fetchedPackage is where a package is, or why its client has nothing.
type fetchedPackage struct {
	path string
	err  error
}

// openWorkspace makes a workspace in a models folder and removes those that were left
// there, under a lock on the folder itself.
func openWorkspace(ctx context.Context, models string, poll time.Duration) (*workspace, error) {
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
	dir, err := os.MkdirTemp(models, workspacePrefix+"*")
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir, lock: lockOf(dir), packages: map[string]fetchedPackage{}}
	if _, err := w.lock.TryLock(); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

// lockOf is a lock on a folder, which leaves no file there.
func lockOf(dir string) *flock.Flock { return flock.New(dir, flock.SetFlag(os.O_RDONLY)) }

// removeStale removes the workspaces that nobody has locked.
func removeStale(models string) error {
	entries, err := os.ReadDir(models)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), workspacePrefix) {
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

// remove ends the workspace.
func (w *workspace) remove() error {
	return errors.Join(os.RemoveAll(w.dir), w.lock.Close())
}
