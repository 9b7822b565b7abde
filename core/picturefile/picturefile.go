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

// The reasons of the API against the content of a file.
const (
	ReasonEmpty  = "the provided image is empty"
	ReasonFormat = "unsupported image format: only JPEG and PNG are supported"
)

// Against returns what stands against a file by its kind and its first bytes, ""
// when nothing does. Links are not followed, so that nothing outside the folder
// is read.
func Against(fsys fs.FS, name string, e fs.DirEntry) string {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		return "symbolic links are not followed"
	case !e.Type().IsRegular():
		return "not a regular file"
	case !utf8.ValidString(name):
		return "its name is not valid UTF-8"
	}
	file, err := fsys.Open(name)
	if err != nil {
		return Unreadable(err)
	}
	defer file.Close()
	head := make([]byte, len(pngMagic))
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Unreadable(err)
	}
	return AgainstContent(head[:n])
}

// The first bytes of the formats.
const (
	jpegMagic = "\xff\xd8"
	pngMagic  = "\x89PNG"
)

// AgainstContent returns what stands against a content by its first bytes, ""
// when nothing does.
func AgainstContent(data []byte) string {
	switch {
	case len(data) == 0:
		return ReasonEmpty
	case bytes.HasPrefix(data, []byte(jpegMagic)), bytes.HasPrefix(data, []byte(pngMagic)):
		return ""
	}
	return ReasonFormat
}

// extensions are those that the names of pictures have, whatever they hold.
var extensions = []string{
	".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".png", ".apng",
	".avif", ".bmp", ".gif", ".heic", ".heif", ".tif", ".tiff", ".webp",
}

// CutExtension returns a file's name without the extension of a picture, and
// whether it has one. Nothing else is cut off: john.smith is a whole name.
func CutExtension(name string) (stem string, ok bool) {
	ext := path.Ext(name)
	if !slices.Contains(extensions, strings.ToLower(ext)) {
		return name, false
	}
	return strings.TrimSuffix(name, ext), true
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
