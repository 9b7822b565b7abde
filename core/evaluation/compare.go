package evaluation

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"imago/ports"
)

// Comparison is the outcome of comparing every template with every other one.
type Comparison struct {
	People, Templates int
	// Pairs are the one-to-one comparisons, each pair once.
	Pairs Tradeoff
	// Groups are the pairs within each group: strangers of one group are
	// confused more often than strangers from two. Empty without groups.
	Groups []Group
	// Searches are one-to-many: each picture is searched for among all others.
	// A mated search scores the best of the person's other pictures, a
	// non-mated one, from whose gallery the person is left out, the best
	// stranger. FNMR and FMR of this tradeoff are the FNIR and the FPIR, with
	// as many candidates as wanted.
	Searches Tradeoff
	// RankOne is how many of the mated searches, without a threshold, have the
	// right person first. A tie with a stranger does not count as first. Without a
	// stranger there are none.
	RankOne Proportion
	// Closest are the strangers who score highest, Farthest the mated pairs
	// that score lowest: the first place to look for wrong labels.
	Closest, Farthest []Pair
}

// Group is the outcome within one group.
type Group struct {
	Name              string
	People, Templates int
	Pairs             Tradeoff
	RankOne           Proportion // of the searches among everybody
}

// Pair is two pictures and their score.
type Pair struct {
	A, B  Picture
	Score float64
}

// Compare compares n templates in n(n-1)/2 pairs by the given number of goroutines, at
// least 1. The memory beside the templates does not depend on the number of pairs:
// 1.6 MB for each of two kinds of scores, for all searches, all pairs and the pairs of
// each group. Progress, where set, is called with the number of pairs done; the calls
// never overlap.
//
// Errors: ErrInvalid for vectors of different lengths, the context's error.
func Compare(ctx context.Context, templates []Template, workers int, progress func(pairs int)) (Comparison, error) {
	c := newComparer(templates, progress)
	for _, t := range templates {
		if len(t.Vector) != len(templates[0].Vector) {
			return Comparison{}, fmt.Errorf("evaluation: %w: vectors of dimensions %d and %d", ports.ErrInvalid, len(templates[0].Vector), len(t.Vector))
		}
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range max(1, workers) {
		wait.Go(func() { c.rows(ctx, &next) })
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return Comparison{}, err
	}
	return c.outcome(), nil
}

// best are the highest scores of a picture's search.
type best struct{ mate, stranger float64 }

// collected are the scores of pairs.
type collected struct{ mated, strangers Histogram }

func (c *collected) add(score float64, mated bool) {
	if mated {
		c.mated.Add(score)
		return
	}
	c.strangers.Add(score)
}

func (c *collected) tradeoff() Tradeoff {
	return Tradeoff{c.mated.Distribution(), c.strangers.Distribution()}
}

type comparer struct {
	templates []Template
	person    []int // by template
	group     []int // by template
	people    int
	names     []string // of the groups
	progress  func(int)

	mu       sync.Mutex // guards what follows
	pairs    int
	all      collected
	within   []collected // by group
	best     []best      // by template
	closest  ranking
	farthest ranking
}

func newComparer(templates []Template, progress func(int)) *comparer {
	c := &comparer{templates: templates, progress: progress, best: make([]best, len(templates))}
	people, groups := map[[2]string]int{}, map[string]int{}
	for i, t := range templates {
		c.best[i] = best{math.Inf(-1), math.Inf(-1)}
		if _, known := groups[t.Group]; !known {
			groups[t.Group] = len(groups)
			c.names = append(c.names, t.Group)
		}
		who := [2]string{t.Group, t.Person}
		if _, known := people[who]; !known {
			people[who] = len(people)
		}
		c.person = append(c.person, people[who])
		c.group = append(c.group, groups[t.Group])
	}
	c.people = len(people)
	c.within = make([]collected, len(groups))
	return c
}

// rows compares templates with those after them until none is left or the
// context ends.
func (c *comparer) rows(ctx context.Context, next *atomic.Int64) {
	scores := make([]float64, len(c.templates))
	for {
		i := int(next.Add(1) - 1)
		if i >= len(c.templates) || ctx.Err() != nil {
			return
		}
		a := c.templates[i].Vector
		for j := i + 1; j < len(c.templates); j++ {
			scores[j] = cosine(a, c.templates[j].Vector)
		}
		c.row(i, scores)
	}
}

// row records the scores of template i with those after it.
func (c *comparer) row(i int, scores []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for j := i + 1; j < len(scores); j++ {
		c.record(i, j, scores[j])
	}
	c.pairs += len(scores) - i - 1
	if c.progress != nil {
		c.progress(c.pairs)
	}
}

func (c *comparer) record(i, j int, score float64) {
	mated := c.person[i] == c.person[j]
	c.all.add(score, mated)
	if len(c.within) > 1 && c.group[i] == c.group[j] {
		c.within[c.group[i]].add(score, mated)
	}
	if mated {
		c.best[i].mate, c.best[j].mate = max(c.best[i].mate, score), max(c.best[j].mate, score)
		c.farthest.add(i, j, -score)
		return
	}
	c.best[i].stranger, c.best[j].stranger = max(c.best[i].stranger, score), max(c.best[j].stranger, score)
	c.closest.add(i, j, score)
}

// cosine returns the scalar product of unit vectors of one length.
func cosine(a, b []float32) float64 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return float64(s0 + s1 + s2 + s3)
}
