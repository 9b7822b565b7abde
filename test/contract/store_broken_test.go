package contract

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"imago/ports"
)

// undamaged names no broken store, so that the child runs the reference.
const undamaged = "undamaged"

// damaged is the reference with some calls replaced; nil leaves a call alone.
type damaged struct {
	*reference
	add    func(ctx context.Context, r ports.Record, mode ports.Mode) error
	remove func(ctx context.Context, collection, user string) error
	get    func(ctx context.Context, collection, user string) ([]ports.Record, error)
	search func(ctx context.Context, q ports.Query) ([]ports.Match, error)
	scan   func(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error]
	count  func(ctx context.Context, collection string) (int, error)
}

func (d *damaged) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if d.add == nil {
		return d.reference.Add(ctx, r, mode)
	}
	return d.add(ctx, r, mode)
}

func (d *damaged) Remove(ctx context.Context, collection, user string) error {
	if d.remove == nil {
		return d.reference.Remove(ctx, collection, user)
	}
	return d.remove(ctx, collection, user)
}

func (d *damaged) Get(ctx context.Context, collection, user string) ([]ports.Record, error) {
	if d.get == nil {
		return d.reference.Get(ctx, collection, user)
	}
	return d.get(ctx, collection, user)
}

func (d *damaged) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if d.search == nil {
		return d.reference.Search(ctx, q)
	}
	return d.search(ctx, q)
}

func (d *damaged) Scan(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
	if d.scan == nil {
		return d.reference.Scan(ctx, collection, from)
	}
	return d.scan(ctx, collection, from)
}

func (d *damaged) Count(ctx context.Context, collection string) (int, error) {
	if d.count == nil {
		return d.reference.Count(ctx, collection)
	}
	return d.count(ctx, collection)
}

// brokenStore is a store that breaks one promise, and the case that catches it.
type brokenStore struct {
	name    string
	caught  string
	harness func() StoreHarness
}

// breaks makes a brokenStore out of damage done to each instance.
func breaks(name, caught string, damage func(d *damaged)) brokenStore {
	return brokenStore{name, caught, func() StoreHarness {
		return harnessOf(func(s *reference) ports.VectorStore {
			d := &damaged{reference: s}
			damage(d)
			return d
		})
	}}
}

func brokenStores() []brokenStore {
	return slices.Concat(brokenWrites(), brokenReads(), brokenSearches(), brokenScans(),
		brokenInputs(), brokenContexts(), brokenReopens(), brokenUnderLoad())
}

func brokenWrites() []brokenStore {
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
		breaks("loses removals", "RemoveUser", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user string) error {
				_, err := d.reference.Get(ctx, collection, user)
				return err
			}
		}),
		breaks("removes one face of several", "RemoveUser", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user string) error {
				faces, err := d.reference.Get(ctx, collection, user)
				if err == nil && len(faces) > 1 {
					return d.reference.Add(ctx, faces[0], ports.Replacement)
				}
				return d.reference.Remove(ctx, collection, user)
			}
		}),
		breaks("removes anybody", "RemoveMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user string) error {
				if err := d.reference.Remove(ctx, collection, user); !errors.Is(err, ports.ErrNotFound) {
					return err
				}
				return nil
			}
		}),
		breaks("removes by prefix", "RemoveMissing", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user string) error {
				for _, r := range d.kept.scan(collection, user) {
					if strings.HasPrefix(r.UserID, user) {
						return d.reference.Remove(ctx, collection, r.UserID)
					}
				}
				return d.reference.Remove(ctx, collection, user)
			}
		}),
		breaks("remembers removed users", "RemoveThenAdd", func(d *damaged) {
			removed := map[string]bool{}
			d.remove = func(ctx context.Context, collection, user string) error {
				removed[user] = true
				return d.reference.Remove(ctx, collection, user)
			}
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if removed[r.UserID] && mode == ports.First {
					return ports.ErrExists
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("removes a neighbour as well", "RemoveLeavesOthers", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user string) error {
				after := d.kept.scan(collection, user+"\x00")
				if err := d.reference.Remove(ctx, collection, user); err != nil || len(after) == 0 {
					return err
				}
				return d.reference.Remove(ctx, collection, after[0].UserID)
			}
		}),
		breaks("has one collection", "CollectionsAreSeparate", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				r.Collection = people
				return d.reference.Add(ctx, r, mode)
			}
		}),
	}
}

