package memstore

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"

	"imago/ports"
)

// candidate is a user in the running, with the best face seen so far.
type candidate struct {
	face  *face
	score float64
}

// compare orders candidates as matches are ordered: best first, ties by user
// ID bytewise.
func (c candidate) compare(o candidate) int {
	return cmp.Or(cmp.Compare(o.score, c.score), strings.Compare(c.face.user.id, o.face.user.id))
}

// topK keeps the k best users among the faces that are offered to it, each user
// once. It is a heap with the last place on top; places finds the users in it,
// so that the second face of a user improves a place instead of taking one.
type topK struct {
	k      int
	floor  float64 // what scores less has no place
	heap   []candidate
	places map[*user]int
}

func newTopK(k int, minimum float64) *topK {
	return &topK{k: k, floor: minimum, places: map[*user]int{}}
}

// offer considers a face. Callers leave out scores below floor.
func (t *topK) offer(f *face, score float64) {
	c := candidate{f, score}
	if at, ok := t.places[f.user]; ok {
		if better(c, t.heap[at]) {
			t.heap[at] = c
			heap.Fix(t, at)
			t.raise()
		}
		return
	}
	if len(t.heap) < t.k {
		heap.Push(t, c)
	} else if c.compare(t.heap[0]) < 0 {
		delete(t.places, t.heap[0].face.user)
		t.heap[0] = c
		t.places[f.user] = 0
		heap.Fix(t, 0)
	}
	t.raise()
}

// better reports whether a represents the same user better than b. Equal faces
// go by ID, so that the answer does not depend on the order of rows.
func better(a, b candidate) bool {
	return a.score > b.score || a.score == b.score && a.face.id < b.face.id
}

// raise lifts the floor once all places are taken.
func (t *topK) raise() {
	if len(t.heap) == t.k {
		t.floor = math.Max(t.floor, t.heap[0].score)
	}
}

// matches returns the users in order and ends the use of t.
func (t *topK) matches() []ports.Match {
	slices.SortFunc(t.heap, candidate.compare)
	out := make([]ports.Match, len(t.heap))
	for i, c := range t.heap {
		out[i] = ports.Match{UserID: c.face.user.id, FaceID: c.face.id, Owner: c.face.owner, Score: c.score}
	}
	return out
}

// Len is part of heap.Interface.
func (t *topK) Len() int { return len(t.heap) }

// Less is part of heap.Interface: the worst is on top.
func (t *topK) Less(i, j int) bool { return t.heap[i].compare(t.heap[j]) > 0 }

// Swap is part of heap.Interface.
func (t *topK) Swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.places[t.heap[i].face.user] = i
	t.places[t.heap[j].face.user] = j
}

// Push is part of heap.Interface.
func (t *topK) Push(x any) {
	c := x.(candidate)
	t.places[c.face.user] = len(t.heap)
	t.heap = append(t.heap, c)
}

// Pop is part of heap.Interface; nothing is ever popped.
func (t *topK) Pop() any { panic("memstore: topK.Pop") }
