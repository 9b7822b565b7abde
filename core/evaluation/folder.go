package evaluation

import (
	"errors"
	"io/fs"
	"path"

	"imago/core/picturefile"
)

// Grouping says how the folders of an evaluation are laid out.
type Grouping string

// The layouts.
const (
	// GroupsAuto takes the top folders for groups where there are folders in
	// them and no picture, and for people otherwise.
	GroupsAuto Grouping = "auto"
	// GroupsYes is group/person/picture, GroupsNo is person/picture.
	GroupsYes Grouping = "yes"
	GroupsNo  Grouping = "no"
)

// MaxGroups bounds the groups, for the memory that the counts of each take.
const MaxGroups = 64

// ErrTooManyGroups says that there are more groups than MaxGroups.
var ErrTooManyGroups = errors.New("more than 64 groups")

// Picture is a labelled picture.
type Picture struct {
	Path  string // below the folder of the run, with slashes
	Group string // empty where there are no groups
	// Person names who is shown: the same name in two groups is two people.
	Person string
}

// Folder is what a folder offers for an evaluation.
type Folder struct {
	Pictures []Picture
	Grouped  bool
	// PassedOver are the files that are no labelled pictures. Hidden files are
	// not mentioned.
	PassedOver []Failure
}

// Pairs returns how many pairs the pictures make at most, if each shows a face:
// of one person, and of strangers.
func (f Folder) Pairs() (mated, strangers int) {
	of := map[[2]string]int{}
	for _, p := range f.Pictures {
		of[[2]string{p.Group, p.Person}]++
	}
	for _, n := range of {
		mated += n * (n - 1) / 2
	}
	n := len(f.Pictures)
	return mated, n*(n-1)/2 - mated
}

// Find lists the labelled pictures of a folder in order of their paths. It fails
// where a folder cannot be read: figures from a part of the people would
// mislead.
func Find(fsys fs.FS, grouping Grouping) (Folder, error) {
	var f Folder
	var err error
	if f.Grouped, err = grouped(fsys, grouping); err != nil {
		return f, err
	}
	people := f.people
	if f.Grouped {
		people = f.groups
	}
	return f, people(fsys)
}

func grouped(fsys fs.FS, grouping Grouping) (bool, error) {
	if grouping != GroupsAuto {
		return grouping == GroupsYes, nil
	}
	top, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return false, err
	}
	folders := 0
	for _, e := range top {
		if !e.IsDir() || picturefile.Hidden(e.Name()) {
			continue
		}
		below, err := fs.ReadDir(fsys, e.Name())
		if err != nil {
			return false, err
		}
		for _, b := range below {
			switch {
			case picturefile.Hidden(b.Name()):
			case b.IsDir():
				folders++
			case picturefile.Against(fsys, path.Join(e.Name(), b.Name()), b) == "":
				return false, nil
			}
		}
	}
	return folders > 0, nil
}

func (f *Folder) groups(fsys fs.FS) error {
	count := 0
	return f.each(fsys, ".", Picture{}, func(group string) error {
		if count++; count > MaxGroups {
			return ErrTooManyGroups
		}
		return f.each(fsys, group, Picture{Group: group}, func(person string) error {
			return f.pictures(fsys, Picture{Path: path.Join(group, person), Group: group, Person: person})
		})
	})
}

func (f *Folder) people(fsys fs.FS) error {
	return f.each(fsys, ".", Picture{}, func(person string) error {
		return f.pictures(fsys, Picture{Path: person, Person: person})
	})
}

// each visits the folders in a folder; files there show nobody in particular.
func (f *Folder) each(fsys fs.FS, dir string, of Picture, visit func(name string) error) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		of.Path = path.Join(dir, e.Name())
		switch {
		case picturefile.Hidden(e.Name()):
		case e.IsDir():
			if err := visit(e.Name()); err != nil {
				return err
			}
		case e.Type()&fs.ModeSymlink != 0:
			f.passOver(of, picturefile.Against(fsys, of.Path, e))
		default:
			f.passOver(of, "does not lie in a person's folder")
		}
	}
	return nil
}

// pictures lists the folder of a person.
func (f *Folder) pictures(fsys fs.FS, of Picture) error {
	dir := of.Path
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		of.Path = path.Join(dir, e.Name())
		switch {
		case picturefile.Hidden(e.Name()):
			continue
		case e.IsDir():
			f.passOver(of, "folders in a person's folder are not looked into")
			continue
		}
		if reason := picturefile.Against(fsys, of.Path, e); reason != "" {
			f.passOver(of, reason)
			continue
		}
		f.Pictures = append(f.Pictures, of)
	}
	return nil
}

func (f *Folder) passOver(p Picture, reason string) {
	f.PassedOver = append(f.PassedOver, Failure{Picture: p, Kind: PassedOver, Reasons: []string{reason}})
}
