package evalreport

import (
	"html"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
)

// Text, page and JSON begin with one sentence that decides, or says why it cannot.
func TestDecisionComesFirst(t *testing.T) {
	for _, tt := range []struct {
		people, pictures int
		outcome          evaluation.Outcome
		sentence, next   string
	}{
		{40, 3, evaluation.NotUsable, `^at [\d.]+ % \(extrapolated\) 1 in 100 strangers is taken for somebody among 1,000, and [\d.]+ % of searches miss \(measured, \d+ of 120 pairs\): not usable at this size$`, "people with a picture each) measure this threshold"},
		{40, 1, evaluation.CannotTell, `^at [\d.]+ % \(extrapolated\) 1 in 100 strangers is taken .* no person has two pictures, so it cannot be said how many searches miss, nor whether this is usable$`, "take more pictures of each person: 60 pairs"},
		{1, 5, evaluation.CannotTell, `^all pictures show one person, so it cannot be said`, "take pictures of more people"},
		{5, 2, evaluation.CannotTell, `^40 pairs of strangers are too few to say at which threshold 1 in 100 strangers is taken for somebody among 1,000`, "take pictures of more people"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			r, text, page, fields := reportOf(t, tt.people, tt.pictures)
			require.Equal(t, tt.outcome, r.Decision.Outcome)
			first, rest, _ := strings.Cut(text, "\n")
			require.Regexp(t, tt.sentence, first)
			require.Contains(t, rest, "next: ")
			require.Contains(t, strings.Join(r.Decision.Next, "\n"), tt.next)
			shown := html.UnescapeString(page)
			require.Contains(t, shown, first)
			require.Less(t, strings.Index(shown, first), strings.Index(shown, `<ul class="tiles">`))
			require.Equal(t, first, fields["decision"].(map[string]any)["sentence"])
			require.Equal(t, string(tt.outcome), fields["decision"].(map[string]any)["outcome"])
		})
	}
}

// A percentage is written upwards: at the one that is written the rate is kept.
func TestPercentOfADecision(t *testing.T) {
	require.Equal(t, "98.7 %", atLeastPercent(98.7))
	require.Equal(t, "98.71 %", atLeastPercent(98.7001))
	require.Equal(t, "100 %", atLeastPercent(99.9995))
}
