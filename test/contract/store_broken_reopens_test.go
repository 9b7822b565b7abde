package contract

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"imago/ports"
)

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
		withReopen("names no remedy", "ReopenOtherSpace",
			func(h StoreHarness, tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				again, err := h.Reopen(tb, s, space)
				if err != nil {
					return nil, fmt.Errorf("holds %s, wanted %s: %w", s.(archived).data().space, space, ports.ErrSpaceMismatch)
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

// brokenUnderLoad are right as long as nobody else calls, and one that is wrong
// about a second instance.
func brokenUnderLoad() []brokenStore {
	return []brokenStore{
		breaks("looks before it adds", "ConcurrentFirst", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if _, err := d.reference.Get(ctx, r.User()); err == nil || mode.Kind() != ports.KindNewUser {
					return d.reference.Add(ctx, r, mode)
				}
				time.Sleep(time.Millisecond)
				d.mu.Lock()
				defer d.mu.Unlock()
				d.kept.records = append(d.kept.records, cloned([]ports.Record{r})...)
				return nil
			}
		}),
		breaks("lets the last of two callers win", "ConcurrentFurther", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				d.mu.Lock()
				before := oracle{slices.Clone(d.kept.records)}
				d.mu.Unlock()
				time.Sleep(time.Millisecond)
				err := before.add(r, mode)
				d.mu.Lock()
				defer d.mu.Unlock()
				d.kept = before
				return err
			}
		}),
		breaks("replaces in two steps", "ConcurrentReplacement", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() != ports.KindReplacement {
					return d.reference.Add(ctx, r, mode)
				}
				if err := d.reference.Remove(ctx, ports.WholeUser(r.User()), ports.Everybody()); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
				return d.reference.Add(ctx, r, ports.NewUser())
			}
		}),
		breaks("replaces the other way round", "ConcurrentReplacement", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() != ports.KindReplacement {
					return d.reference.Add(ctx, r, mode)
				}
				if err := d.reference.Add(ctx, r, ports.FurtherFace(ports.Everybody())); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
				return d.reference.Add(ctx, r, ports.Replacement(ports.Everybody()))
			}
		}),
		breaks("has a search join one that has begun", "ConcurrentHistory", func(d *damaged) {
			var mu sync.Mutex
			var begun *flight
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				mu.Lock()
				f := begun
				if f != nil {
					mu.Unlock()
					<-f.done
					return f.seen.search(q), nil
				}
				f = &flight{seen: d.copied(), done: make(chan struct{})}
				begun = f
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				begun = nil
				mu.Unlock()
				close(f.done)
				return f.seen.search(q), nil
			}
		}),
		breaks("loses one write in a hundred", "ConcurrentMixture", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); err != nil || len(r.UserID)%3 > 0 || r.FaceID != "face-5" {
					return err
				}
				return d.reference.Remove(ctx, ports.WholeUser(r.User()), ports.Everybody())
			}
		}),
		{"answers from a copy of its own", "SecondSeesWrites", secondWithACopy},
		{"removes from its own copy", "SecondSeesRemovals", secondWithACopy},
		{"is unique by itself only", "ConcurrentFirstOfTwoInstances", secondWithACopy},
	}
}

// secondWithACopy gives the second instance the data of the moment.
func secondWithACopy() StoreHarness {
	h := referenceHarness()
	h.Second = copyOf
	return h
}

// flight is a search that is under way, with what it has seen.
type flight struct {
	seen oracle
	done chan struct{}
}

// copied returns a copy of what the reference has.
func (d *damaged) copied() oracle {
	d.mu.Lock()
	defer d.mu.Unlock()
	return oracle{slices.Clone(d.kept.records)}
}
