package contract

import (
	"context"
	"time"

	"imago/core/naming"
	"imago/ports"
)

func brokenOwners() []brokenStore {
	return []brokenStore{
		breaks("removes whosever faces they are", "RemoveOfOwner", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, _ ports.Owners) error {
				return d.reference.Remove(ctx, removal, ports.Everybody())
			}
		}),
		breaks("hides other owners' users", "RemoveOfOwner", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if owners != ports.Everybody() && !d.isOwner(removal.User(), owners) {
					return ports.ErrNotFound
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("asks the first face only", "RemoveOfSeveralOwners", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				faces, err := d.reference.Get(ctx, removal.User())
				if err == nil && owners.Include(faces[0].Owner) {
					owners = ports.Everybody()
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("removes one face of whosever", "RemoveFaceOfOwner", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if _, one := removal.Face(); one {
					owners = ports.Everybody()
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("disregards the condition of a mode", "AddIfOwner", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				return d.reference.Add(ctx, r, unconditional(mode))
			}
		}),
		breaks("takes the owner of the record for that of the mode", "AddIfOwner", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() == ports.KindFurtherFace {
					mode = ports.FurtherFace(ports.OwnedBy(r.Owner))
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("takes a bad owner for none", "InvalidOwners", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if name, one := owners.Only(); one && naming.CheckID(name) != nil {
					owners = ports.Everybody()
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("looks at the owner before it removes", "ConcurrentOwners", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if owners != ports.Everybody() && !d.isOwner(removal.User(), owners) {
					return ports.ErrForbidden
				}
				return d.reference.Remove(ctx, removal, ports.Everybody())
			}
		}),
		breaks("looks at the owner before it replaces", "ConcurrentOwners", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode != unconditional(mode) && !d.isOwner(r.User(), mode.Owners()) {
					return ports.ErrForbidden
				}
				return d.reference.Add(ctx, r, unconditional(mode))
			}
		}),
	}
}

// unconditional returns a mode without its condition on owners.
func unconditional(mode ports.Mode) ports.Mode {
	switch mode.Kind() {
	case ports.KindFurtherFace:
		return ports.FurtherFace(ports.Everybody())
	case ports.KindReplacement:
		return ports.Replacement(ports.Everybody())
	}
	return mode
}

// isOwner reports whether somebody is a user's owner, and gives others the time to
// change that.
func (d *damaged) isOwner(user ports.UserKey, owners ports.Owners) bool {
	look := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return allOf(d.kept.get(user), owners)
	}
	was := look()
	for began := time.Now(); look() == was && time.Since(began) < 50*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	return was
}
