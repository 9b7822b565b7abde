package bulk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"imago/core/gallery"
	"imago/core/picturefile"
	"imago/core/retry"
	"imago/ports"
)

// Gallery is what a run needs of gallery.Gallery.
type Gallery interface {
	User(ctx context.Context, client ports.Client, collection, userID string) (ports.User, error)
	EnrolAs(ctx context.Context, client ports.Client, e gallery.Enrolment) error
	AddFaceAs(ctx context.Context, client ports.Client, e gallery.Enrolment) error
}

// Options steer a run.
type Options struct {
	Collection string
	// Client becomes the owner of the faces.
	Client ports.Client
	// Workers is how many users are worked on at once, at least 1.
	Workers int
	// ImageBytes is the largest picture file, in bytes.
	ImageBytes int
	// Extend adds the pictures of a user who is enrolled with other faces as
	// further faces, instead of refusing them.
	Extend bool
	// Refused, where set, is told of every refusal as it happens; its error
	// ends the run. Progress, where set, is told after each picture. Neither is
	// ever called by two goroutines at once.
	Refused  func(Refusal) error
	Progress func(Tally)
	// Retry says how long the store may be unavailable.
	Retry retry.Policy
}

// Refusal is a file or folder that was not enrolled.
type Refusal struct {
	Path string // below the folder of the run, with slashes
	// UserID is empty where the file belongs to no user.
	UserID string
	Reason string
}

// Tally counts what became of the folder.
type Tally struct {
	Users, UsersDone int
	Enrolled         int // pictures that were enrolled in this run
	Present          int // pictures that had been before
	Refused          int // pictures and other files that were not
}

// reasonExists is what the reference API says of a user who is enrolled already.
const reasonExists = "provided userId already exists"

// reasonOthers is what is said of one whom the gallery does not show to the client.
const reasonOthers = "another client enrolled this userId in a shared collection"

// Enrol enrols the pictures of a folder: NAME.jpg, or NAME with any other extension
// of a picture or none, is the face of the user NAME, and so is every picture in a
// folder NAME. What is a picture is decided by its content. The first picture that is accepted
// makes the user, the rest are further faces.
//
// Repeating a run is cheap and adds nothing: a picture whose user has it is
// passed over after reading it. A user who is enrolled, but with none of these
// pictures, is refused unless Options.Extend is set, because the ID may be
// somebody else's; one with some of them gets the others. Hidden files are
// passed over, and everything else that is not enrolled is a Refusal.
//
// An error ends the run early: the store stayed away or the context ended. What
// was enrolled before stays; the Tally is valid.
func Enrol(ctx context.Context, fsys fs.FS, g Gallery, o Options) (Tally, error) {
	r := &run{fsys: fsys, gallery: g, o: o}
	found, err := people(fsys, r.refuse)
	if err != nil {
		return r.tally, err
	}
	r.tally.Users = len(found)
	err = r.all(ctx, found)
	return r.tally, err
}

type run struct {
	fsys    fs.FS
	gallery Gallery
	o       Options

	mu    sync.Mutex // guards tally and the calls of Refused and Progress
	tally Tally
}

// all works on several people at once.
func (r *run) all(parent context.Context, found []person) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	jobs := make(chan person)
	var workers sync.WaitGroup
	for range max(1, r.o.Workers) {
		workers.Go(func() {
			for p := range jobs {
				if err := r.person(ctx, p); err != nil {
					cancel(err)
				}
			}
		})
	}
	hand(ctx, found, jobs)
	workers.Wait()
	if parent.Err() != nil {
		return parent.Err()
	}
	return context.Cause(ctx)
}

// hand hands out the people until they are all taken or the context ends.
func hand(ctx context.Context, found []person, jobs chan<- person) {
	defer close(jobs)
	for _, p := range found {
		select {
		case jobs <- p:
		case <-ctx.Done():
			return
		}
	}
}

