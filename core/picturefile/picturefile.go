package picturefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"imago/ports"
)

// Against returns what stands against a file by its name and kind, "" when
// nothing does. Links are not followed, so that nothing outside the folder is
// read.
func Against(e fs.DirEntry) string {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		return "symbolic links are not followed"
	case !e.Type().IsRegular():
		return "not a regular file"
	}
	switch strings.ToLower(path.Ext(e.Name())) {
	case ".jpg", ".jpeg", ".png":
		return ""
	}
	return "not a .jpg, .jpeg or .png file"
}

// Hidden reports whether a file or folder is passed over without a word.
func Hidden(name string) bool { return strings.HasPrefix(name, ".") }

// Read returns the content of a picture. A file that cannot be read or is larger
// than limit bytes, which is found out without reading it, is a Refusal.
func Read(fsys fs.FS, name string, limit int) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, ports.Refuse(ports.ErrInvalid, Unreadable(err))
	}
	defer file.Close()
	tooLarge := ports.Refuse(ports.ErrTooLarge, fmt.Sprintf("the file is larger than %d bytes", limit))
	if info, err := file.Stat(); err == nil && info.Size() > int64(limit) {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return nil, ports.Refuse(ports.ErrInvalid, Unreadable(err))
	}
	if len(data) > limit {
		return nil, tooLarge
	}
	return data, nil
}

// Unreadable says why a file cannot be read, without its path, which a report
// has anyway.
func Unreadable(err error) string {
	if failure := (*fs.PathError)(nil); errors.As(err, &failure) {
		err = failure.Err
	}
	return "cannot be read: " + err.Error()
}
