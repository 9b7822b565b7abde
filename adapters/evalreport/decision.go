package evalreport

import (
	"fmt"
	"math"
	"strconv"

	"imago/core/evaluation"
)

// Decision says in a sentence whether a search among so many people is usable.
type Decision struct {
	Outcome evaluation.Outcome `json:"outcome"` // usable, not_usable, undecided or cannot_tell
	// Sentence is the decision in words, Next what to do about it.
	Sentence string   `json:"sentence"`
	Next     []string `json:"next"`
	Gallery  int      `json:"gallery"`
	// MaxFPIR and MaxFNIR are the bounds: what part of strangers may be taken for
	// somebody, and what part of searches for the enrolled may miss them.
	MaxFPIR float64 `json:"maxFpir"`
	MaxFNIR float64 `json:"maxFnir"`
	// At is the threshold of MaxFPIR; its falseNonMatches are the FNIR.
	At Row `json:"at"`
	// LargestGallery keeps both bounds; absent where none does, or it is not needed.
	LargestGallery int `json:"largestGallery,omitempty"`
}

// addDecision adds the decision on the gallery of the run.
func (run Run) addDecision(r *Report) {
	v := run.Compared.Pairs.Decide(run.Gallery)
	r.Decision = Decision{
		Outcome: v.Outcome, Gallery: v.Gallery, MaxFPIR: evaluation.MaxFPIR, MaxFNIR: evaluation.MaxFNIR,
		At: run.row(r, v.Point), LargestGallery: v.Largest,
	}
	r.Decision.Sentence = r.decisionSentence()
	_, _, contradicted := run.Compared.Pairs.Contradicted()
	r.Decision.Next = r.next(v, run.row(r, v.Reviewed), contradicted)
}

// taken says how often strangers are taken for somebody at a threshold.
func taken(fpir float64, gallery int) string {
	return fmt.Sprintf("%s strangers is taken for somebody among %s", oneIn(fpir), thousands(gallery))
}

// atLeastPercent writes a percentage of the API upwards, so that what is written keeps the
// rate.
func atLeastPercent(p float64) string {
	return strconv.FormatFloat(math.Ceil(p*100-1e-9)/100, 'f', -1, 64) + " %"
}

// decisionSentence puts the decision into words.
func (r *Report) decisionSentence() string {
	v := r.Decision
	if r.StrangerPairs == 0 {
		return "all pictures show one person, so it cannot be said how often strangers are taken for somebody, nor whether this is usable"
	}
	if v.At.Basis == evaluation.Unknown {
		return fmt.Sprintf("%s pairs of strangers are too few to say at which threshold %s, so it cannot be said whether this is usable",
			thousands(r.StrangerPairs), taken(v.MaxFPIR, v.Gallery))
	}
	if v.At.None {
		return fmt.Sprintf("at no threshold is it rare enough, %s, that a stranger is taken for somebody among %s: not usable at this size", oneIn(v.MaxFPIR), thousands(v.Gallery))
	}
	at := fmt.Sprintf("at %s (%s) %s", atLeastPercent(v.At.Percent), v.At.Basis, taken(v.MaxFPIR, v.Gallery))
	if v.At.Missed.Trials == 0 {
		return at + "; no person has two pictures, so it cannot be said how many searches miss, nor whether this is usable"
	}
	missed := fmt.Sprintf("%s, and %s of searches miss (measured, %s pairs)", at, percentage(v.At.Missed.rate()), countText(v.At.Missed))
	switch v.Outcome {
	case evaluation.Usable:
		return missed + ": usable at this size"
	case evaluation.Undecided:
		_, high := v.At.Missed.interval()
		return fmt.Sprintf("%s, but it may be up to %s: too few pictures to call it usable at this size", missed, percentage(high))
	}
	return missed + ": not usable at this size"
}

// next says what to do.
func (r *Report) next(v evaluation.Decision, reviewed Row, contradicted bool) (all []string) {
	if contradicted {
		all = append(all, "look at the closest strangers in the report: some pictures may be in the wrong folders, and one such picture is enough to make this decision wrong")
	}
	if r.MatedPairs < evaluation.FewestMated || v.Outcome == evaluation.Undecided {
		all = append(all, fmt.Sprintf("take more pictures of each person: %d pairs of one person can show that at most %s of searches miss, if none of them is missed; there are %s",
			evaluation.FewestMated, percentage(evaluation.MaxFNIR), thousands(r.MatedPairs)))
	}
	if v.Point.Basis == evaluation.Extrapolated || v.Point.Basis == evaluation.Unknown {
		pairs, people := v.StrangersToMeasure()
		all = append(all, fmt.Sprintf("take pictures of more people: %s pairs of strangers (%s people with a picture each) measure this threshold; there are %s",
			thousands(pairs), thousands(people), thousands(r.StrangerPairs)))
	}
	if v.Outcome != evaluation.NotUsable {
		return all
	}
	if v.Largest > 0 && v.Largest < v.Gallery {
		all = append(all, fmt.Sprintf("keep the gallery smaller: both errors stay within their bounds among up to %s people", thousands(v.Largest)))
	}
	if reviewed.Known() && reviewed.Missed.rate() < r.Decision.At.Missed.rate() {
		usable := "still too many"
		if v.UsableReviewed() {
			usable = "usable where a person checks every match"
		}
		all = append(all, fmt.Sprintf("choose a lower threshold: at %s %s, and %s of searches miss: %s",
			atLeastPercent(reviewed.Percent), taken(evaluation.MaxFPIRReviewed, v.Gallery), percentage(reviewed.Missed.rate()), usable))
	}
	return append(all, "take better pictures, or another model: evaluate it on the same pictures (--config)")
}