func brokenReads() []brokenStore {
	changed := func(d *damaged, change func(r *ports.Record)) {
		d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
			change(&r)
			return d.reference.Add(ctx, r, mode)
		}
	}
	reordered := func(d *damaged, order func(a, b ports.Record) int) {
		d.get = func(ctx context.Context, collection, user string) ([]ports.Record, error) {
			faces, err := d.reference.Get(ctx, collection, user)
			slices.SortStableFunc(faces, order)
			return faces, err
		}
	}
	return []brokenStore{
		breaks("forgets the owner", "GetRoundTrip", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.Owner = "" })
		}),
		breaks("forgets the owner in a match", "GetRoundTrip", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				found, err := d.reference.Search(ctx, q)
				for i := range found {
					found[i].Owner = ""
				}
				return found, err
			}
		}),
		breaks("rounds vectors to eight bits", "GetRoundTrip", func(d *damaged) {
			changed(d, func(r *ports.Record) {
				r.Vector = slices.Clone(r.Vector)
				for i, x := range r.Vector {
					r.Vector[i] = float32(int(x*127)) / 127
				}
			})
		}),
		breaks("keeps whole seconds", "GetEnrolledAt", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.EnrolledAt = r.EnrolledAt.Truncate(time.Second) })
		}),
		breaks("keeps the wall clock without its zone", "GetEnrolledAt", func(d *damaged) {
			changed(d, func(r *ports.Record) {
				_, offset := r.EnrolledAt.Zone()
				r.EnrolledAt = r.EnrolledAt.UTC().Add(time.Duration(offset) * time.Second)
			})
		}),
		breaks("gives faces in reverse", "GetOrder", func(d *damaged) {
			reordered(d, func(a, b ports.Record) int { return strings.Compare(b.FaceID, a.FaceID) })
		}),
		breaks("gives faces by a collation", "GetOrder", func(d *damaged) {
			reordered(d, func(a, b ports.Record) int {
				return strings.Compare(strings.ToLower(a.FaceID), strings.ToLower(b.FaceID))
			})
		}),
		breaks("gives nobody without an error", "GetMissing", func(d *damaged) {
			d.get = func(ctx context.Context, collection, user string) ([]ports.Record, error) {
				faces, err := d.reference.Get(ctx, collection, user)
				if errors.Is(err, ports.ErrNotFound) {
					return nil, nil
				}
				return faces, err
			}
		}),
		breaks("counts faces", "CountUsers", func(d *damaged) {
			d.count = func(ctx context.Context, collection string) (int, error) {
				_, err := d.reference.Count(ctx, collection)
				return len(d.kept.scan(collection, "")), err
			}
		}),
		breaks("shows writes one write late", "ReadYourWrites", func(d *damaged) {
			stale := &reference{&archive{space: d.space}}
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				stale.kept.records = slices.Clone(d.kept.records)
				return d.reference.Add(ctx, r, mode)
			}
			d.search = stale.Search
		}),
		breaks("keeps the caller's vector", "MemoryVectorIn", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				err := d.reference.Add(ctx, r, mode)
				if err == nil {
					d.kept.records[len(d.kept.records)-1].Vector = r.Vector
				}
				return err
			}
		}),
		breaks("normalises the caller's vector in place", "MemoryVectorUntouched", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				for i := range q.Vector {
					q.Vector[i] *= 0.9999
				}
				return d.reference.Search(ctx, q)
			}
		}),
		breaks("hands out its own vectors from Get", "MemoryGet", func(d *damaged) {
			d.get = func(ctx context.Context, collection, user string) ([]ports.Record, error) {
				_, err := d.reference.Get(ctx, collection, user)
				return d.kept.get(collection, user), err
			}
		}),
		breaks("hands out its own vectors from Scan", "MemoryScan", func(d *damaged) {
			d.scan = func(_ context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for _, r := range d.kept.scan(collection, from) {
						if !yield(r, nil) {
							return
						}
					}
				}
			}
		}),
		breaks("keeps the last answer", "MemorySearch", func(d *damaged) {
			var last []ports.Match
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				var err error
				if last == nil {
					last, err = d.reference.Search(ctx, q)
				}
				return last, err
			}
		}),
	}
}

func brokenReopens() []brokenStore {
	withReopen := func(name, caught string,
		reopen func(h StoreHarness, tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error),
	) brokenStore {
		return brokenStore{name, caught, func() StoreHarness {
			h := referenceHarness()
			intact := h
			h.Reopen = func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				return reopen(intact, tb, s, space)
			}
			return h
		}}
	}
	return []brokenStore{
		withReopen("forgets everything", "ReopenKeepsData",
			func(h StoreHarness, tb testing.TB, _ ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				return h.Open(tb, space), nil
			}),
		withReopen("forgets the last write", "ReopenKeepsChanges",
			func(h StoreHarness, tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				kept := &s.(archived).data().kept
				kept.records = kept.records[:max(0, len(kept.records)-1)]
				return h.Reopen(tb, s, space)
			}),
		withReopen("opens any space", "ReopenOtherSpace",
			func(h StoreHarness, tb testing.TB, s ports.VectorStore, _ ports.Space) (ports.VectorStore, error) {
				return h.Reopen(tb, s, s.(archived).data().space)
			}),
		withReopen("compares dimensions only", "ReopenOtherSpace",
			func(h StoreHarness, tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				if own := s.(archived).data().space; own.Dimension == space.Dimension {
					return h.Reopen(tb, s, own)
				}
				return h.Reopen(tb, s, space)
			}),
		withReopen("names one space", "ReopenOtherSpace",
			func(h StoreHarness, tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				again, err := h.Reopen(tb, s, space)
				if err != nil {
					return nil, fmt.Errorf("wanted %s: %w", space, ports.ErrSpaceMismatch)
				}
				return again, nil
			}),
		withReopen("refuses a renamed model", "ReopenRenamedModel",
			func(h StoreHarness, tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				if s.(archived).data().space != space {
					return nil, ports.ErrSpaceMismatch
				}
				return h.Reopen(tb, s, space)
			}),
	}
}
