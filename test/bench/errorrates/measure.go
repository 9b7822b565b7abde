package main

import (
	"fmt"
	"math"

	"imago/core/evaluation"
)

// outcome is what was measured on one set of pictures.
type outcome struct {
	Name string `json:"name,omitempty"` // empty for the pictures as they are
	// Searched is how many pictures had a template, RankOne how many of them found
	// another picture of their person before any stranger.
	Searched  int `json:"searched"`
	RankOne   int `json:"rankOne"`
	Mated     int `json:"mated"`
	Strangers int `json:"strangers"`
	// Separation is d′, the distance of the means of both kinds of scores in units
	// of their deviation.
	Separation      float64 `json:"separation"`
	HighestStranger float64 `json:"highestStranger"`
	LowestMated     float64 `json:"lowestMated"`
	// Original is the mean cosine of a copy to its original.
	Original float64 `json:"original,omitempty"`
	Points   []point `json:"points"`
	Shipped  point   `json:"shipped"`
}

// point is a threshold and the errors that were counted at it.
type point struct {
	Rate          float64 `json:"rate,omitempty"` // the false match rate that was asked for
	Basis         string  `json:"basis,omitempty"`
	Cosine        float64 `json:"cosine"`
	FalseMatch    int     `json:"falseMatch"`
	FalseNonMatch int     `json:"falseNonMatch"`
}

// measure compares the pictures with each other, then each set of copies with the
// pictures. The thresholds are those of the pictures as they are: whoever searches
// does not know what was done to a picture.
func measure(asked input) ([]outcome, error) {
	first, err := compare(asked.Gallery, asked.Gallery, true)
	if err != nil {
		return nil, err
	}
	var wanted []point
	for _, rate := range asked.Rates {
		p := first.tradeoff.At(rate)
		if p.Basis == evaluation.Unknown {
			return nil, fmt.Errorf("%d pairs of strangers are too few for a false match rate of %g", first.tradeoff.Strangers.Count(), rate)
		}
		wanted = append(wanted, point{Rate: rate, Basis: string(p.Basis), Cosine: p.Threshold.Cosine()})
	}
	all := []outcome{first.outcome(wanted, asked.Shipped)}
	for _, c := range asked.Copies {
		compared, err := compare(c.Templates, asked.Gallery, false)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		o := compared.outcome(wanted, asked.Shipped)
		o.Name = c.Name
		all = append(all, o)
	}
	return all, nil
}

// comparison are the scores of probes against a gallery.
type comparison struct {
	searched, rankOne           int
	mated, strangers, originals scores
	tradeoff                    evaluation.Tradeoff
}

// compare scores every probe against every other picture of the gallery. Where both
// are the same pictures, each pair counts once.
func compare(probes, gallery []template, same bool) (*comparison, error) {
	c := &comparison{searched: len(probes), mated: newScores(), strangers: newScores(), originals: newScores()}
	for i, probe := range probes {
		mate, stranger := math.Inf(-1), math.Inf(-1)
		for j, other := range gallery {
			if len(other.Vector) != len(probe.Vector) {
				return nil, fmt.Errorf("vectors of dimensions %d and %d", len(probe.Vector), len(other.Vector))
			}
			score := cosine(probe.Vector, other.Vector)
			kind, best := &c.strangers, &stranger
			switch {
			case probe.Picture == other.Picture:
				c.originals.add(score)
				continue
			case probe.Person == other.Person:
				kind, best = &c.mated, &mate
			}
			*best = max(*best, score)
			if !same || i < j {
				kind.add(score)
			}
		}
		if mate > stranger {
			c.rankOne++
		}
	}
	c.tradeoff = evaluation.Tradeoff{Mated: c.mated.all.Distribution(), Strangers: c.strangers.all.Distribution()}
	return c, nil
}

func (c *comparison) outcome(wanted []point, shipped float64) outcome {
	o := outcome{
		Searched: c.searched, RankOne: c.rankOne, Mated: c.mated.n, Strangers: c.strangers.n,
		Separation:      (c.mated.mean() - c.strangers.mean()) / math.Sqrt((c.mated.variance()+c.strangers.variance())/2),
		HighestStranger: c.strangers.highest, LowestMated: c.mated.lowest,
		Original: c.originals.mean(), Shipped: c.count(point{Cosine: shipped}),
	}
	for _, p := range wanted {
		o.Points = append(o.Points, c.count(p))
	}
	return o
}

// count adds the errors at a threshold.
func (c *comparison) count(p point) point {
	at := evaluation.AtLeast(p.Cosine)
	p.FalseMatch, p.FalseNonMatch = c.tradeoff.FalseMatch(at).Count, c.tradeoff.FalseNonMatch(at).Count
	return p
}

// scores are those of one kind of pairs.
type scores struct {
	all             evaluation.Histogram
	n               int
	sum, squares    float64
	lowest, highest float64
}

func newScores() scores { return scores{lowest: 1, highest: -1} }

func (s *scores) add(score float64) {
	s.all.Add(score)
	s.n++
	s.sum += score
	s.squares += score * score
	s.lowest, s.highest = min(s.lowest, score), max(s.highest, score)
}

func (s *scores) mean() float64 { return s.sum / float64(max(1, s.n)) }

func (s *scores) variance() float64 {
	m := s.mean()
	return s.squares/float64(max(1, s.n)) - m*m
}

// cosine returns that of two vectors of one length, of any norm.
func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb)
}
