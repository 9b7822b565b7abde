package contract

import (
	"context"
	"errors"
	"slices"
	"strings"

	"imago/ports"
)

func brokenAdds() []brokenStore {
	return []brokenStore{
		breaks("overwrites an existing user", "AddFirstTwice", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); mode != ports.First || !errors.Is(err, ports.ErrExists) {
					return err
				}
				return d.reference.Add(ctx, r, ports.Replacement)
			}
		}),
		breaks("refuses a user by the face ID only", "AddFirstTwice", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); mode != ports.First || !errors.Is(err, ports.ErrExists) {
					return err
				}
				return d.reference.Add(ctx, r, ports.Further)
			}
		}),
		breaks("adds a further face to nobody", "AddFurtherToMissing", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				err := d.reference.Add(ctx, r, mode)
				if mode == ports.Further && errors.Is(err, ports.ErrNotFound) {
					return d.reference.Add(ctx, r, ports.First)
				}
				return err
			}
		}),
		breaks("keeps two faces of one ID", "AddFurtherSameFace", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				err := d.reference.Add(ctx, r, mode)
				if mode == ports.Further && errors.Is(err, ports.ErrExists) {
					d.kept.records = append(d.kept.records, cloned(r))
					return nil
				}
				return err
			}
		}),
		breaks("replaces the vector of the same face only", "AddReplacement", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode == ports.Replacement {
					return d.reference.Add(ctx, r, ports.Further)
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("creates a user by replacement", "AddReplacementOfMissing", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); mode != ports.Replacement || !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return d.reference.Add(ctx, r, ports.First)
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
				if mode == ports.Further {
					mode = ports.Replacement
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("keeps the old vector of the same face", "AddReplacementSameFace", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				for _, f := range d.kept.get(r.Collection, r.UserID) {
					if mode == ports.Replacement && f.FaceID == r.FaceID {
						return nil
					}
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("replaces one face of several", "AddReplacementOfSeveral", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				faces := d.kept.get(r.Collection, r.UserID)
				if mode != ports.Replacement || len(faces) < 2 {
					return d.reference.Add(ctx, r, mode)
				}
				d.kept.records = slices.DeleteFunc(d.kept.records, func(f ports.Record) bool { return f.FaceID == faces[0].FaceID })
				return d.reference.Add(ctx, r, ports.Further)
			}
		}),
	}
}

func brokenRemoves() []brokenStore {
	return []brokenStore{
		breaks("loses removals", "RemoveUser", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				_, err := d.reference.Get(ctx, collection, user)
				return err
			}
		}),
		breaks("removes one face of several", "RemoveUser", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				faces, err := d.reference.Get(ctx, collection, user)
				if err == nil && len(faces) > 1 {
					return d.reference.Add(ctx, faces[0], ports.Replacement)
				}
				return d.reference.Remove(ctx, collection, user, owner)
			}
		}),
		breaks("removes anybody", "RemoveMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				if err := d.reference.Remove(ctx, collection, user, owner); !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return nil
			}
		}),
		breaks("removes by prefix", "RemoveMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				for _, r := range d.kept.scan(collection, user) {
					if strings.HasPrefix(r.UserID, user) {
						return d.reference.Remove(ctx, collection, r.UserID, owner)
					}
				}
				return d.reference.Remove(ctx, collection, user, owner)
			}
		}),
		breaks("remembers removed users", "RemoveThenAdd", func(d *damaged) {
			removed := map[string]bool{}
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				removed[user] = true
				return d.reference.Remove(ctx, collection, user, owner)
			}
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if removed[r.UserID] && mode == ports.First {
					return ports.ErrExists
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("removes a neighbour as well", "RemoveLeavesOthers", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				after := d.kept.scan(collection, user+"\x00")
				if err := d.reference.Remove(ctx, collection, user, owner); err != nil || len(after) == 0 {
					return err
				}
				return d.reference.Remove(ctx, collection, after[0].UserID, owner)
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
			d.remove = func(ctx context.Context, collection, user, owner string) error {
				if removed[user] {
					return nil
				}
				removed[user] = true
				return d.reference.Remove(ctx, collection, user, owner)
			}
		}),
	}
}
