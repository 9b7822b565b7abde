package contract

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"imago/ports"
)

func brokenExpiries() []brokenStore {
	return []brokenStore{
		breaks("drops expiries", "ExpiryIsKept", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.ExpiresAt = time.Time{} })
		}),
		breaks("keeps expiries to the second", "ExpiredAtTheMoment", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.ExpiresAt = r.ExpiresAt.Truncate(time.Second) })
		}),
		breaks("gives an expiry to the further face only", "ExpiryOfAllFaces", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				before := map[string]time.Time{}
				for _, f := range d.keptOf(r.User()) {
					before[f.FaceID] = f.ExpiresAt
				}
				err := d.reference.Add(ctx, r, mode)
				for i, f := range d.kept.records {
					if at, there := before[f.FaceID]; there && f.User() == r.User() {
						d.kept.records[i].ExpiresAt = at
					}
				}
				return err
			}
		}),
		breaks("keeps the expiry of what was replaced", "ExpiryReplaced", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if had := d.keptOf(r.User()); mode.Kind() == ports.KindReplacement && len(had) > 0 {
					r.ExpiresAt = had[0].ExpiresAt
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("finds who has expired", "ExpiredIsAbsent", func(d *damaged) {
			d.search = (&driver{archive: d.archive}).Search
		}),
		breaks("counts who has expired", "ExpiredIsAbsent", func(d *damaged) {
			d.count = (&driver{archive: d.archive}).Count
		}),
		breaks("gives a further face to who has expired", "ExpiredIsAbsent", func(d *damaged) {
			d.add = (&driver{archive: d.archive}).Add
		}),
		breaks("keeps the time of the first enrolment", "ExpiredByRetention", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if had := d.keptOf(r.User()); mode.Kind() == ports.KindFurtherFace && len(had) > 0 {
					r.EnrolledAt = had[0].EnrolledAt
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("refuses an ID until its user is erased", "ExpiredMakesRoom", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() == ports.KindNewUser && len(d.keptOf(r.User())) > 0 {
					return ports.ErrExists
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("drops who has expired from what it has found", "ExpiredAmongTheNearest", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				found, err := (&driver{archive: d.archive}).Search(ctx, q)
				return slices.DeleteFunc(found, func(m ports.Match) bool {
					_, err := d.reference.Get(ctx, ports.UserKey{Collection: q.Collection, UserID: m.UserID})
					return errors.Is(err, ports.ErrNotFound)
				}), err
			}
		}),
		breaks("lists faces that have expired", "ExpiredAreListed", func(d *damaged) {
			d.expired = func(ctx context.Context, collection string, at time.Time, limit int) ([]string, error) {
				users, err := d.reference.Expired(ctx, collection, at, limit)
				var ids []string
				for _, id := range users {
					for range d.keptOf(ports.UserKey{Collection: collection, UserID: id}) {
						ids = append(ids, id)
					}
				}
				return ids, err
			}
		}),
		breaks("erases whom it is told to", "ExpireRemoves", func(d *damaged) {
			d.expire = func(ctx context.Context, user ports.UserKey, _ time.Time) error {
				return d.reference.Remove(ctx, ports.WholeUser(user), ports.Everybody())
			}
		}),
		breaks("looks whether a user has expired before it enrols", "ConcurrentOverExpired", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() == ports.KindNewUser && d.hasExpired(ctx, r.User()) {
					d.erase(r.User())
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("looks whether a user has expired before it erases", "ConcurrentExpiry", func(d *damaged) {
			d.expire = func(ctx context.Context, user ports.UserKey, at time.Time) error {
				if !d.hasExpired(ctx, user) {
					return ports.ErrNotFound
				}
				d.erase(user)
				return nil
			}
		}),
		{"forgets expiries when it is closed", "ReopenKeepsExpiries", reopensWithoutExpiries},
		{"shows a second instance its expiries late", "SecondSeesExpiries", secondWithACopy},
	}
}

func reopensWithoutExpiries() StoreHarness {
	h := referenceHarness()
	intact := h.Reopen
	h.Reopen = func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
		for i := range s.(archived).data().kept.records {
			s.(archived).data().kept.records[i].ExpiresAt = time.Time{}
		}
		return intact(tb, s, space)
	}
	return h
}

// keptOf returns what is kept of a user, expired or not.
func (d *damaged) keptOf(user ports.UserKey) []ports.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept.get(user)
}

// hasExpired reports whether a user has expired, and gives others the time to change that.
func (d *damaged) hasExpired(ctx context.Context, user ports.UserKey) bool {
	look := func() bool {
		_, err := d.reference.Get(ctx, user)
		return errors.Is(err, ports.ErrNotFound) && len(d.keptOf(user)) > 0
	}
	was := look()
	for began := time.Now(); look() == was && time.Since(began) < 50*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	return was
}

func (d *damaged) erase(user ports.UserKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.kept.remove(ports.WholeUser(user), ports.Everybody())
}

// Expire and Expired are those of core/vectorstore unless they are replaced.
func (d *damaged) Expire(ctx context.Context, user ports.UserKey, at time.Time) error {
	if d.expire == nil {
		return d.reference.Expire(ctx, user, at)
	}
	return d.expire(ctx, user, at)
}

func (d *damaged) Expired(ctx context.Context, collection string, at time.Time, limit int) ([]string, error) {
	if d.expired == nil {
		return d.reference.Expired(ctx, collection, at, limit)
	}
	return d.expired(ctx, collection, at, limit)
}
