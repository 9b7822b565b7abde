package sqlite

import (
	"errors"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"

	"imago/ports"
)

var (
	// errFileGone says that nobody would find what is written now.
	errFileGone = fmt.Errorf("%w: the database file was moved, deleted or replaced while in use: restart imago", ports.ErrUnavailable)
	// errNotRegular says that the path leads to a folder, a pipe or the like.
	errNotRegular = errors.New("it is not a regular file")
	// errFileChanged says that the file is not as this process has left it.
	errFileChanged = fmt.Errorf("%w: the database file was changed from outside while in use: restart imago", ports.ErrUnavailable)
)

// openError says which file could not be opened and why, for the operator.
func openError(path string, err error) error {
	var failure sqlite3.Error
	if errors.As(err, &failure) && (failure.Code == sqlite3.ErrNotADB || failure.Code == sqlite3.ErrCorrupt) {
		const advice = "corrupt file, or not a SQLite database; restore a backup or set store.memory.path to another file"
		err = fmt.Errorf("%s: %w", advice, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
