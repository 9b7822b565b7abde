// Package diskspace tells whether the disk of a file that operators name in the
// configuration has room for more.
package diskspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Require returns an error unless the disk of a file has so many bytes of room. Neither the
// file nor its folders need be there yet.
func Require(path string, least uint64) error {
	var disk syscall.Statfs_t
	folder := filepath.Dir(path)
	err := syscall.Statfs(folder, &disk)
	for errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
		err = syscall.Statfs(folder, &disk)
	}
	if err != nil {
		return &os.PathError{Op: "statfs", Path: folder, Err: err}
	}
	free := disk.Bavail
	if os.Geteuid() == 0 { // who may use what is kept for root
		free = disk.Bfree
	}
	if room := uint64(free) * uint64(disk.Bsize); room < least {
		return fmt.Errorf("the disk of %s is full: %d kB are left, and at least %d kB are needed", path, room>>10, least>>10)
	}
	return nil
}
