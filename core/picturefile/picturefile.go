package picturefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"imago/ports"
)

// Entry is a file or folder in a folder of pictures.
type Entry struct {
	fs.DirEntry
	Path string // from the root of the file system, with slashes
	fsys fs.FS
}

// List returns the entries of a folder that are not hidden, in order of their names.
func List(fsys fs.FS, dir string) (entries []Entry, err error) {
	all, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), ".") {
			entries = append(entries, Entry{e, path.Join(dir, e.Name()), fsys})
		}
	}
	return entries, nil
}

// Problem says why an entry is no picture, by its type and its first bytes, "" if it is
// one. Links are not followed, so that nothing outside the folder is read.
func (e Entry) Problem() string {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		return "symbolic links are not followed"
	case !e.Type().IsRegular():
		return "not a regular file"
	case !utf8.ValidString(e.Name()):
		return "its name is not valid UTF-8"
	}
	file, err := e.fsys.Open(e.Path)
	if err != nil {
		return ReadProblem(err)
	}
	defer file.Close()
	head := make([]byte, len(pngMagic))
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ReadProblem(err)
	}
	return ContentProblem(head[:n])
}

// The first bytes of the supported formats.
const (
	jpegMagic = "\xff\xd8"
	pngMagic  = "\x89PNG"
)

// ContentProblem says why data are no picture, by their first bytes, "" if they are one.
func ContentProblem(data []byte) string {
	switch {
	case len(data) == 0:
		return ports.ReasonEmpty
	case bytes.HasPrefix(data, []byte(jpegMagic)), bytes.HasPrefix(data, []byte(pngMagic)):
		return ""
	}
	return ports.ReasonFormat
}

// extensions are the usual extensions of pictures of any format.
var extensions = []string{
	".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".png", ".apng",
	".avif", ".bmp", ".gif", ".heic", ".heif", ".tif", ".tiff", ".webp",
}

// CutExtension returns a file's name without the extension of a picture, and
// whether it has one. Nothing else is removed: john.smith is a whole name.
func CutExtension(name string) (stem string, ok bool) {
	ext := path.Ext(name)
	if !slices.Contains(extensions, strings.ToLower(ext)) {
		return name, false
	}
	return strings.TrimSuffix(name, ext), true
}

// Read returns the content of a picture. A file that cannot be read is a Refusal, and so
// is one larger than limit bytes, which is not read.
func Read(fsys fs.FS, name string, limit int) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, ports.Refuse(ports.ErrInvalid, ReadProblem(err))
	}
	defer file.Close()
	tooLarge := ports.Refuse(ports.ErrTooLarge, fmt.Sprintf("the file is larger than %d bytes", limit))
	if info, err := file.Stat(); err == nil && info.Size() > int64(limit) {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return nil, ports.Refuse(ports.ErrInvalid, ReadProblem(err))
	}
	if len(data) > limit {
		return nil, tooLarge
	}
	return data, nil
}

// ReadProblem says why a file cannot be read, without its path.
func ReadProblem(err error) string {
	if failure := (*fs.PathError)(nil); errors.As(err, &failure) {
		err = failure.Err
	}
	return "cannot be read: " + err.Error()
}
