package bulk

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imago/ports"
)

// person is one user's pictures: files of the top folder, then those of the
// user's own folder, each in order of their names.
type person struct {
	userID string
	files  []string
	folder string // "" for none
}

// people sorts the top folder by users, in order of the names that are met
// first, and refuses what is no picture.
func people(fsys fs.FS, refuse func(Refusal) error) ([]person, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var found []person
	places := map[string]int{}
	place := func(userID string) *person {
		i, ok := places[userID]
		if !ok {
			i = len(found)
			places[userID] = i
			found = append(found, person{userID: userID})
		}
		return &found[i]
	}
	for _, e := range entries {
		name := e.Name()
		switch reason := against(e); {
		case hidden(name):
		case e.IsDir():
			place(name).folder = name
		case reason != "":
			if err := refuse(Refusal{Path: name, Reason: reason}); err != nil {
				return nil, err
			}
		default:
			p := place(strings.TrimSuffix(name, path.Ext(name)))
			p.files = append(p.files, name)
		}
	}
	return found, nil
}

// pictures returns the paths of all pictures of a person and refuses what else
// there is in the folder.
func (p person) pictures(fsys fs.FS, refuse func(Refusal) error) ([]string, error) {
	paths := slices.Clone(p.files)
	if p.folder == "" {
		return paths, nil
	}
	entries, err := fs.ReadDir(fsys, p.folder)
	if err != nil {
		return paths, refuse(p.refusal(p.folder, unreadable(err)))
	}
	for _, e := range entries {
		name := path.Join(p.folder, e.Name())
		switch reason := against(e); {
		case hidden(e.Name()):
		case e.IsDir():
			err = refuse(p.refusal(name, "folders in a user's folder are not looked into"))
		case reason != "":
			err = refuse(p.refusal(name, reason))
		default:
			paths = append(paths, name)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(paths) == 0 {
		return nil, refuse(p.refusal(p.folder, "the folder has no picture"))
	}
	return paths, nil
}

func (p person) refusal(path, reason string) Refusal {
	return Refusal{Path: path, UserID: p.userID, Reason: reason}
}

// against returns what stands against a file by its name and kind, "" when
// nothing does. Links are not followed, so that nothing outside the folder gets
// enrolled.
func against(e fs.DirEntry) string {
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

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// read returns the content of a picture. A file that cannot be read or is larger
// than limit bytes, which is found out without reading it, is a Refusal.
func read(fsys fs.FS, name string, limit int) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, ports.Refuse(ports.ErrInvalid, unreadable(err))
	}
	defer file.Close()
	tooLarge := ports.Refuse(ports.ErrTooLarge, fmt.Sprintf("the file is larger than %d bytes", limit))
	if info, err := file.Stat(); err == nil && info.Size() > int64(limit) {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return nil, ports.Refuse(ports.ErrInvalid, unreadable(err))
	}
	if len(data) > limit {
		return nil, tooLarge
	}
	return data, nil
}

// unreadable says why a file cannot be read, without its path, which a Refusal
// has anyway.
func unreadable(err error) string {
	if failure := (*fs.PathError)(nil); errors.As(err, &failure) {
		err = failure.Err
	}
	return "cannot be read: " + err.Error()
}

// faceIDLength is the length of a face ID: 130 bits, like those that the
// gallery makes.
const faceIDLength = 26

// FaceID returns the ID under which the face of a picture is enrolled: the start
// of the base32 (RFC 4648) of the file's SHA-256.
func FaceID(picture []byte) string {
	sum := sha256.Sum256(picture)
	return base32.StdEncoding.EncodeToString(sum[:])[:faceIDLength]
}
