package transfer

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"imago/core/naming"
	"imago/ports"
)

// maxCollections is how many collections a file may have: the inventory and as many
// lists as a configuration may have.
const maxCollections = 65

// reader reads an export line by line and checks all of it.
type reader struct {
	lines        *bufio.Reader
	line         int  // the number of the current one, from 1
	unterminated bool // the current line has no line feed: the file ends in it
	dimension    int
	header       header

	last   ports.Record  // the face before
	peeked *ports.Record // the next face, if it was read ahead
	sums   []Sum         // of the collections read so far
	end    []Sum         // those of the last line
	ended  bool          // the last line was read
}

// newReader reads the header of an export for vectors of a space.
func newReader(r io.Reader, space ports.Space) (*reader, error) {
	f := &reader{lines: bufio.NewReaderSize(r, maxLine(space.Dimension)), dimension: space.Dimension}
	line, err := f.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the file is empty", ports.ErrInvalid)
	}
	if err == nil {
		err = f.readHeader(line, space)
	}
	if err != nil {
		return nil, f.atLine(err)
	}
	return f, nil
}

func (f *reader) readHeader(line []byte, space ports.Space) error {
	// The version decides which fields there are, so it is read first.
	var first struct {
		Format  string
		Version int
	}
	_ = json.Unmarshal(line, &first)
	if first.Format != formatName {
		return fmt.Errorf("%w: not an export of imago: it has no header", ports.ErrInvalid)
	}
	if first.Version != formatVersion && first.Version != chipsVersion {
		return fmt.Errorf("%w: the export has version %d; this imago reads versions %d and %d",
			ports.ErrInvalid, first.Version, formatVersion, chipsVersion)
	}
	h := &f.header
	if err := decode(line, h); err != nil {
		return err
	}
	if h.Space != space.ID() {
		return fmt.Errorf("%w: the export is of %s (%s), the configured model is %s", ports.ErrSpaceMismatch, h.Model, h.Space, space)
	}
	if len(h.Collections) > maxCollections {
		return fmt.Errorf("%w: more than %d collections", ports.ErrInvalid, maxCollections)
	}
	for i, name := range h.Collections {
		if err := naming.CheckCollection(name); err != nil {
			return fmt.Errorf("%w: %w", ports.ErrInvalid, err)
		}
		if slices.Contains(h.Collections[:i], name) {
			return fmt.Errorf("%w: collection %s is named twice", ports.ErrInvalid, name)
		}
	}
	return nil
}

// users yields the users of the next collection of the header. It is called once for
// each, in order, and each is read to its end.
func (f *reader) users(name string) users {
	return func(yield func([]ports.Record, error) bool) {
		s := newSumBuilder(name)
		for {
			faces, err := f.user(name)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(faces) == 0 {
				break
			}
			s.add(faces)
			s.addChips(faces)
			if !yield(faces, nil) {
				return
			}
		}
		f.sums = append(f.sums, s.sum())
	}
}

// user reads all faces of the next user, none at the end of the collection.
func (f *reader) user(collection string) ([]ports.Record, error) {
	var faces []ports.Record
	for {
		r, err := f.face()
		if err != nil {
			return nil, err
		}
		if r == nil || r.Collection != collection || len(faces) > 0 && faces[0].UserID != r.UserID {
			f.peeked = r
			return faces, nil
		}
		if len(faces) == maxFaces {
			return nil, f.atLine(errManyFaces())
		}
		faces = append(faces, *r)
	}
}

// face returns the next face, nil at the end of the file.
func (f *reader) face() (*ports.Record, error) {
	if r := f.peeked; r != nil {
		f.peeked = nil
		return r, nil
	}
	if f.ended {
		return nil, nil
	}
	line, err := f.next()
	if errors.Is(err, io.EOF) {
		return nil, f.truncated()
	}
	var r *ports.Record
	if err == nil {
		r, err = f.parse(line)
	}
	switch {
	case err != nil && f.unterminated && !f.ended:
		return nil, f.truncated()
	case err != nil:
		return nil, f.atLine(err)
	}
	return r, nil
}

// parse parses a line after the header.
func (f *reader) parse(line []byte) (*ports.Record, error) {
	var l bodyLine
	if err := decode(line, &l); err != nil {
		return nil, err
	}
	if l.End != nil {
		if l.faceLine != (faceLine{}) {
			return nil, fmt.Errorf("%w: a line is either a face or the end", ports.ErrInvalid)
		}
		return nil, f.finish(l.End)
	}
	r, err := l.record(f.dimension)
	if err != nil {
		return nil, err
	}
	if len(r.Chip) > 0 && f.header.Version != chipsVersion {
		return nil, fmt.Errorf("%w: a chip in an export of version %d", ports.ErrInvalid, f.header.Version)
	}
	if err := f.checkOrder(r); err != nil {
		return nil, err
	}
	f.last = r
	return &r, nil
}

// checkOrder refuses a face that does not come after the one before: merging with a
// store relies on the order, and a repeated face would not be noticed.
func (f *reader) checkOrder(r ports.Record) error {
	place := slices.Index(f.header.Collections, r.Collection)
	if place < 0 {
		return fmt.Errorf("%w: collection %s is not in the header", ports.ErrInvalid, r.Collection)
	}
	// The face before the first one has no collection and therefore place -1.
	before := slices.Index(f.header.Collections, f.last.Collection)
	if cmp.Or(cmp.Compare(before, place), cmp.Compare(f.last.UserID, r.UserID), cmp.Compare(f.last.FaceID, r.FaceID)) >= 0 {
		return fmt.Errorf("%w: the faces are not in order", ports.ErrInvalid)
	}
	return nil
}

// finish keeps the last line's sums and checks that nothing follows it.
func (f *reader) finish(end []Sum) error {
	f.ended, f.end = true, end
	_, err := f.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: there are lines after the end", ports.ErrInvalid)
}

// check compares the sums of what was read with those of the last line, after all users
// of all collections were read.
func (f *reader) check() error {
	// Of a file without collections the last line is still unread.
	if _, err := f.face(); err != nil {
		return err
	}
	if !slices.Equal(f.sums, f.end) {
		return fmt.Errorf("%w: the file is corrupt: its faces are not those that were exported, "+
			"by the counts and checksums in its last line", ports.ErrInvalid)
	}
	return nil
}

// next returns the next line, which is valid until the one after.
func (f *reader) next() ([]byte, error) {
	line, err := f.lines.ReadSlice('\n')
	if len(line) == 0 && errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	f.line++
	f.unterminated = errors.Is(err, io.EOF)
	switch {
	case err == nil || f.unterminated:
		return line, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: longer than %d bytes", ports.ErrInvalid, f.lines.Size())
	}
	return nil, err
}

func (f *reader) atLine(err error) error { return fmt.Errorf("line %d: %w", f.line, err) }

func (f *reader) truncated() error {
	return fmt.Errorf("%w: the file is truncated: it ends at line %d without the last line of an export", ports.ErrInvalid, f.line)
}
