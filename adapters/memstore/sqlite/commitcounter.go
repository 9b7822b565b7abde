package sqlite

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

// commitCounter is a small file beside the database that remembers how many commits
// were acknowledged. SQLite takes a log whose end is missing or damaged for one
// that was not finished, and an empty database for a new one: without the counter
// what was in them would be lost in silence.
//
// It is written after each commit and not flushed, so that it costs a system call:
// a process that is killed leaves it up to date, and after a power cut it may
// remember less than was committed, but never more.
type commitCounter struct {
	file *os.File
	id   string // of the database
}

// counterSuffix is what the name of the counter's file has behind the database's.
const counterSuffix = ".commits"

// commitCount is the content of the file: a database and the commits it had.
type commitCount struct {
	id      string
	commits uint64
}

func (t commitCount) String() string { return fmt.Sprintf("%s %020d\n", t.id, t.commits) }

// newFileID returns what tells a database from all others.
func newFileID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// readCommitCounter reads the counter of a database, nil for none. One that makes no
// sense, because power failed when it was made, is none either.
func readCommitCounter(path string) (*commitCount, error) {
	file, err := regularfile.Open(path + counterSuffix)
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
	if t := (commitCount{id, commits}); err == nil && t.String() == string(data) {
		return &t, nil
	}
	return nil, nil
}

// check returns an error if a database with an ID has fewer commits than were
// counted; an empty ID is a database that is new.
func (t *commitCount) check(path, id string, commits uint64) error {
	switch {
	case t == nil, id != "" && id != t.id, id != "" && commits >= t.commits:
		return nil
	case id == "":
		return fmt.Errorf("it is empty or missing, although it had %d commits; restore it, or a backup, "+
			"or delete %s as well to start without faces", t.commits, path+counterSuffix)
	}
	return fmt.Errorf("the last %d of its %d commits are missing: it or its log (%s) was damaged, deleted or replaced by an older copy; "+
		"restore the newest copy, or delete %s to accept the present content",
		t.commits-commits, t.commits, path+"-wal", path+counterSuffix)
}

// createCommitCounter creates or overwrites the counter of a database.
func createCommitCounter(path string, t commitCount) (*commitCounter, error) {
	file, err := regularfile.OpenFile(path+counterSuffix, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	w := &commitCounter{file: file, id: t.id}
	_, err = file.WriteAt([]byte(t.String()), 0)
	if err == nil {
		err = errors.Join(file.Truncate(int64(len(t.String()))), file.Sync(), regularfile.SyncFolder(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// record writes the number of commits. Where that fails the counter is too low: it
// may miss a loss, but never reports one that did not happen.
func (w *commitCounter) record(commits uint64) {
	_, _ = w.file.WriteAt([]byte(commitCount{w.id, commits}.String()), 0)
}

func (w *commitCounter) close() error {
	if w == nil {
		return nil
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}
