package milvusstore

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"imago/config"
	"imago/ports"
)

// Driver is a ports.StoreDriver in a collection of a Milvus server. Any number of
// imagos may share a Milvus collection. A server that went away is found again without
// a restart.
//
// A user can have at most 1000 faces. What is promised of changes that several
// instances make to one user at the same moment is written at claimWindow; after
// an instance has died in the middle of one, the user cannot be changed for 10 to
// 12 seconds.
type Driver struct {
	cfg     config.MilvusStore
	space   ports.Space
	log     *slog.Logger
	timing  timing
	locks   *userLocks
	expired atomic.Pointer[map[string]bool] // see expiredClaims

	table table  // from Open on
	stop  func() // ends the claimCleaner; from Open on
}

var _ ports.StoreDriver = (*Driver)(nil)

// New returns a driver for vectors of a space.
func New(cfg config.MilvusStore, space ports.Space, log *slog.Logger) *Driver {
	return &Driver{
		cfg: cfg, space: space, log: log.With("component", "milvusstore"),
		timing: productionTiming(), locks: newUserLocks(),
	}
}

// Add implements ports.StoreDriver.
func (d *Driver) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if len(r.Chip) > 0 && !d.table.keepsChips() {
		return errNoChips
	}
	if !r.ExpiresAt.IsZero() && !d.table.keepsExpiry() {
		return errNoExpiry
	}
	if _, set := mode.UnlikeScore(); set {
		return d.addUnlike(ctx, r, mode)
	}
	return d.add(ctx, r, mode)
}

// add adds a face whomever it resembles.
func (d *Driver) add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	began := time.Now()
	lock, err := d.locks.lock(ctx, key(r.User()), d.timing.patience)
	if err != nil {
		return err
	}
	defer d.locks.unlock(lock)
	// Who waited here while somebody else found out need not ask again: the user
	// did exist during this call.
	if mode.Kind() == ports.KindNewUser && lock.knownAt.After(began) {
		return ports.ErrExists
	}
	asked := time.Now()
	err = d.write(ctx, lock.key, planAdd(r, mode))
	switch {
	case err == nil:
		lock.knownAt = time.Now()
	case errors.Is(err, ports.ErrExists):
		lock.knownAt = asked
	}
	return err
}

// Remove implements ports.StoreDriver.
func (d *Driver) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	lock, err := d.locks.lock(ctx, key(removal.User()), d.timing.patience)
	if err != nil {
		return err
	}
	defer d.locks.unlock(lock)
	return d.write(ctx, lock.key, planRemove(removal, owners))
}

// Get implements ports.StoreDriver.
func (d *Driver) Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	ids := key(user).idRange(facesPartition)
	ids.fields = allFields
	rows, err := d.table.read(ctx, ids, maxUserRows)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ports.ErrNotFound
	}
	records := make([]ports.Record, 0, len(rows))
	for _, r := range latest(rows) {
		records = append(records, r.record())
	}
	slices.SortFunc(records, func(a, b ports.Record) int { return strings.Compare(a.FaceID, b.FaceID) })
	return records, nil
}

// Count implements ports.StoreDriver. In a collection of 16384 faces and more it
// counts a user twice for the instant in which the user's faces are being
// replaced.
func (d *Driver) Count(ctx context.Context, collection string) (int, error) {
	rows, err := d.table.read(ctx, collectionRange(collection), maxRead)
	if err != nil {
		return 0, err
	}
	if len(rows) >= maxRead {
		return d.table.countUsers(ctx, collection)
	}
	users := slices.CompactFunc(rows, func(a, b row) bool { return a.key() == b.key() })
	return len(users), nil
}

// Check implements ports.StoreDriver: it reads from the server, and asks whether the
// index is still the one that is configured.
func (d *Driver) Check(ctx context.Context) error { return d.table.check(ctx) }
