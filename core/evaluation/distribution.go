package evaluation

import (
	"math"
	"sort"
)

// resolution is how many thresholds there are in a cosine of 1.
const resolution = 100_000

// Threshold is a cosine in steps of 1e-5, from Lowest to Highest. Scores are
// counted between thresholds, so that memory does not grow with their number and every
// count at a Threshold is exact.
type Threshold int

// The range of thresholds.
const (
	Lowest  Threshold = -resolution
	Highest Threshold = resolution
	// Unreachable is above every score.
	Unreachable = Highest + 1
)

// Cosine returns the threshold as a cosine similarity.
func (t Threshold) Cosine() float64 { return float64(t) / resolution }

// AtLeast returns the lowest threshold that is no lower than a cosine.
func AtLeast(cosine float64) Threshold {
	t := Threshold(math.Floor(clamp(cosine) * resolution))
	for t.Cosine() < cosine && t <= Highest {
		t++
	}
	return t
}

func clamp(cosine float64) float64 { return max(-1, min(1, cosine)) }

// reached returns the highest threshold that a score reaches. The division
// decides, as it does for whoever compares with Threshold.Cosine.
func thresholdOf(score float64) Threshold {
	score = clamp(score)
	t := Threshold(math.Floor(score * resolution))
	switch {
	case t < Highest && (t+1).Cosine() <= score:
		return t + 1
	case t > Lowest && t.Cosine() > score:
		return t - 1
	}
	return t
}

// Histogram collects scores. Its zero value is empty; it is not safe for
// concurrent use.
type Histogram struct{ bins []int }

// Add counts a score. A score outside -1 to 1, by rounding, counts as -1 or 1.
func (h *Histogram) Add(score float64) {
	if h.bins == nil {
		h.bins = make([]int, Unreachable-Lowest)
	}
	h.bins[thresholdOf(score)-Lowest]++
}

// Distribution returns what was collected and leaves the histogram empty.
func (h *Histogram) Distribution() Distribution {
	d := Distribution{atLeast: h.bins}
	h.bins = nil
	for i := len(d.atLeast) - 2; i >= 0; i-- {
		d.atLeast[i] += d.atLeast[i+1]
	}
	return d
}

// Distribution holds how many scores reach each threshold. Its zero value is
// empty; it is safe for concurrent use.
type Distribution struct {
	atLeast []int // by threshold, from Lowest to Highest; nil when empty
}

// Count returns the number of scores.
func (d Distribution) Count() int { return d.AtLeast(Lowest) }

// AtLeast returns the number of scores that reach a threshold: thresholds are
// inclusive.
func (d Distribution) AtLeast(t Threshold) int {
	i := int(max(t, Lowest) - Lowest)
	if i >= len(d.atLeast) {
		return 0
	}
	return d.atLeast[i]
}

// Reaching returns the part of the scores that reach a threshold.
func (d Distribution) Reaching(t Threshold) Proportion {
	return Proportion{d.AtLeast(t), d.Count()}
}

// Missing returns the part of the scores that do not.
func (d Distribution) Missing(t Threshold) Proportion {
	return Proportion{d.Count() - d.AtLeast(t), d.Count()}
}

// Limit returns the lowest threshold that at most a fraction rate of the scores reach,
// Unreachable if too many scores are 1.
func (d Distribution) Limit(rate float64) Threshold {
	n := float64(d.Count())
	return Lowest + Threshold(sort.Search(len(d.atLeast), func(i int) bool {
		return float64(d.atLeast[i])/n <= rate
	}))
}

// excess returns the mean of how far the scores that reach a threshold lie above
// it. A score is taken to lie in the middle of its step.
func (d Distribution) meanExcess(t Threshold) float64 {
	sum := 0
	for u := t + 1; u <= Highest; u++ {
		sum += d.AtLeast(u)
	}
	return (float64(sum)/float64(d.AtLeast(t)) + 0.5) / resolution
}
