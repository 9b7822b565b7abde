package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"imago/ports"
)

// Milvus has neither unique keys nor transactions, so whoever changes a user
// first makes sure that nobody else does, on any instance. The rule is Burns'
// mutual exclusion by one shared bit for each contender (Burns and Lynch,
// "Bounds on shared memory for mutual exclusion", 1993), with a row of the
// claims partition for a bit:
//
//  1. Insert a claim with a random ID.
//  2. Read all rows of the user. Whatever forbids the change (the user exists, or
//     does not) ends it here.
//  3. Another claim with a smaller ID goes first: delete the own one and begin
//     anew. Claims with larger IDs will yield or end soon: read again. No other
//     claim: the user may be changed.
//  4. Insert the new face, and then delete the rows that go together with the
//     claim.
//
// Of two claims the one that is inserted later is read by nobody before both are
// there, so that its owner sees the other's: both can never find themselves
// alone. Reads see one moment, so what step 2 shows of the faces is true as long
// as the claim stands. Nobody compares clocks. What limits the promise is time
// that passes: a claim whose owner has died must not keep a user from being
// changed permanently, and therefore
//
//   - an owner acknowledges a change only within claimWindow of the claim, and
//     sends no request with a later deadline;
//   - others disregard a claim after they have seen it for claimLease by their own
//     clocks, which begin later than its owner's; see claimCleaner.
//
// So exactly one of concurrent enrolments is acknowledged and its face kept,
// unless a request that its sender has given up takes effect more than
// claimLease-claimWindow after its deadline: when an instance is frozen in the
// instant between its last look at the clock and sending, or Milvus keeps an
// expired request for so long.
const (
	claimWindow = 5 * time.Second
	claimLease  = 10 * time.Second
)

const (
	// writePatience is how long a write waits for other changes of its user,
	// which come one after another; the caller's context mostly ends before.
	writePatience = 2 * time.Minute
	// releaseLimit bounds deleting an own claim.
	releaseLimit = 2 * time.Second
	// pauseLimit bounds the pause before the next look at others' claims, which
	// is random so that contenders do not keep step.
	pauseLimit = 30 * time.Millisecond
	// maxUserRows is more rows than a user can have: two generations of faces,
	// and claims.
	maxUserRows = 4 * maxFaces
)

// timing is the constants above, smaller in tests.
type timing struct {
	window, lease, cleanup, patience, pause time.Duration
}

func productionTiming() timing {
	return timing{
		window: claimWindow, lease: claimLease, cleanup: claimLease / 5,
		patience: writePatience, pause: pauseLimit,
	}
}

// claim is the right to change a user, or the attempt to get it.
type claim struct {
	key  key
	id   string
	made time.Time
}

// write changes a user as a plan says.
func (d *Driver) write(ctx context.Context, k key, decide planner) error {
	deadline := time.Now().Add(d.timing.patience)
	for {
		c := claim{key: k, id: claimID(k), made: time.Now()}
		p, err := d.acquire(ctx, c, decide)
		if err == nil {
			return d.commit(ctx, c, p)
		}
		d.release(ctx, c)
		if !errors.Is(err, errYield) {
			return err
		}
		if time.Now().After(deadline) {
			return errBusy
		}
		if err := d.pause(ctx); err != nil {
			return err
		}
	}
}

// acquire makes the claim and returns what to do once it is the only one. It gives
// up with errYield for a smaller claim, or when the time that is left of the
// claim's window might not be enough. Claims that have expired do not count.
func (d *Driver) acquire(ctx context.Context, c claim, decide planner) (plan, error) {
	if err := d.table.insert(ctx, claimsPartition, row{id: c.id, vector: d.placeholderVector()}); err != nil {
		return plan{}, err
	}
	for time.Since(c.made) < d.timing.window/2 {
		rows, err := d.table.users(ctx, c.key)
		if err != nil {
			return plan{}, err
		}
		u := userRowsOf(rows)
		p, err := decide(u)
		if err != nil {
			return plan{}, err
		}
		alone, err := c.contend(u.claims, d.expiredClaims())
		if err != nil {
			return plan{}, err
		}
		if alone && time.Since(c.made) < d.timing.window/2 {
			return p, ports.Ended(ctx)
		}
		if err := d.pause(ctx); err != nil {
			return plan{}, err
		}
	}
	return plan{}, errYield
}

// contend reports whether the claim is the only one alive, and answers errYield
// when it must yield: to a smaller one, or because it is gone itself.
func (c claim) contend(claims []string, expired map[string]bool) (alone bool, err error) {
	if !slices.Contains(claims, c.id) {
		return false, errYield
	}
	alone = true
	for _, id := range claims {
		switch {
		case id == c.id || expired[id]:
		case id < c.id:
			return false, errYield
		default:
			alone = false
		}
	}
	return alone, nil
}

// commit carries out a plan. From here on it does not matter whether the caller
// leaves: half a change is worse than a late answer. When it is not known what
// became of a request the claim stays, so that nobody else changes the user while
// the request may still take effect.
func (d *Driver) commit(ctx context.Context, c claim, p plan) error {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), c.made.Add(d.timing.window))
	defer cancel()
	if err := d.insert(ctx, c.key, p); err != nil {
		return err
	}
	err := d.table.remove(ctx, append(p.remove, c.id))
	if err != nil && !p.essential {
		d.log.Warn("cannot delete claim, writes of its user are delayed by some seconds", "error", err)
		return nil
	}
	return err
}

// insert inserts what a plan does, all at the same moment. What is renewed is there as long as
// the claim stands.
func (d *Driver) insert(ctx context.Context, k key, p plan) error {
	var rows []row
	if p.insert != nil {
		rows = append(rows, *p.insert)
	}
	if len(p.renew) > 0 {
		ids := k.idRange(facesPartition)
		ids.fields, ids.chips = allFields, true
		have, err := d.table.read(ctx, ids, maxUserRows)
		if err != nil {
			return err
		}
		have = slices.DeleteFunc(have, func(r row) bool { return !slices.Contains(p.renew, r.id) })
		if len(have) != len(p.renew) {
			return fmt.Errorf("%w: the server returned %d of %d faces of a user", ports.ErrUnavailable, len(have), len(p.renew))
		}
		for i, r := range have {
			f := r.record()
			if p.insert != nil {
				f.ExpiresAt = ports.TimeOf(p.insert.expiresAt)
			}
			rows = append(rows, faceRow(f, r.generation+1, i == 0))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return d.table.insert(ctx, facesPartition, rows...)
}

// release deletes a claim under which nothing was done. It does not matter much
// when that fails.
func (d *Driver) release(ctx context.Context, c claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	if err := d.table.remove(ctx, []string{c.id}); err != nil {
		d.log.Warn("cannot delete claim, writes of its user are delayed by some seconds", "error", err)
	}
}

// pause waits a little, or until the context ends.
func (d *Driver) pause(ctx context.Context) error {
	select {
	case <-time.After(d.timing.pause/3 + rand.N(d.timing.pause)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// placeholderVector returns the vector of rows that have none.
func (d *Driver) placeholderVector() []float32 {
	v := make([]float32, d.space.Dimension)
	v[0] = 1
	return v
}

// expiredClaims returns the claims that the cleaner found expired when it last looked.
func (d *Driver) expiredClaims() map[string]bool {
	if expired := d.expired.Load(); expired != nil {
		return *expired
	}
	return nil
}
