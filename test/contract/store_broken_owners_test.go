package contract

import (
	"context"
	"time"

	"imago/ports"
)

func brokenOwners() []brokenStore {
	return []brokenStore{
		breaks("removes whosever faces they are", "RemoveOfOwner", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, _ string) error {
				return d.reference.Remove(ctx, collection, user, "")
			}
		}),
		breaks("hides other owners' users", "RemoveOfOwner", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				if !d.isOwner(collection, user, owner) {
					return ports.ErrNotFound
				}
				return d.reference.Remove(ctx, collection, user, owner)
			}
		}),
		breaks("asks the first face only", "RemoveOfSeveralOwners", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				faces, err := d.reference.Get(ctx, collection, user)
				if err == nil && faces[0].Owner == owner {
					owner = ""
				}
				return d.reference.Remove(ctx, collection, user, owner)
			}
		}),
		breaks("disregards the condition of a mode", "AddIfOwner", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				return d.reference.Add(ctx, r, mode.Base())
			}
		}),
		breaks("takes a bad owner for none", "InvalidOwnerRemoved", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				if ports.ValidateRemoval(collection, user, owner) != nil {
					owner = ""
				}
				return d.reference.Remove(ctx, collection, user, owner)
			}
		}),
		breaks("looks at the owner before it removes", "ConcurrentOwners", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				if owner != "" && !d.isOwner(collection, user, owner) {
					return ports.ErrForbidden
				}
				return d.reference.Remove(ctx, collection, user, "")
			}
		}),
		breaks("looks at the owner before it replaces", "ConcurrentOwners", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.IfOwner() && !d.isOwner(r.Collection, r.UserID, r.Owner) {
					return ports.ErrForbidden
				}
				return d.reference.Add(ctx, r, mode.Base())
			}
		}),
	}
}

// isOwner reports whether somebody is a user's owner, and gives others the time to
// change that.
func (d *damaged) isOwner(collection, user, owner string) bool {
	look := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return ownedBy(d.kept.get(collection, user), owner)
	}
	was := look()
	for began := time.Now(); look() == was && time.Since(began) < 50*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	return was
}