// person enrols the pictures of one user.
func (r *run) person(ctx context.Context, p person) error {
	paths, err := p.pictures(r.fsys, r.refuse)
	if err != nil {
		return err
	}
	if len(paths) > 0 {
		if err := r.enrolAll(ctx, p, paths); err != nil {
			return err
		}
	}
	r.count(func(t *Tally) { t.UsersDone++ })
	return nil
}

func (r *run) enrolAll(ctx context.Context, p person, paths []string) error {
	known, err := r.known(ctx, p.userID)
	if err == nil && len(known) > 0 && !r.o.Extend && !r.anyOf(ctx, known, paths) {
		err = ports.Refuse(ports.ErrExists, reasonExists)
	}
	for _, path := range paths {
		problem := err
		if problem == nil {
			problem = r.picture(ctx, p, path, known)
		}
		if reason := reasonOf(problem); reason != "" {
			problem = r.refuse(p.refusal(path, reason))
		}
		if problem != nil {
			return fmt.Errorf("%s: %w", path, problem)
		}
	}
	return nil
}

// faces are the IDs of the faces that a user has.
type faces map[string]bool

// known returns the faces of a user, none for one who is not enrolled.
func (r *run) known(ctx context.Context, userID string) (faces, error) {
	known := faces{}
	err := r.o.Retry.Do(ctx, func() error {
		user, err := r.gallery.User(ctx, r.o.Client, r.o.Collection, userID)
		for _, f := range user.Faces {
			known[f.FaceID] = true
		}
		return err
	})
	if errors.Is(err, ports.ErrNotFound) {
		return known, nil
	}
	return known, err
}

// anyOf reports whether one of the pictures is enrolled.
func (r *run) anyOf(ctx context.Context, known faces, paths []string) bool {
	for _, path := range paths {
		data, err := picturefile.Read(r.fsys, path, r.o.ImageBytes)
		if err == nil && known[FaceID(data)] || ctx.Err() != nil {
			return true
		}
	}
	return false
}

// picture enrols one picture and notes its face as known.
func (r *run) picture(ctx context.Context, p person, path string, known faces) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := picturefile.Read(r.fsys, path, r.o.ImageBytes)
	if err != nil {
		return err
	}
	e := gallery.Enrolment{Collection: r.o.Collection, UserID: p.userID, FaceID: FaceID(data), Picture: data}
	if known[e.FaceID] {
		r.count(func(t *Tally) { t.Present++ })
		return nil
	}
	enrol := r.gallery.EnrolAs
	if len(known) > 0 {
		enrol = r.gallery.AddFaceAs
	}
	err = r.o.Retry.Do(ctx, func() error { return enrol(ctx, r.o.Client, e) })
	if errors.Is(err, ports.ErrExists) {
		err = r.settle(ctx, e)
	}
	if err != nil {
		return err
	}
	known[e.FaceID] = true
	r.count(func(t *Tally) { t.Enrolled++ })
	return nil
}

// settle finds out whether the face that exists is the one that was to be
// enrolled: the answer to the first attempt may have been lost.
func (r *run) settle(ctx context.Context, e gallery.Enrolment) error {
	known, err := r.known(ctx, e.UserID)
	switch {
	case err != nil:
		return err
	case len(known) == 0:
		return ports.Refuse(ports.ErrExists, reasonOthers)
	case !known[e.FaceID]:
		return ports.Refuse(ports.ErrExists, reasonExists)
	}
	return nil
}

// reasonOf returns the reason of an error that concerns one picture, "" for one
// that concerns the run.
func reasonOf(err error) string {
	if refusal := (*ports.Refusal)(nil); errors.As(err, &refusal) {
		return strings.Join(refusal.Reasons, "; ")
	}
	return ""
}

func (r *run) refuse(refusal Refusal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Refused++
	if r.o.Refused != nil {
		if err := r.o.Refused(refusal); err != nil {
			return err
		}
	}
	r.progress()
	return nil
}

func (r *run) count(change func(*Tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.tally)
	r.progress()
}

// progress reports the tally; the caller holds the lock.
func (r *run) progress() {
	if r.o.Progress != nil {
		r.o.Progress(r.tally)
	}
}
