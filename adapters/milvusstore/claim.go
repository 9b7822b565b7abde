package milvusstore

import (
	"context"
	"errors"
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
// changed for ever, and therefore
//
//   - an owner acknowledges a change only within claimWindow of the claim, and
//     sends no request with a later deadline;
//   - others disregard a claim after they have seen it for claimLease by their own
//     clocks, which begin later than its owner's; see sweeper.
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
	// withdrawLimit bounds deleting an own claim.
	withdrawLimit = 2 * time.Second
	// pauseLimit bounds the pause before the next look at others' claims, which
	// is random so that contenders do not keep step.
	pauseLimit = 30 * time.Millisecond
	// maxUserRows is more rows than a user can have: two generations of faces,
	// and claims.
	maxUserRows = 4 * maxFaces
)

// timing is the constants above, smaller in tests.
type timing struct {
	window, lease, sweep, patience, pause time.Duration
}

func productionTiming() timing {
	return timing{
		window: claimWindow, lease: claimLease, sweep: claimLease / 5,
		patience: writePatience, pause: pauseLimit,
	}
}

// claim is the right to change a user, or the attempt to get it.
type claim struct {
	key  key
	id   string
	made time.Time
}

// write changes a user as decide says.
func (s *Store) write(ctx context.Context, k key, decide decision) error {
	deadline := time.Now().Add(s.timing.patience)
	for {
		c := claim{key: k, id: claimID(k), made: time.Now()}
		p, err := s.obtain(ctx, c, decide)
		if err == nil {
			return s.commit(ctx, c, p)
		}
		s.withdraw(ctx, c)
		if !errors.Is(err, errYield) {
			return err
		}
		if time.Now().After(deadline) {
			return errBusy
		}
		if err := s.rest(ctx); err != nil {
			return err
		}
	}
}

// obtain makes the claim and returns what to do once it is the only one. It gives
// up with errYield for a smaller claim, or when the time that is left of the
// claim's window might not be enough. Claims that the sweeper has found dead do
// not count.
func (s *Store) obtain(ctx context.Context, c claim, decide decision) (plan, error) {
	if err := s.table.insert(ctx, claimsPartition, row{id: c.id, vector: s.filler()}); err != nil {
		return plan{}, err
	}
	for time.Since(c.made) < s.timing.window/2 {
		rows, err := s.table.users(ctx, c.key)
		if err != nil {
			return plan{}, err
		}
		u := survey(rows)
		p, err := decide(u)
		if err != nil {
			return plan{}, err
		}
		alone, err := c.contend(u.claims, s.deadClaims())
		if err != nil {
			return plan{}, err
		}
		if alone && time.Since(c.made) < s.timing.window/2 {
			return p, ports.Ended(ctx)
		}
		if err := s.rest(ctx); err != nil {
			return plan{}, err
		}
	}
	return plan{}, errYield
}

// contend reports whether the claim is the only one alive, and answers errYield
// when it must yield: to a smaller one, or because it is gone itself.
func (c claim) contend(claims []string, dead map[string]bool) (alone bool, err error) {
	if !slices.Contains(claims, c.id) {
		return false, errYield
	}
	alone = true
	for _, id := range claims {
		switch {
		case id == c.id || dead[id]:
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
func (s *Store) commit(ctx context.Context, c claim, p plan) error {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), c.made.Add(s.timing.window))
	defer cancel()
	if p.insert != nil {
		if err := s.table.insert(ctx, facesPartition, *p.insert); err != nil {
			return err
		}
	}
	err := s.table.remove(ctx, append(p.remove, c.id))
	if err != nil && !p.essential {
		s.log.Warn("milvusstore: a claim was left behind", "error", err)
		return nil
	}
	return err
}

// withdraw deletes a claim under which nothing was done. It does not matter much
// when that fails.
func (s *Store) withdraw(ctx context.Context, c claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawLimit)
	defer cancel()
	if err := s.table.remove(ctx, []string{c.id}); err != nil {
		s.log.Warn("milvusstore: a claim was left behind", "error", err)
	}
}

// rest waits a little, or until the context ends.
func (s *Store) rest(ctx context.Context) error {
	timer := time.NewTimer(s.timing.pause/3 + rand.N(s.timing.pause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// filler returns the vector of rows that have none.
func (s *Store) filler() []float32 {
	v := make([]float32, s.space.Dimension)
	v[0] = 1
	return v
}

// deadClaims returns the claims that the sweeper found dead when it last looked.
func (s *Store) deadClaims() map[string]bool {
	if dead := s.dead.Load(); dead != nil {
		return *dead
	}
	return nil
}
