package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"imago/core/retry"
	"imago/ports"
)

const (
	// DefaultWorkers is how many users are written at once where Options say
	// nothing: enough for a store that shares commits or answers over a network.
	DefaultWorkers = 32
	// maxExamples is how many conflicts an Outcome names.
	maxExamples = 5
)

// Options are the settings of a transfer. The zero Options are valid and do not retry.
type Options struct {
	// Workers is how many users are written at once; 0 means DefaultWorkers.
	Workers int
	// Reject, where set, says why the target must not have the faces of a user, "" if
	// it may; the faces are conflicts then. It may change their owner.
	Reject func(faces []ports.Record) (reason string)
	// Expired, where set, reports whether a user with those faces, which are all of the
	// user's, has expired in the target: none of them are written.
	Expired func(faces []ports.Record) bool
	// Progress, where set, is called with the number of users done and their total,
	// which is 0 if unknown and off by the users who are enrolled or removed
	// meanwhile. The calls never overlap.
	Progress func(done, total int)
	// KeepChips, where set, reports whether the target, or an export, is to have the chips of
	// a collection's faces. They are as in the source, still encrypted. A face that the target
	// has does not get one.
	KeepChips func(collection string) bool
	// Retry says how long a store may be unavailable.
	Retry retry.Policy

	// Convert, where set, makes a face of the source, which comes with its chip, one of the
	// target's embedding space, or says why that is impossible: the face is left out
	// then. Copy calls it for the faces that the target lacks, Workers at once, and ends with
	// its errors. Faces with the same IDs are then compared without their vectors.
	Convert func(ctx context.Context, r ports.Record) (converted ports.Record, reason string, err error)
	// LeftOut, where set, is called by Copy with each face that is left out, and Copy ends
	// with its error. The calls never overlap.
	LeftOut func(Conflict) error
	// Compared, where set, is called by Verify with the faces of a user that both sides have,
	// in the same order.
	Compared func(source, target []ports.Record)
}

// Outcome counts what was done in one collection.
type Outcome struct {
	Collection string `json:"collection"`
	// Users and Faces are those of the source.
	Users int `json:"users"`
	Faces int `json:"faces"`
	// Added are the faces that were written, Same those that the target had.
	Added int `json:"added"`
	Same  int `json:"same"`
	// Chips are the faces that were written with their chips, and ChipsLeft those without,
	// because Options.KeepChips did not want them.
	Chips     int `json:"chips,omitempty"`
	ChipsLeft int `json:"chipsLeft,omitempty"`
	// Conflicts are the faces of the source that the target cannot take, and
	// Examples the first of them.
	Conflicts int        `json:"conflicts"`
	Examples  []Conflict `json:"-"`
	// Extra are the faces that only the target has.
	Extra int `json:"extra"`
	// Expired are the faces of users who have expired, which were left out.
	Expired int `json:"expired"`
	// LeftOut are the faces that Options.Convert could not convert, and UsersLeftOut the
	// users of whom the target has no face for that reason.
	LeftOut      int `json:"leftOut,omitempty"`
	UsersLeftOut int `json:"usersLeftOut,omitempty"`

	// want is what the target holds afterwards, unless others write to it.
	want Sum
}

// Report are the outcomes of the collections, in the order they were asked for.
type Report []Outcome

// Conflicts returns the number of conflicts in all collections.
func (r Report) Conflicts() int {
	n := 0
	for _, o := range r {
		n += o.Conflicts
	}
	return n
}

// Copy adds the faces that another store of the same embedding space lacks to its
// collections. It can be repeated at any time, and continues where it was interrupted.
// Nothing in the target is changed or removed. Where the target has another face under
// the ID of one, or a user lacks faces in the target and has others there, none of the
// user's faces are written and each is a conflict: two people may have the same ID.
//
// The faces of a user are written one after the other, users concurrently. While the
// target is unavailable Copy retries as Options.Retry says; a write whose outcome
// is unknown is repeated, and the target read if it then exists. With an error the
// Report is valid for what was done. Where Options.Convert is set the stores may be of
// different embedding spaces.
func Copy(ctx context.Context, from, to ports.VectorStore, collections []string, o Options) (Report, error) {
	total, err := count(ctx, from, collections, o.Retry)
	if err != nil {
		return nil, err
	}
	var report Report
	done := 0
	for _, name := range collections {
		c := newCopier(to, name, o, done, total)
		outcome, err := c.copy(ctx, storedUsers(ctx, from, o.source(name), o.Retry))
		report, done = append(report, outcome), done+outcome.Users
		if err != nil {
			return report, fmt.Errorf("collection %s: %w", name, err)
		}
	}
	return report, nil
}

