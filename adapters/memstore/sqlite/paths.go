package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"

	"imago/config/regularfile"
)

// Nobody but the owner of the process may read what identifies people.
const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// lockFile makes the file at path this process's own: it creates the folders and
// the file where missing, takes the lock and closes the file to others. It
// returns the path without symbolic links, so that two ways to one file meet at
// one lock.
func lockFile(path string) (string, *flock.Flock, error) {
	path, err := resolvePath(path)
	if err != nil {
		return "", nil, err
	}
	lock := flock.New(path+".lock", flock.SetFlag(os.O_CREATE|os.O_RDONLY|syscall.O_NONBLOCK), flock.SetPermissions(fileMode))
	held, err := lock.TryLock()
	if err != nil {
		return "", nil, fmt.Errorf("the lock %s: %w", lock.Path(), err)
	}
	if !held {
		return "", nil, fmt.Errorf(
			"another imago is using it (%s is locked); each file serves one imago: stop the other one or set store.memory.path to a file of its own",
			lock.Path())
	}
	if err := restrictAccess(path); err != nil {
		return "", nil, errors.Join(err, lock.Unlock())
	}
	return path, lock, nil
}

// resolvePath creates the folders that lead to a file and returns where it really
// is.
func resolvePath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// restrictAccess creates the file where missing and takes away what others may do with
// it and with the files that are kept beside it. SQLite gives new ones the
// mode of the database whatever the umask.
func restrictAccess(path string) error {
	if err := createFile(path); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm", counterSuffix} {
		if err := os.Chmod(path+suffix, fileMode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// createFile makes an empty file, and makes sure that its name outlives a power cut
// too. It leaves an existing one alone.
func createFile(path string) error {
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return errNotRegular
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return regularfile.SyncFolder(filepath.Dir(path))
}
