package audit

import (
	"errors"
	"os"
	"syscall"
)

// keepSize is FALLOC_FL_KEEP_SIZE: the file does not become longer.
const keepSize = 1

// allocate reserves blocks for a part of a file, also behind its end. It returns an error where
// there is no room, and nil where that cannot be asked.
func allocate(f *os.File, offset, length int64) error {
	for {
		switch err := syscall.Fallocate(int(f.Fd()), keepSize, offset, length); {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EROFS):
			return err
		default:
			return nil
		}
	}
}
