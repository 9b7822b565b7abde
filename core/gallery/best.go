package gallery

import (
	"context"
	"math"
	"sync"
	"time"

	"imago/core/calibration"
	"imago/ports"
)

// Best is how a search went by the default threshold of its collection, whatever
// threshold it asked for. It is for statistics: the client may not be entitled to know it.
type Best struct {
	// Similarity is that of the most similar user in percent, or 0 where the user is less
	// similar than a near miss.
	Similarity float64
	Outcome    Outcome
}

// Outcome says how similar the most similar user of a collection is.
type Outcome string

// The outcomes of a search.
const (
	// Matched means that the user reaches the collection's threshold.
	Matched Outcome = "match"
	// NearMiss means that the user does not, but reaches a similarity of a sixth of the
	// threshold's odds: 40 % where the threshold is 80 %. That is a cosine lower by 0.09,
	// where 13 times as many strangers match (FMR tables of config/models).
	NearMiss Outcome = "near_miss"
	// NoMatch means that nobody is that similar.
	NoMatch Outcome = "no_match"
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return []Outcome{Matched, NearMiss, NoMatch} }

// nearMissOdds divides the odds of the threshold; see NearMiss.
const nearMissOdds = 6

// nearMiss returns the lowest cosine of a near miss of a threshold in percent.
func nearMiss(curve calibration.Curve, threshold float64) float64 {
	return max(-1, curve.Cosine(threshold)-math.Log(nearMissOdds)/curve.Steepness)
}

// best returns the best score of a search that found some users by asking for a minimum
// cosine. Where it found nobody, the store is asked for the nearest user. It returns nil
// if the store fails: what it is for is no reason to withhold the answer.
func (g *Gallery) best(ctx context.Context, collection string, vector []float32, found []ports.Match, minimum float64) *Best {
	threshold := g.collections[collection].Threshold
	floor := nearMiss(g.options.Curve, threshold)
	if len(found) == 0 && floor < minimum {
		var err error
		began := g.options.Now()
		found, err = g.store.Search(ctx, ports.Query{Collection: collection, Vector: vector, K: 1, MinScore: floor})
		ended := g.options.Now()
		g.pace[collection].spent(ended, ended.Sub(began))
		if err != nil {
			return nil
		}
	}
	if len(found) == 0 || found[0].Score < floor {
		return &Best{Outcome: NoMatch}
	}
	b := &Best{Similarity: g.options.Curve.Percent(found[0].Score), Outcome: NearMiss}
	if b.Similarity >= threshold {
		b.Outcome = Matched
	}
	return b
}

// measures reports whether a search of a collection, of which that is asked, is one whose
// best score is measured. It must be decided before the outcome is known: otherwise
// searches that are answered without asking the store again would be counted too often.
func (g *Gallery) measures(asked bool, collection string) bool {
	return asked && g.pace[collection].free(g.options.Now())
}

// pauseRatio is how many times as long as the store has worked for measuring it is then not
// asked again: a hundredth of one connection's or core's time is spent.
const pauseRatio = 99

// pace spaces the questions about best scores in a collection. It is safe for concurrent
// use; the zero value is free.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// free reports whether the store may be asked.
func (p *pace) free(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !now.Before(p.next)
}

// spent records that a question took some time and ended now. Those of searches that ran at
// the same time add up.
func (p *pace) spent(now time.Time, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(pauseRatio * took)
}
