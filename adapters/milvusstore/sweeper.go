package milvusstore

import (
	"context"
	"errors"
	"time"
)

// maxSweep is the most claims that one sweep looks at.
const maxSweep = 1000

// sweeper finds the claims that their owners have left behind (because they died,
// or do not know what became of their change), removes them, and with them the
// rows that an unfinished change has left. A claim is dead when it has been seen
// for claimLease. Every instance sweeps; they do not mind each other.
type sweeper struct {
	store *Store
	seen  map[string]time.Time // when a claim that is still there was first seen
}

// run sweeps at intervals until ctx ends.
func (w *sweeper) run(ctx context.Context) {
	ticker := time.NewTicker(w.store.timing.sweep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := w.sweep(ctx); err != nil {
				w.store.log.Debug("milvusstore: cannot look for claims that were left behind", "error", err)
			}
		}
	}
}

// sweep looks at all claims once.
func (w *sweeper) sweep(ctx context.Context) error {
	asked := time.Now()
	rows, err := w.store.table.read(ctx, span{partitions: []string{claimsPartition}}, maxSweep)
	if err != nil {
		return err
	}
	dead := w.dead(rows, asked, time.Now())
	// Who is waiting for a dead claim goes ahead at once.
	w.store.dead.Store(&dead)
	var errs []error
	for k, ids := range byUser(dead) {
		errs = append(errs, w.bury(ctx, k, ids))
	}
	return errors.Join(errs...)
}

// dead notes which claims are there and returns those that have been for too
// long. A claim that is new was there at the answered time at the latest, and one
// that is known still was at the asked time.
func (w *sweeper) dead(rows []row, asked, answered time.Time) map[string]bool {
	there := make(map[string]time.Time, len(rows))
	dead := map[string]bool{}
	for _, r := range rows {
		first, known := w.seen[r.id]
		if !known {
			first = answered
		}
		there[r.id] = first
		if asked.Sub(first) >= w.store.timing.lease {
			dead[r.id] = true
		}
	}
	w.seen = there
	return dead
}

func byUser(claims map[string]bool) map[key][]string {
	users := map[key][]string{}
	for id := range claims {
		k := row{id: id}.key()
		users[k] = append(users[k], id)
	}
	return users
}

// bury removes a user's dead claims and what belongs to them.
func (w *sweeper) bury(ctx context.Context, k key, dead []string) error {
	s := w.store
	ctx, cancel := context.WithTimeout(ctx, s.timing.lease)
	defer cancel()
	mine, err := s.turns.take(ctx, k, s.timing.patience)
	if err != nil {
		return err
	}
	defer s.turns.give(mine)
	s.log.Info("milvusstore: removing what a change has left that came to no end", "collection", k.collection)
	return s.write(ctx, k, tidying(dead))
}
