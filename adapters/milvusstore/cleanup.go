package milvusstore

import (
	"context"
	"errors"
	"time"
)

// maxCleanup is the most claims that are looked at in one go.
const maxCleanup = 1000

// claimCleaner finds the claims that their owners have left behind (because they died,
// or do not know what became of their change), removes them, and with them the
// rows that an unfinished change has left. A claim has expired when it has been seen
// for claimLease. Every instance cleans up; they do not mind each other.
type claimCleaner struct {
	driver    *Driver
	firstSeen map[string]time.Time // of the claims that are still there
}

// run cleans up at intervals until ctx ends.
func (c *claimCleaner) run(ctx context.Context) {
	ticker := time.NewTicker(c.driver.timing.cleanup)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := c.clean(ctx); err != nil {
				c.driver.log.Debug("cannot look for expired claims", "error", err)
			}
		}
	}
}

// clean looks at all claims once.
func (c *claimCleaner) clean(ctx context.Context) error {
	asked := time.Now()
	rows, err := c.driver.table.read(ctx, idRange{partitions: []string{claimsPartition}}, maxCleanup)
	if err != nil {
		return err
	}
	expired := c.expired(rows, asked, time.Now())
	// Who is waiting for an expired claim goes ahead at once.
	c.driver.expired.Store(&expired)
	var errs []error
	for k, ids := range byUser(expired) {
		errs = append(errs, c.cleanUser(ctx, k, ids))
	}
	return errors.Join(errs...)
}

// expired notes which claims are there and returns those that have been for too
// long. A claim that is new was there at the answered time at the latest, and one
// that is known still was at the asked time.
func (c *claimCleaner) expired(rows []row, asked, answered time.Time) map[string]bool {
	there := make(map[string]time.Time, len(rows))
	expired := map[string]bool{}
	for _, r := range rows {
		first, known := c.firstSeen[r.id]
		if !known {
			first = answered
		}
		there[r.id] = first
		if asked.Sub(first) >= c.driver.timing.lease {
			expired[r.id] = true
		}
	}
	c.firstSeen = there
	return expired
}

func byUser(claims map[string]bool) map[key][]string {
	users := map[key][]string{}
	for id := range claims {
		k := row{id: id}.key()
		users[k] = append(users[k], id)
	}
	return users
}

// cleanUser removes a user's expired claims and what belongs to them.
func (c *claimCleaner) cleanUser(ctx context.Context, k key, expired []string) error {
	d := c.driver
	ctx, cancel := context.WithTimeout(ctx, d.timing.lease)
	defer cancel()
	lock, err := d.locks.lock(ctx, k, d.timing.patience)
	if err != nil {
		return err
	}
	defer d.locks.unlock(lock)
	d.log.Info("cleaning up after an interrupted write", "collection", k.Collection)
	return d.write(ctx, k, planCleanup(expired))
}
