package contract

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"imago/ports"
)

// changed damages what is added.
func changed(d *damaged, change func(r *ports.Record)) {
	d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
		change(&r)
		return d.reference.Add(ctx, r, mode)
	}
}

func brokenReads() []brokenStore {
	reordered := func(d *damaged, order func(a, b ports.Record) int) {
		d.get = func(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
			faces, err := d.reference.Get(ctx, user)
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
			d.get = func(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
				faces, err := d.reference.Get(ctx, user)
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
	}
}

func brokenMemory() []brokenStore {
	return []brokenStore{
		breaks("shows writes one write late", "ReadYourWrites", func(d *damaged) {
			stale := mustOpenReference(&archive{}, d.space)
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
			d.get = func(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
				_, err := d.reference.Get(ctx, user)
				return d.kept.get(user), err
			}
		}),
		breaks("hands out its own vectors from Scan", "MemoryScan", func(d *damaged) {
			d.scan = func(_ context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for _, r := range d.kept.scan(selection.Collection, selection.From) {
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
