package evaluation

import (
	"cmp"
	"math"
	"slices"
)

// outcome sums up the comparisons.
func (c *comparer) outcome() Comparison {
	out := Comparison{
		People: c.people, Templates: len(c.templates),
		Pairs: c.all.tradeoff(), Searches: c.searches(),
		RankOne: c.rankOne(-1),
		Closest: c.closest.pairs(c.templates, 1), Farthest: c.farthest.pairs(c.templates, -1),
	}
	if len(c.names) > 1 {
		for g, name := range c.names {
			out.Groups = append(out.Groups, c.groupOutcome(g, name))
		}
	}
	return out
}

func (c *comparer) groupOutcome(g int, name string) Group {
	out := Group{Name: name, Pairs: c.within[g].tradeoff(), RankOne: c.rankOne(g)}
	people := map[int]bool{}
	for i := range c.templates {
		if c.group[i] == g {
			people[c.person[i]] = true
			out.Templates++
		}
	}
	out.People = len(people)
	return out
}

// rankOne counts the mated searches that have the right person first, of the
// pictures of one group or, for -1, of all. A search without a stranger does not count.
func (c *comparer) rankOne(group int) (p Proportion) {
	for i, b := range c.best {
		if group >= 0 && c.group[i] != group || math.IsInf(b.mate, -1) || math.IsInf(b.stranger, -1) {
			continue
		}
		p.Trials++
		if b.mate > b.stranger {
			p.Count++
		}
	}
	return p
}

func (c *comparer) searches() Tradeoff {
	var s collected
	for _, b := range c.best {
		if !math.IsInf(b.mate, -1) {
			s.mated.Add(b.mate)
		}
		if !math.IsInf(b.stranger, -1) {
			s.strangers.Add(b.stranger)
		}
	}
	return s.tradeoff()
}

// rankingSize is how many pairs a ranking keeps.
const rankingSize = 10

// ranking keeps the highest scores. Equal scores are ranked by the
// templates, so that the order in which they are added does not matter.
type ranking struct{ kept []rankedPair }

type rankedPair struct {
	i, j  int
	score float64
}

func (r *ranking) add(i, j int, score float64) {
	if len(r.kept) == rankingSize && score < r.kept[rankingSize-1].score {
		return
	}
	p := rankedPair{i, j, score}
	at, _ := slices.BinarySearchFunc(r.kept, p, func(a, b rankedPair) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j))
	})
	r.kept = slices.Insert(r.kept, at, p)
	r.kept = r.kept[:min(len(r.kept), rankingSize)]
}

func (r *ranking) pairs(templates []Template, sign float64) []Pair {
	var pairs []Pair
	for _, p := range r.kept {
		pairs = append(pairs, Pair{templates[p.i].Picture, templates[p.j].Picture, sign * p.score})
	}
	return pairs
}
