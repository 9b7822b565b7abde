package exactindex

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"
)

// Hit is a found item: the best of its group.
type Hit[T Item] struct {
	Item T
	// Score is the float32 product with the query, limited to -1 and 1.
	Score float64
}

// compare orders hits: best first, ties by group bytewise.
func (h Hit[T]) compare(o Hit[T]) int {
	return cmp.Or(cmp.Compare(o.Score, h.Score), strings.Compare(h.Item.Group(), o.Item.Group()))
}

// topK keeps the k best groups among the items that are offered to it, each group
// once. It is a heap with the last place on top; places finds the groups in
// it, so that the second item of a group improves a place instead of taking one.
type topK[T Item] struct {
	k      int
	floor  float64 // lower scores are rejected
	heap   []Hit[T]
	places map[string]int
}

// reset prepares t for another search.
func (t *topK[T]) reset(k int, minimum float64) {
	t.k, t.floor = k, minimum
	clear(t.heap)
	t.heap = t.heap[:0]
	if t.places == nil {
		t.places = map[string]int{}
	}
	clear(t.places)
}

// offer considers an item. Callers leave out scores below floor.
func (t *topK[T]) offer(item T, score float64) {
	h := Hit[T]{item, score}
	group := item.Group()
	if at, ok := t.places[group]; ok {
		if better(h, t.heap[at]) {
			t.heap[at] = h
			heap.Fix(t, at)
			t.raiseFloor()
		}
		return
	}
	if len(t.heap) < t.k {
		t.places[group] = len(t.heap)
		t.heap = append(t.heap, h)
		heap.Fix(t, len(t.heap)-1)
	} else if h.compare(t.heap[0]) < 0 {
		delete(t.places, t.heap[0].Item.Group())
		t.heap[0] = h
		t.places[group] = 0
		heap.Fix(t, 0)
	}
	t.raiseFloor()
}

// better reports whether a represents the same group better than b. Equal items go
// by ID, so that the answer does not depend on the order of rows.
func better[T Item](a, b Hit[T]) bool {
	return a.Score > b.Score || a.Score == b.Score && a.Item.ID() < b.Item.ID()
}

// raiseFloor raises the floor once all places are taken.
func (t *topK[T]) raiseFloor() {
	if len(t.heap) == t.k {
		t.floor = math.Max(t.floor, t.heap[0].Score)
	}
}

// hits returns the groups in order, best first. t must be reset before it is used again.
func (t *topK[T]) hits() []Hit[T] {
	if len(t.heap) == 0 {
		return nil
	}
	hits := slices.Clone(t.heap)
	slices.SortFunc(hits, Hit[T].compare)
	return hits
}

// Len is part of heap.Interface.
func (t *topK[T]) Len() int { return len(t.heap) }

// Less is part of heap.Interface: the worst is on top.
func (t *topK[T]) Less(i, j int) bool { return t.heap[i].compare(t.heap[j]) > 0 }

// Swap is part of heap.Interface.
func (t *topK[T]) Swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.places[t.heap[i].Item.Group()] = i
	t.places[t.heap[j].Item.Group()] = j
}

// Push and Pop are part of heap.Interface; offer does without them.
func (t *topK[T]) Push(any) { panic("exactindex: topK.Push") }

// Pop is part of heap.Interface.
func (t *topK[T]) Pop() any { panic("exactindex: topK.Pop") }