// source selects what is read of a collection of the source.
func (o Options) source(collection string) ports.Selection {
	s := ports.Everything(collection, "")
	s.WithChips = o.Convert != nil || o.keepsChips(collection)
	return s
}

func (o Options) keepsChips(collection string) bool {
	return o.KeepChips != nil && o.KeepChips(collection)
}

// count returns the number of users in all collections.
func count(ctx context.Context, store ports.VectorStore, collections []string, policy retry.Policy) (int, error) {
	total := 0
	for _, name := range collections {
		var n int
		err := policy.Do(ctx, func() (err error) {
			n, err = store.Count(ctx, name)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("collection %s: %w", name, err)
		}
		total += n
	}
	return total, nil
}

// copier copies one collection.
type copier struct {
	to          ports.VectorStore
	o           Options
	done, total int // for Progress
	want        *sumBuilder

	mu      sync.Mutex // guards outcome
	outcome Outcome
}

func newCopier(to ports.VectorStore, collection string, o Options, done, total int) *copier {
	if o.Workers < 1 {
		o.Workers = DefaultWorkers
	}
	return &copier{
		to: to, o: o, done: done, total: total,
		want: newSumBuilder(collection), outcome: Outcome{Collection: collection},
	}
}

// job are the faces of one user that are to be added, in order.
type job struct {
	faces []ports.Record
	mode  ports.Mode // of the first one
}

// copy merges source and target in order of the users, and writes what is missing.
func (c *copier) copy(parent context.Context, source users) (Outcome, error) {
	workers, ctx := errgroup.WithContext(parent)
	workers.SetLimit(c.o.Workers)
	err := c.dispatch(ctx, source, func(j job) { workers.Go(func() error { return c.write(ctx, j) }) })
	failed := workers.Wait()
	c.outcome.want = c.want.sum()
	return c.outcome, cmp.Or(parent.Err(), failed, err)
}

// dispatch plans what to write, until ctx ends.
func (c *copier) dispatch(ctx context.Context, source users, write func(job)) error {
	name := c.outcome.Collection
	for p, err := range mergeUsers(source, storedUsers(ctx, c.to, ports.Everything(name, ""), c.o.Retry)) {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if j := c.plan(p); len(j.faces) > 0 {
			write(j)
		}
		c.progress(p)
	}
	return nil
}

func (c *copier) progress(p pair) {
	if len(p.source) == 0 {
		return
	}
	c.done++
	if c.o.Progress != nil {
		c.o.Progress(c.done, c.total)
	}
}

// plan returns the faces of a user to write, and counts the others.
func (c *copier) plan(p pair) job {
	if len(p.source) > 0 && c.o.Expired != nil && c.o.Expired(p.source) {
		return c.leaveOut(p)
	}
	if len(p.source) > 0 && c.o.Reject != nil {
		if reason := c.o.Reject(p.source); reason != "" {
			return c.rejectAll(p, reason)
		}
	}
	found := c.o.compare(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p.source) > 0 {
		c.outcome.Users++
	}
	c.outcome.Faces += len(p.source)
	c.outcome.Same += len(found.same)
	c.outcome.Extra += len(found.extra)
	if len(p.target) == 0 {
		c.want.add(p.source)
		return job{found.missing, ports.NewUser()}
	}
	reason := ""
	switch {
	case len(found.differs) > 0:
		reason = reasonUser
	case len(found.extra) > 0:
		reason = reasonFaces
	}
	c.countConflicts(found.differs...)
	if reason != "" || len(found.missing) == 0 {
		for _, r := range found.missing {
			c.countConflicts(newConflict(r, reason))
		}
		c.want.add(p.target)
		return job{}
	}
	c.want.add(p.source)
	return job{found.missing, ports.FurtherFace(ports.Everybody())}
}

// leaveOut counts the faces of a user who has expired. The target may have the user anew.
func (c *copier) leaveOut(p pair) job {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome.Users++
	c.outcome.Faces += len(p.source)
	c.outcome.Expired += len(p.source)
	if len(p.target) > 0 {
		c.want.add(p.target)
	}
	return job{}
}

// rejectAll counts the faces of a rejected user.
func (c *copier) rejectAll(p pair, reason string) job {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome.Users++
	c.outcome.Faces += len(p.source)
	for _, r := range p.source {
		c.countConflicts(newConflict(r, reason))
	}
	if len(p.target) > 0 {
		c.want.add(p.target)
	}
	return job{}
}

// conflict counts conflicts; the caller holds the lock.
func (c *copier) countConflicts(found ...Conflict) {
	c.outcome.Conflicts += len(found)
	room := maxExamples - len(c.outcome.Examples)
	c.outcome.Examples = append(c.outcome.Examples, found[:min(room, len(found))]...)
}

// write adds the faces of one user, that of the last enrolment first: without it the user
// would have expired where that counts.
func (c *copier) write(ctx context.Context, j job) error {
	if err := c.convert(ctx, &j); err != nil {
		return err
	}
	mode := j.mode
	slices.SortStableFunc(j.faces, func(a, b ports.Record) int { return b.EnrolledAt.Compare(a.EnrolledAt) })
	for _, r := range j.faces {
		left := len(r.Chip) > 0 && c.o.Convert == nil && !c.o.keepsChips(r.Collection)
		if left {
			r.Chip = nil
		}
		reason, err := c.add(ctx, r, mode)
		if err != nil {
			return err
		}
		c.mu.Lock()
		if reason == "" {
			c.outcome.Added++
			c.countChip(r, left)
		} else {
			c.countConflicts(newConflict(r, reason))
		}
		c.mu.Unlock()
		mode = ports.FurtherFace(ports.Everybody())
	}
	return nil
}

// countChip counts the chip of a face that was written, or the one that was left; the caller
// holds the lock.
func (c *copier) countChip(r ports.Record, left bool) {
	switch {
	case left:
		c.outcome.ChipsLeft++
	case len(r.Chip) > 0:
		c.outcome.Chips++
	}
}

// convert converts the faces of a job, and takes those out of it that are left out.
func (c *copier) convert(ctx context.Context, j *job) error {
	if c.o.Convert == nil {
		return nil
	}
	var converted []ports.Record
	for _, r := range j.faces {
		one, reason, err := c.o.Convert(ctx, r)
		if err == nil && reason != "" {
			err = c.leaveOutFace(newConflict(r, reason))
		}
		if err != nil {
			return err
		}
		if reason == "" {
			converted = append(converted, one)
		}
	}
	newUser := j.mode.Kind() == ports.KindNewUser
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case newUser && len(converted) == 0:
		c.outcome.UsersLeftOut++
	case newUser && c.o.Expired != nil && c.o.Expired(converted): // without the faces that are left out
		c.outcome.Expired += len(converted)
		converted = nil
	}
	j.faces = converted
	return nil
}

