package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imago/ports"
)

// addUnlike adds a face under a claim on its collection, in which others that must not
// resemble anybody wait for each other: what was checked stays true until the face is there.
// claimWindow says what that promises.
func (d *Driver) addUnlike(ctx context.Context, r ports.Record, mode ports.Mode) error {
	// No user has an empty ID, so that nobody but contenders has rows of this key.
	whole := key{Collection: r.Collection}
	lock, err := d.locks.lock(ctx, whole, d.timing.patience)
	if err != nil {
		return err
	}
	defer d.locks.unlock(lock)
	deadline := time.Now().Add(d.timing.patience)
	for {
		c := claim{key: whole, id: claimID(whole), made: time.Now()}
		_, err := d.acquire(ctx, c, func(userRows) (plan, error) { return plan{}, nil })
		if err == nil {
			err = d.addAlone(ctx, c, r, mode)
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

// addAlone checks and adds under a claim. What is wrong with the user comes first, as in every
// store. The change of the user has a claim and a window of its own, and begins only while the
// lease of the claim on the collection outlasts that.
func (d *Driver) addAlone(ctx context.Context, c claim, r ports.Record, mode ports.Mode) error {
	rows, err := d.table.users(ctx, key(r.User()))
	if err != nil {
		return err
	}
	if _, err := planAdd(r, mode)(userRowsOf(rows)); err != nil {
		return err
	}
	if err := mode.CheckUnlike(ctx, d, r); err != nil {
		return err
	}
	inTime, cancel := context.WithDeadline(ctx, c.made.Add(d.timing.lease-d.timing.window))
	defer cancel()
	err = d.add(inTime, r, mode)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("%w: %v", errBusy, err)
	}
	return err
}
