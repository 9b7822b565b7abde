package contract

import (
	"context"
	"iter"
	"slices"
	"time"

	"imago/ports"
)

// undamaged names no broken store, so that the child runs the reference.
const undamaged = "undamaged"

// damaged is the reference with some calls replaced; nil leaves a call alone.
type damaged struct {
	*reference
	add     func(ctx context.Context, r ports.Record, mode ports.Mode) error
	remove  func(ctx context.Context, removal ports.Removal, owners ports.Owners) error
	get     func(ctx context.Context, user ports.UserKey) ([]ports.Record, error)
	search  func(ctx context.Context, q ports.Query) ([]ports.Match, error)
	scan    func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error]
	count   func(ctx context.Context, collection string) (int, error)
	expire  func(ctx context.Context, user ports.UserKey, at time.Time) error
	expired func(ctx context.Context, collection string, at time.Time, limit int) ([]string, error)
}

func (d *damaged) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if d.add == nil {
		return d.reference.Add(ctx, r, mode)
	}
	return d.add(ctx, r, mode)
}

func (d *damaged) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	if d.remove == nil {
		return d.reference.Remove(ctx, removal, owners)
	}
	return d.remove(ctx, removal, owners)
}

func (d *damaged) Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
	if d.get == nil {
		return d.reference.Get(ctx, user)
	}
	return d.get(ctx, user)
}

func (d *damaged) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if d.search == nil {
		return d.reference.Search(ctx, q)
	}
	return d.search(ctx, q)
}

func (d *damaged) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	if d.scan == nil {
		return d.reference.Scan(ctx, selection)
	}
	return d.scan(ctx, selection)
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
	return slices.Concat(brokenAdds(), brokenRemoves(), brokenOwners(), brokenUnlikes(), brokenReads(), brokenExpiries(), brokenChips(), brokenMemory(), brokenAnswers(), brokenRanks(),
		brokenScans(), brokenInputs(), brokenContexts(), brokenReopens(), brokenUnderLoad())
}
