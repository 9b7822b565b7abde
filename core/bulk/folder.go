package bulk

import (
	"crypto/sha256"
	"encoding/base32"
	"io/fs"
	"path"
	"slices"

	"imago/core/picturefile"
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
		switch {
		case picturefile.Hidden(name):
			continue
		case e.IsDir():
			place(name).folder = name
			continue
		}
		userID, named := picturefile.CutExtension(name)
		if reason := picturefile.Against(fsys, name, e); reason != "" {
			if !named {
				userID = "" // nothing says that it was meant for anybody
			}
			if err := refuse(Refusal{Path: name, UserID: userID, Reason: reason}); err != nil {
				return nil, err
			}
			continue
		}
		p := place(userID)
		p.files = append(p.files, name)
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
		return paths, refuse(p.refusal(p.folder, picturefile.Unreadable(err)))
	}
	for _, e := range entries {
		name := path.Join(p.folder, e.Name())
		reason := ""
		switch {
		case picturefile.Hidden(e.Name()):
			continue
		case e.IsDir():
			reason = "folders in a user's folder are not looked into"
		default:
			reason = picturefile.Against(fsys, name, e)
		}
		if reason == "" {
			paths = append(paths, name)
		} else if err := refuse(p.refusal(name, reason)); err != nil {
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

// faceIDLength is the length of a face ID: 130 bits, like those that the
// gallery makes.
const faceIDLength = 26

// FaceID returns the ID under which the face of a picture is enrolled: the start
// of the base32 (RFC 4648) of the file's SHA-256.
func FaceID(picture []byte) string {
	sum := sha256.Sum256(picture)
	return base32.StdEncoding.EncodeToString(sum[:])[:faceIDLength]
}
