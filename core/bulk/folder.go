package bulk

import (
	"crypto/sha256"
	"encoding/base32"
	"io/fs"
	"slices"

	"imago/core/picturefile"
)

// userPictures are the pictures of one user: files in the top folder, then those in the
// user's own folder, each in order of their names.
type userPictures struct {
	userID string
	files  []string
	folder string // "" for none
}

// listUsers groups the entries of the top folder by user, in order of first appearance,
// and refuses files that are no pictures.
func listUsers(fsys fs.FS, refuse func(Refusal) error) ([]userPictures, error) {
	entries, err := picturefile.List(fsys, ".")
	if err != nil {
		return nil, err
	}
	var found []userPictures
	indexes := map[string]int{}
	of := func(userID string) *userPictures {
		i, ok := indexes[userID]
		if !ok {
			i = len(found)
			indexes[userID] = i
			found = append(found, userPictures{userID: userID})
		}
		return &found[i]
	}
	for _, e := range entries {
		if e.IsDir() {
			of(e.Name()).folder = e.Path
			continue
		}
		userID, named := picturefile.CutExtension(e.Name())
		if reason := e.Problem(); reason != "" {
			if !named {
				userID = "" // the name does not say that it was meant as a picture
			}
			if err := refuse(Refusal{Path: e.Path, UserID: userID, Reason: reason}); err != nil {
				return nil, err
			}
			continue
		}
		p := of(userID)
		p.files = append(p.files, e.Path)
	}
	return found, nil
}

// pictures returns the paths of all pictures of a user and refuses everything else in
// the user's folder.
func (p userPictures) pictures(fsys fs.FS, refuse func(Refusal) error) ([]string, error) {
	paths := slices.Clone(p.files)
	if p.folder == "" {
		return paths, nil
	}
	entries, err := picturefile.List(fsys, p.folder)
	if err != nil {
		return paths, refuse(p.refusal(p.folder, picturefile.ReadProblem(err)))
	}
	for _, e := range entries {
		reason := "folders in a user's folder are not looked into"
		if !e.IsDir() {
			reason = e.Problem()
		}
		if reason == "" {
			paths = append(paths, e.Path)
		} else if err := refuse(p.refusal(e.Path, reason)); err != nil {
			return nil, err
		}
	}
	if len(paths) == 0 {
		return nil, refuse(p.refusal(p.folder, "the folder has no picture"))
	}
	return paths, nil
}

func (p userPictures) refusal(path, reason string) Refusal {
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
