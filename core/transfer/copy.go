package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"

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

// Options steer a transfer. The zero Options work, without patience.
type Options struct {
	// Workers is how many users are written at once; 0 means DefaultWorkers.
	Workers int
	// Admit, where set, says why the target must not have the faces of a user, ""
	// where it may: each is a conflict then. It may give the faces another owner.
	Admit func(faces []ports.Record) (reason string)
	// Progress, where set, is told how many users of how many are dealt with;
	// the total is 0 where it is not known, and users who come and go meanwhile
	// shift it. It is never called by two goroutines at once.
	Progress func(done, total int)
	// Retry says how long a store may be unavailable.
	Retry retry.Policy
}

// Outcome is what became of one collection.
type Outcome struct {
	Collection string
	// Users and Faces are how many the source has.
	Users, Faces int
	// Added and Same are the faces of the source that were written and that
	// were there.
	Added, Same int
	// Extra are faces that only the target has.
	Extra int
	// Conflicts are the faces of the source that the target cannot take, and
	// Examples the first of them.
	Conflicts int
	Examples  []Conflict

	// union is what the target holds afterwards unless others write to it.
	union Sum
}

// Report is what became of each collection, in the order they were asked for.
type Report []Outcome

// Conflicts returns the number of conflicts in all collections.
func (r Report) Conflicts() int {
	n := 0
	for _, o := range r {
		n += o.Conflicts
	}
	return n
}

// Copy adds what the collections of a store hold to another store of the same
// embedding space, and only what is missing there: it may be repeated at any
// time, and goes on where it was interrupted. Nothing in the target is changed
// or removed. Where the target holds something else under a name of the source,
// or has a user with faces that the source does not have beside faces that it
// has not got, none of the user's faces are written and each is a conflict: two
// people may be behind one ID.
//
// The faces of a user are written in order, users concurrently. While the
// target is unavailable Copy waits as Options.Retry says; a write whose outcome
// is unknown is repeated and found out. The Report is valid, as far as it goes,
// with an error too.
func Copy(ctx context.Context, from, to ports.VectorStore, collections []string, o Options) (Report, error) {
	total, err := count(ctx, from, collections, o.Retry)
	if err != nil {
		return nil, err
	}
	var report Report
	done := 0
	for _, name := range collections {
		c := newCopier(to, name, o, done, total)
		outcome, err := c.copy(ctx, stored(ctx, from, name, o.Retry))
		report, done = append(report, outcome), done+outcome.Users
		if err != nil {
			return report, fmt.Errorf("collection %s: %w", name, err)
		}
	}
	return report, nil
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
	union       *summer

	mu      sync.Mutex // guards outcome
	outcome Outcome
}

func newCopier(to ports.VectorStore, collection string, o Options, done, total int) *copier {
	if o.Workers < 1 {
		o.Workers = DefaultWorkers
	}
	return &copier{
		to: to, o: o, done: done, total: total,
		union: newSummer(collection), outcome: Outcome{Collection: collection},
	}
}

// job is the faces of one user that are to be added, in order.
type job struct {
	faces []ports.Record
	mode  ports.Mode // of the first one
}

// copy walks source and target in lockstep and has what is missing written.
func (c *copier) copy(parent context.Context, source users) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range c.o.Workers {
		workers.Go(func() {
			for j := range jobs {
				if err := c.write(ctx, j); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := c.dispatch(ctx, source, jobs)
	close(jobs)
	workers.Wait()
	c.outcome.union = c.union.sum()
	switch {
	case parent.Err() != nil:
		return c.outcome, parent.Err()
	case context.Cause(ctx) != nil:
		return c.outcome, context.Cause(ctx)
	}
	return c.outcome, err
}

func (c *copier) dispatch(ctx context.Context, source users, jobs chan<- job) error {
	name := c.outcome.Collection
	for p, err := range lockstep(source, stored(ctx, c.to, name, c.o.Retry)) {
		if err != nil {
			return err
		}
		if j := c.plan(p); len(j.faces) > 0 {
			select {
			case jobs <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
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

// plan decides what to write of a user and counts the rest.
func (c *copier) plan(p pair) job {
	if len(p.source) > 0 && c.o.Admit != nil {
		if reason := c.o.Admit(p.source); reason != "" {
			return c.leaveOut(p, reason)
		}
	}
	found := compare(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p.source) > 0 {
		c.outcome.Users++
	}
	c.outcome.Faces += len(p.source)
	c.outcome.Same += found.same
	c.outcome.Extra += len(found.extra)
	if len(p.target) == 0 {
		c.union.add(p.source)
		return job{found.missing, ports.First}
	}
	reason := ""
	switch {
	case len(found.differs) > 0:
		reason = reasonUser
	case len(found.extra) > 0:
		reason = reasonFaces
	}
	c.conflict(found.differs...)
	if reason != "" || len(found.missing) == 0 {
		for _, r := range found.missing {
			c.conflict(conflict(r, reason))
		}
		c.union.add(p.target)
		return job{}
	}
	c.union.add(p.source)
	return job{found.missing, ports.Further}
}

// leaveOut counts the faces of a user that is not admitted.
func (c *copier) leaveOut(p pair, reason string) job {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome.Users++
	c.outcome.Faces += len(p.source)
	for _, r := range p.source {
		c.conflict(conflict(r, reason))
	}
	if len(p.target) > 0 {
		c.union.add(p.target)
	}
	return job{}
}

// conflict counts conflicts; the caller holds the lock.
func (c *copier) conflict(found ...Conflict) {
	c.outcome.Conflicts += len(found)
	room := maxExamples - len(c.outcome.Examples)
	c.outcome.Examples = append(c.outcome.Examples, found[:min(room, len(found))]...)
}

// write adds the faces of one user.
func (c *copier) write(ctx context.Context, j job) error {
	mode := j.mode
	for _, r := range j.faces {
		reason, err := c.add(ctx, r, mode)
		if err != nil {
			return err
		}
		c.mu.Lock()
		if reason == "" {
			c.outcome.Added++
		} else {
			c.conflict(conflict(r, reason))
		}
		c.mu.Unlock()
		mode = ports.Further
	}
	return nil
}

// add adds one face and returns why the target has something else instead, if
// it has. An ErrExists may be the answer to our own write whose first answer
// was lost.
func (c *copier) add(ctx context.Context, r ports.Record, mode ports.Mode) (reason string, err error) {
	err = c.o.Retry.Do(ctx, func() error { return c.to.Add(ctx, r, mode) })
	switch {
	case errors.Is(err, ports.ErrExists):
		return c.against(ctx, r)
	case errors.Is(err, ports.ErrNotFound):
		return "", fmt.Errorf("a user was removed from the target during the copy; run it again: %w", err)
	}
	return "", err
}

// against returns what in the target stands against a face, "" when the face is
// there as it should be.
func (c *copier) against(ctx context.Context, r ports.Record) (reason string, err error) {
	var there []ports.Record
	err = c.o.Retry.Do(ctx, func() error {
		there, err = c.to.Get(ctx, r.Collection, r.UserID)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, other := range there {
		if other.FaceID == r.FaceID {
			return difference(r, other), nil
		}
	}
	return reasonFaces, nil
}
