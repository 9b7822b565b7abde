package duplicates

import (
	"container/heap"
	"slices"
)

// ranking keeps the first few of the items that are added, in an order without ties: what is
// kept does not depend on the order of adding.
type ranking[T any] struct {
	limit   int
	compare func(a, b T) int
	items   []T // a heap with the last one on top
}

// add considers an item.
func (r *ranking[T]) add(item T) {
	if len(r.items) < r.limit {
		r.items = append(r.items, item)
		heap.Fix(r, len(r.items)-1)
		return
	}
	if r.compare(item, r.items[0]) < 0 {
		r.items[0] = item
		heap.Fix(r, 0)
	}
}

// sorted returns the items in order.
func (r *ranking[T]) sorted() []T {
	all := slices.Clone(r.items)
	slices.SortFunc(all, r.compare)
	return all
}

// Len is part of heap.Interface.
func (r *ranking[T]) Len() int { return len(r.items) }

// Less is part of heap.Interface.
func (r *ranking[T]) Less(i, j int) bool { return r.compare(r.items[i], r.items[j]) > 0 }

// Swap is part of heap.Interface.
func (r *ranking[T]) Swap(i, j int) { r.items[i], r.items[j] = r.items[j], r.items[i] }

// Push is part of heap.Interface; add does without it.
func (r *ranking[T]) Push(any) { panic("duplicates: ranking.Push") }

// Pop is part of heap.Interface; add does without it.
func (r *ranking[T]) Pop() any { panic("duplicates: ranking.Pop") }
