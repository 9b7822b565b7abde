package memstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"imago/config/regularfile"
)

// witness is a small file beside the database that remembers how many commits
// were acknowledged. SQLite takes a log whose end is missing or damaged for one
// that was not finished, and an empty database for a new one: without a witness
// what was in them would be lost in silence.
//
// It is written after each commit and not flushed, so that it costs a system call:
// a process that is killed leaves it up to date, and after a power cut it may
// remember less than was committed, but never more.
type witness struct {
	file *os.File
	id   string // which database it saw
}

// witnessSuffix is what the witness's name has behind the database's.
const witnessSuffix = ".commits"

// testimony is what a witness says: that a database had so many commits.
type testimony struct {
	id      string
	commits uint64
}

func (t testimony) String() string { return fmt.Sprintf("%s %020d\n", t.id, t.commits) }

// newFileID returns what tells a database from all others.
func newFileID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// hear reads the witness of a database; a nil testimony is none. A witness that
// makes no sense, because power failed when it was made, is none either.
func hear(path string) (*testimony, error) {
	file, err := regularfile.Open(path + witnessSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, 256))
	if err != nil {
		return nil, err
	}
	id, number, _ := strings.Cut(strings.TrimSuffix(string(data), "\n"), " ")
	commits, err := strconv.ParseUint(number, 10, 64)
	if t := (testimony{id, commits}); err == nil && t.String() == string(data) {
		return &t, nil
	}
	return nil, nil
}

// refuses says what is missing in a database that has the ID and the commits; an
// empty ID is a database that is new.
func (t *testimony) refuses(path, id string, commits uint64) error {
	switch {
	case t == nil, id != "" && id != t.id, id != "" && commits >= t.commits:
		return nil
	case id == "":
		return fmt.Errorf("it is empty or gone, although it had %d commits; put it back or restore a backup, "+
			"or delete %s too to begin with no faces", t.commits, path+witnessSuffix)
	}
	return fmt.Errorf("the last %d of its %d commits are missing: it or its log (%s) was damaged, deleted or replaced by an older copy; "+
		"put the newest copy back, or delete %s to go on with what is there",
		t.commits-commits, t.commits, path+"-wal", path+witnessSuffix)
}

// newWitness begins the testimony about a database.
func newWitness(path string, t testimony) (*witness, error) {
	file, err := regularfile.OpenFile(path+witnessSuffix, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	w := &witness{file: file, id: t.id}
	_, err = file.WriteAt([]byte(t.String()), 0)
	if err == nil {
		err = errors.Join(file.Truncate(int64(len(t.String()))), file.Sync(), syncFolder(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// see notes a commit. Where that fails the witness remembers less, which makes it
// miss a loss and never find one that is not there.
func (w *witness) see(commits uint64) {
	_, _ = w.file.WriteAt([]byte(testimony{w.id, commits}.String()), 0)
}

func (w *witness) close() error {
	if w == nil {
		return nil
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}

// syncFolder makes sure that the names in a folder outlive a power cut.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
