package contract

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"imago/core/naming"
	"imago/ports"
)

func brokenAdds() []brokenStore {
	return []brokenStore{
		breaks("overwrites an existing user", "AddFirstTwice", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); mode.Kind() != ports.KindNewUser || !errors.Is(err, ports.ErrExists) {
					return err
				}
				return d.reference.Add(ctx, r, ports.Replacement(ports.Everybody()))
			}
		}),
		breaks("refuses a user by the face ID only", "AddFirstTwice", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); mode.Kind() != ports.KindNewUser || !errors.Is(err, ports.ErrExists) {
					return err
				}
				return d.reference.Add(ctx, r, ports.FurtherFace(ports.Everybody()))
			}
		}),
		breaks("adds a further face to nobody", "AddFurtherToMissing", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				err := d.reference.Add(ctx, r, mode)
				if mode.Kind() == ports.KindFurtherFace && errors.Is(err, ports.ErrNotFound) {
					return d.reference.Add(ctx, r, ports.NewUser())
				}
				return err
			}
		}),
		breaks("keeps two faces of one ID", "AddFurtherSameFace", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				err := d.reference.Add(ctx, r, mode)
				if mode.Kind() == ports.KindFurtherFace && errors.Is(err, ports.ErrExists) {
					d.kept.records = append(d.kept.records, cloned([]ports.Record{r})...)
					return nil
				}
				return err
			}
		}),
		breaks("replaces the vector of the same face only", "AddReplacement", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() == ports.KindReplacement {
					return d.reference.Add(ctx, r, ports.FurtherFace(ports.Everybody()))
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("creates a user by replacement", "AddReplacementOfMissing", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); mode.Kind() != ports.KindReplacement || !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return d.reference.Add(ctx, r, ports.NewUser())
			}
		}),
		breaks("answers another sentinel", "AddFurtherToMissing", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); err != nil {
					return ports.ErrExists
				}
				return nil
			}
		}),
		breaks("keeps the last face only", "AddFurther", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() == ports.KindFurtherFace {
					mode = ports.Replacement(ports.Everybody())
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("keeps the old vector of the same face", "AddReplacementSameFace", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				for _, f := range d.kept.get(r.User()) {
					if mode.Kind() == ports.KindReplacement && f.FaceID == r.FaceID {
						return nil
					}
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("replaces one face of several", "AddReplacementOfSeveral", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				faces := d.kept.get(r.User())
				if mode.Kind() != ports.KindReplacement || len(faces) < 2 {
					return d.reference.Add(ctx, r, mode)
				}
				d.kept.records = slices.DeleteFunc(d.kept.records, func(f ports.Record) bool { return f.FaceID == faces[0].FaceID })
				return d.reference.Add(ctx, r, ports.FurtherFace(ports.Everybody()))
			}
		}),
	}
}

func brokenRemoves() []brokenStore {
	return []brokenStore{
		breaks("loses removals", "RemoveUser", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				_, err := d.reference.Get(ctx, removal.User())
				return err
			}
		}),
		breaks("removes one face of several", "RemoveUser", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				faces, err := d.reference.Get(ctx, removal.User())
				if err == nil && len(faces) > 1 {
					return d.reference.Add(ctx, faces[0], ports.Replacement(ports.Everybody()))
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("removes anybody", "RemoveMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if err := d.reference.Remove(ctx, removal, owners); !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return nil
			}
		}),
		breaks("removes by prefix", "RemoveMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				for _, r := range d.kept.scan(removal.User().Collection, removal.User().UserID) {
					if strings.HasPrefix(r.UserID, removal.User().UserID) {
						return d.reference.Remove(ctx, ports.WholeUser(r.User()), owners)
					}
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("remembers removed users", "RemoveThenAdd", func(d *damaged) {
			removed := map[string]bool{}
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				removed[removal.User().UserID] = true
				return d.reference.Remove(ctx, removal, owners)
			}
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if removed[r.UserID] && mode.Kind() == ports.KindNewUser {
					return ports.ErrExists
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("removes a neighbour as well", "RemoveLeavesOthers", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				after := d.kept.scan(removal.User().Collection, removal.User().UserID+"\x00")
				if err := d.reference.Remove(ctx, removal, owners); err != nil || len(after) == 0 {
					return err
				}
				return d.reference.Remove(ctx, ports.WholeUser(after[0].User()), owners)
			}
		}),
		breaks("has one collection", "CollectionsAreSeparate", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				r.Collection = people
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("removes a user twice", "RemoveTwice", func(d *damaged) {
			removed := map[string]bool{}
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if removed[removal.User().UserID] {
					return nil
				}
				removed[removal.User().UserID] = true
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("removes the whole user", "RemoveFace", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				return d.reference.Remove(ctx, ports.WholeUser(removal.User()), owners)
			}
		}),
		breaks("still finds a removed face", "RemoveFace", func(d *damaged) {
			var kept []ports.Record
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				kept = append(kept, d.kept.get(removal.User())...)
				return d.reference.Remove(ctx, removal, owners)
			}
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				found, err := d.reference.Search(ctx, q)
				o := oracle{kept}
				if len(found) == 0 {
					return o.search(q), err
				}
				return found, err
			}
		}),
		breaks("counts by the first face", "RemoveFaceThenCount", func(d *damaged) {
			lost := 0
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if id, one := removal.Face(); one && id == "f" {
					lost++
				}
				return d.reference.Remove(ctx, removal, owners)
			}
			d.count = func(ctx context.Context, collection string) (int, error) {
				n, err := d.reference.Count(ctx, collection)
				return n - lost, err
			}
		}),
		breaks("removes any face", "RemoveFaceMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				err := d.reference.Remove(ctx, removal, owners)
				if _, one := removal.Face(); one && errors.Is(err, ports.ErrNotFound) {
					return nil
				}
				return err
			}
		}),
		breaks("removes the only face", "RemoveOnlyFace", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				err := d.reference.Remove(ctx, removal, owners)
				if errors.Is(err, ports.ErrOnlyFace) {
					return d.reference.Remove(ctx, ports.WholeUser(removal.User()), owners)
				}
				return err
			}
		}),
		breaks("takes no face for the whole user", "InvalidRemoval", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				if id, one := removal.Face(); one && naming.CheckID(id) != nil {
					removal = ports.WholeUser(removal.User())
				}
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("counts faces before it removes one", "ConcurrentFaceRemovals", func(d *damaged) {
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				id, one := removal.Face()
				if !one {
					return d.reference.Remove(ctx, removal, owners)
				}
				d.mu.Lock()
				faces := len(d.kept.get(removal.User()))
				d.mu.Unlock()
				if faces < 2 {
					return ports.ErrOnlyFace
				}
				time.Sleep(10 * time.Millisecond)
				d.mu.Lock()
				defer d.mu.Unlock()
				d.kept.records = slices.DeleteFunc(d.kept.records, func(r ports.Record) bool {
					return r.User() == removal.User() && r.FaceID == id
				})
				return nil
			}
		}),
	}
}
