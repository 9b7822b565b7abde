package memstore

import (
	"errors"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"

	"imago/ports"
)

var (
	// errNotOpen is what every call answers before Start.
	errNotOpen = fmt.Errorf("%w: the store is not open", ports.ErrUnavailable)
	// errClosed is what every call answers after Close.
	errClosed = fmt.Errorf("%w: the store is closed", ports.ErrUnavailable)
	// errFileGone says that nobody would find what is written now.
	errFileGone = fmt.Errorf("%w: the database file was moved, deleted or replaced while in use: restart imago", ports.ErrUnavailable)
	// errFileChanged says that the file is not as this process has left it.
	errFileChanged = fmt.Errorf("%w: the database file was changed from outside while in use: restart imago", ports.ErrUnavailable)
)

// during puts the call in front of its error, which keeps its kind: a sentinel
// of ports or the context's own error.
func during(call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memstore: %s: %w", call, err)
}

// unavailable classifies what SQLite answers while the store is in use. None of
// it is the caller's fault: input was checked before.
func unavailable(err error) error {
	if errors.Is(err, ports.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
}

// cannotOpen says which file could not be opened and why, for the operator.
func cannotOpen(path string, err error) error {
	var failure sqlite3.Error
	if errors.As(err, &failure) && (failure.Code == sqlite3.ErrNotADB || failure.Code == sqlite3.ErrCorrupt) {
		const advice = "it is damaged or not a SQLite database; restore a backup or set store.memory.path to another file"
		err = fmt.Errorf("%s: %w", advice, err)
	}
	return fmt.Errorf("memstore: cannot open %s: %w", path, err)
}
