package reembed

import (
	"math/rand/v2"
	"slices"

	"imago/ports"
)

// maxSample is how many users' faces are compared with each other.
const maxSample = 1000

// Comparison says how often pairs of faces of a collection reach its threshold, before and
// after.
type Comparison struct {
	Collection string `json:"collection"`
	// Before and After are the thresholds in percent.
	Before float64 `json:"thresholdBefore"`
	After  float64 `json:"thresholdAfter"`
	// SamePerson are all pairs of faces of one user.
	SamePerson Pairs `json:"samePerson"`
	// Strangers are the pairs of a random sample of users, a face each.
	Strangers Pairs `json:"strangers"`
}

// Pairs counts pairs of faces, and those that reach the threshold.
type Pairs struct {
	Pairs  int `json:"pairs"`
	Before int `json:"reachBefore"`
	After  int `json:"reachAfter"`
}

// Threshold is what a collection's searches ask for on one side, in percent and as a cosine.
type Threshold struct{ Percent, Cosine float64 }

// Comparer compares the two vectors of faces, in memory that does not grow with their
// number. It is for one goroutine.
type Comparer struct {
	thresholds func(collection string) (before, after Threshold)
	random     *rand.Rand
	done       []Comparison
	now        *Comparison // of the collection that faces come from
	before     Threshold
	after      Threshold
	users      int
	sample     [][2][]float32 // a face's vectors before and after
}

// NewComparer returns a comparer by the thresholds of collections. Random chooses the sample.
func NewComparer(thresholds func(collection string) (before, after Threshold), random *rand.Rand) *Comparer {
	return &Comparer{thresholds: thresholds, random: random}
}

// Add takes faces of a user, before and after in the same order. The users of a collection
// come one after the other.
func (c *Comparer) Add(before, after []ports.Record) {
	if len(before) == 0 {
		return
	}
	if name := before[0].Collection; c.now == nil || c.now.Collection != name {
		c.finish()
		c.before, c.after = c.thresholds(name)
		c.now = &Comparison{Collection: name, Before: c.before.Percent, After: c.after.Percent}
	}
	for i := range before {
		for j := range i {
			c.count(&c.now.SamePerson, [2][]float32{before[i].Vector, after[i].Vector}, [2][]float32{before[j].Vector, after[j].Vector})
		}
	}
	c.choose([2][]float32{before[0].Vector, after[0].Vector})
}

// choose takes a user into the sample such that all users have the same chance: Algorithm R
// (Vitter, 1985).
func (c *Comparer) choose(face [2][]float32) {
	c.users++
	if len(c.sample) < maxSample {
		c.sample = append(c.sample, face)
	} else if at := c.random.IntN(c.users); at < maxSample {
		c.sample[at] = face
	}
}

func (c *Comparer) count(p *Pairs, a, b [2][]float32) {
	p.Pairs++
	if dot(a[0], b[0]) >= c.before.Cosine {
		p.Before++
	}
	if dot(a[1], b[1]) >= c.after.Cosine {
		p.After++
	}
}

func dot(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// finish ends the comparison of a collection.
func (c *Comparer) finish() {
	if c.now == nil {
		return
	}
	for i := range c.sample {
		for j := range i {
			c.count(&c.now.Strangers, c.sample[i], c.sample[j])
		}
	}
	c.done = append(c.done, *c.now)
	c.now, c.users, c.sample = nil, 0, nil
}

// Comparisons returns those of the collections that faces were added of, in their order.
func (c *Comparer) Comparisons() []Comparison {
	c.finish()
	return slices.Clone(c.done)
}
