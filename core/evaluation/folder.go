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

// Folder lists the pictures of a folder for an evaluation.
type Folder struct {
	Pictures []Picture
	Grouped  bool
	// PassedOver are the files that are no labelled pictures, without hidden ones.
	PassedOver []Failure
}

// Pairs returns the number of pairs, mated and of strangers, if every picture shows a
// face.
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

// Find lists the labelled pictures of a folder in order of their paths. It fails if a
// folder cannot be read: results for some of the people would be misleading.
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
	top, err := picturefile.List(fsys, ".")
	if err != nil {
		return false, err
	}
	folders := 0
	for _, e := range top {
		if !e.IsDir() {
			continue
		}
		below, err := picturefile.List(fsys, e.Path)
		if err != nil {
			return false, err
		}
		for _, b := range below {
			if b.IsDir() {
				folders++
			} else if b.Problem() == "" {
				return false, nil
			}
		}
	}
	return folders > 0, nil
}

func (f *Folder) groups(fsys fs.FS) error {
	count := 0
	return f.eachFolder(fsys, ".", Picture{}, func(group string) error {
		if count++; count > MaxGroups {
			return ErrTooManyGroups
		}
		return f.eachFolder(fsys, group, Picture{Group: group}, func(person string) error {
			return f.pictures(fsys, Picture{Path: path.Join(group, person), Group: group, Person: person})
		})
	})
}

func (f *Folder) people(fsys fs.FS) error {
	return f.eachFolder(fsys, ".", Picture{}, func(person string) error {
		return f.pictures(fsys, Picture{Path: person, Person: person})
	})
}

// eachFolder visits the folders in a folder and skips the files, which belong to nobody.
func (f *Folder) eachFolder(fsys fs.FS, dir string, of Picture, visit func(name string) error) error {
	entries, err := picturefile.List(fsys, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		of.Path = e.Path
		switch {
		case e.IsDir():
			if err := visit(e.Name()); err != nil {
				return err
			}
		case e.Type()&fs.ModeSymlink != 0:
			f.skip(of, e.Problem())
		default:
			f.skip(of, "does not lie in a person's folder")
		}
	}
	return nil
}

// pictures lists the folder of a person.
func (f *Folder) pictures(fsys fs.FS, of Picture) error {
	entries, err := picturefile.List(fsys, of.Path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		of.Path = e.Path
		reason := "folders in a person's folder are not looked into"
		if !e.IsDir() {
			reason = e.Problem()
		}
		if reason != "" {
			f.skip(of, reason)
			continue
		}
		f.Pictures = append(f.Pictures, of)
	}
	return nil
}

func (f *Folder) skip(p Picture, reason string) {
	f.PassedOver = append(f.PassedOver, Failure{Picture: p, Kind: PassedOver, Reasons: []string{reason}})
}
