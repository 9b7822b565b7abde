package bulk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"imago/core/gallery"
	"imago/core/picturefile"
	"imago/core/retry"
	"imago/ports"
)

// Gallery is what a run needs of gallery.Gallery.
type Gallery interface {
	User(ctx context.Context, client ports.Client, collection, userID string) (gallery.User, error)
	Enrol(ctx context.Context, client ports.Client, e gallery.Enrolment) error
	AddFace(ctx context.Context, client ports.Client, e gallery.Enrolment) error
}

// Options are the settings of a run.
type Options struct {
	Collection string
	// Client becomes the owner of the faces.
	Client ports.Client
	// Workers is how many users are enrolled at once, at least 1.
	Workers int
	// ImageBytes is the largest picture file, in bytes.
	ImageBytes int
	// ExpiresAt is when the users expire; zero means never.
	ExpiresAt time.Time
	// Extend adds the pictures of a user who is enrolled with other faces as
	// further faces, instead of refusing them.
	Extend bool
	// Refused, where set, is called with every refusal as it happens; its error
	// ends the run. Progress, where set, is called after each picture. The calls of
	// both never overlap.
	Refused  func(Refusal) error
	Progress func(Tally)
	// Retry says how long the store may be unavailable.
	Retry retry.Policy
}

// Refusal is a file or folder that was not enrolled.
type Refusal struct {
	Path string `json:"path"` // below the folder of the run, with slashes
	// UserID is empty where the file belongs to no user.
	UserID string `json:"userId"`
	Reason string `json:"reason"`
}

// Tally counts the outcomes of a run.
type Tally struct {
	Users, UsersDone int
	Enrolled         int // pictures enrolled by this run
	Present          int // pictures enrolled before
	Refused          int // pictures and other files that were not enrolled
}

const (
	// reasonExists is the reference API's text for a user that is enrolled already.
	reasonExists = "provided userId already exists"
	// reasonOthers is for a user that the gallery does not show to the client.
	reasonOthers = "another client enrolled this userId in a shared collection"
)

// Enrol enrols the pictures of a folder: NAME.jpg, or NAME with any other extension
// of a picture or none, is a face of the user NAME, and so is every picture in a
// folder NAME. Whether a file is a picture is decided by its content. The first picture
// that is accepted creates the user, the others are further faces.
//
// A run can be repeated at little cost and adds nothing then: a picture that its user
// has is read and skipped. A user that is enrolled with none of these pictures is
// refused unless Options.Extend is set, because the ID may be somebody else's; one with
// some of them gets the others. Hidden files are skipped; every other file that is not
// enrolled is a Refusal.
//
// An error ends the run early: the store remained unavailable or the context ended. The
// users enrolled by then stay; the Tally is valid.
func Enrol(ctx context.Context, fsys fs.FS, g Gallery, o Options) (Tally, error) {
	r := &run{fsys: fsys, gallery: g, o: o}
	found, err := listUsers(fsys, r.refuse)
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

// all enrols several users at once.
func (r *run) all(parent context.Context, found []userPictures) error {
	workers, ctx := errgroup.WithContext(parent)
	workers.SetLimit(max(1, r.o.Workers))
	for _, p := range found {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error { return r.user(ctx, p) })
	}
	err := workers.Wait()
	return cmp.Or(parent.Err(), err)
}

// user enrols the pictures of one user.
func (r *run) user(ctx context.Context, p userPictures) error {
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

func (r *run) enrolAll(ctx context.Context, p userPictures, paths []string) error {
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

// known returns the faces of a user, none for one that is not enrolled.
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

// picture enrols one picture and adds its face to those known.
func (r *run) picture(ctx context.Context, p userPictures, path string, known faces) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := picturefile.Read(r.fsys, path, r.o.ImageBytes)
	if err != nil {
		return err
	}
	e := gallery.Enrolment{Collection: r.o.Collection, UserID: p.userID, FaceID: FaceID(data), Picture: data, ExpiresAt: r.o.ExpiresAt}
	if known[e.FaceID] {
		r.count(func(t *Tally) { t.Present++ })
		return nil
	}
	enrol := r.gallery.Enrol
	if len(known) > 0 {
		enrol = r.gallery.AddFace
	}
	err = r.o.Retry.Do(ctx, func() error { return enrol(ctx, r.o.Client, e) })
	if errors.Is(err, ports.ErrExists) {
		err = r.confirmEnrolled(ctx, e)
	}
	if err != nil {
		return err
	}
	known[e.FaceID] = true
	r.count(func(t *Tally) { t.Enrolled++ })
	return nil
}

// confirmEnrolled returns nil if the face that exists is the one to be enrolled: the
// answer to an earlier attempt may have been lost.
func (r *run) confirmEnrolled(ctx context.Context, e gallery.Enrolment) error {
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

// reasonOf returns the reasons of an error that concerns one picture only, "" for one
// that ends the run.
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

// progress reports the tally. The caller holds the lock.
func (r *run) progress() {
	if r.o.Progress != nil {
		r.o.Progress(r.tally)
	}
}