func (c *copier) leaveOutFace(f Conflict) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome.LeftOut++
	if c.o.LeftOut == nil {
		return nil
	}
	return c.o.LeftOut(f)
}

// add adds one face and returns the conflict, if there is one. ErrExists may be the answer
// to an earlier attempt of this write whose answer was lost.
func (c *copier) add(ctx context.Context, r ports.Record, mode ports.Mode) (reason string, err error) {
	err = c.o.Retry.Do(ctx, func() error { return c.to.Add(ctx, r, mode) })
	switch {
	case errors.Is(err, ports.ErrExists):
		return c.conflictWith(ctx, r)
	case errors.Is(err, ports.ErrNotFound):
		return "", fmt.Errorf("a user was removed from the target during the copy; run it again: %w", err)
	}
	return "", err
}

// conflictWith returns why a face conflicts with the target, "" if the target has it.
func (c *copier) conflictWith(ctx context.Context, r ports.Record) (reason string, err error) {
	var there []ports.Record
	err = c.o.Retry.Do(ctx, func() error {
		there, err = c.to.Get(ctx, r.User())
		return err
	})
	if err != nil {
		return "", err
	}
	for _, other := range there {
		if other.FaceID == r.FaceID {
			return c.o.difference(r, other), nil
		}
	}
	return reasonFaces, nil
}
