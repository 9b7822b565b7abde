package evalreport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/evaluation"
)

// templatesOf returns templates of so many people with so many pictures each, in
// random directions.
func templatesOf(people, pictures int) (all []evaluation.Template, folder evaluation.Folder) {
	random := rand.New(rand.NewPCG(1, 2))
	for p := range people {
		for i := range pictures {
			v, sum := make([]float32, 64), 0.0
			for j := range v {
				x := random.NormFloat64()
				v[j], sum = float32(x), sum+x*x
			}
			for j := range v {
				v[j] /= float32(math.Sqrt(sum))
			}
			t := evaluation.Template{Picture: evaluation.Picture{Person: fmt.Sprint(p), Path: fmt.Sprint(p, "/", i)}, Vector: v}
			all, folder.Pictures = append(all, t), append(folder.Pictures, t.Picture)
		}
	}
	return all, folder
}

// reportOf is the report on such templates, and what of it is written.
func reportOf(t *testing.T, people, pictures int) (r *Report, text, page string, fields map[string]any) {
	t.Helper()
	templates, folder := templatesOf(people, pictures)
	compared, err := evaluation.Compare(t.Context(), templates, 1, nil)
	require.NoError(t, err)
	manifest := config.Manifest{Name: "drawn", Calibration: &config.Calibration{Midpoint: 0.41, Steepness: 21}}
	r, err = New(Run{
		Embedder: manifest, Name: "people", Folder: folder, Compared: compared, Finished: time.Now(),
		Gallery: 1000, FMR: []float64{0.1, 1e-4}, FPIR: []float64{0.1},
	})
	require.NoError(t, err)
	var asPage, asJSON bytes.Buffer
	require.NoError(t, r.HTML(&asPage))
	require.NoError(t, r.JSON(&asJSON))
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &fields))
	return r, r.Text(), asPage.String(), fields
}

// People with a picture each tell the false match rates and a calibration, and
// nowhere is it said that nobody is missed.
func TestReportOnStrangersAlone(t *testing.T) {
	r, text, page, fields := reportOf(t, 30, 1)
	require.Equal(t, evaluation.Measured, r.Verification[0].Basis)
	require.NotNil(t, r.Proposal, r.NoProposal)
	require.InDelta(t, 80, r.Proposal.At80.Proposed, 0.01)
	require.Contains(t, r.Proposal.Stanza, "435 pairs of strangers")
	require.Contains(t, r.Warnings[0], "no person has two pictures")
	require.Contains(t, text, "\nwarning: no person has two pictures")
	require.NotContains(t, text, "rank-1 0 of 0")
	require.Regexp(t, `10 %\s+0\.\d+\s+[\d.]+ %\s+measured\s+–`, text)
	require.Contains(t, page, "no person has two pictures")
	require.Contains(t, page, "rank-1, cannot be told")
	require.Contains(t, page, `<b>–</b><span>missed (FNMR)`)
	require.NotContains(t, page, "0 of 0")
	require.NotContains(t, page, "farthest pictures of one person")
	require.Nil(t, fields["rankOne"].(map[string]any)["rate"])
	require.Nil(t, fields["presentDefault"].(map[string]any)["falseNonMatches"].(map[string]any)["rate"])
	require.NotNil(t, fields["verification"].([]any)[0].(map[string]any)["falseMatches"].(map[string]any)["rate"])
	for _, f := range r.Files() {
		require.Equal(t, f.Name != "det.png", f.Write != nil, f.Name)
	}
}

// One person tells how often that one is missed, and nothing of strangers: no
// rank, no rate, no threshold for one.
func TestReportOnOnePerson(t *testing.T) {
	r, text, page, fields := reportOf(t, 1, 5)
	require.Nil(t, r.Proposal)
	require.Equal(t, Share{Count: 10, Trials: 10}, r.Present.Missed)
	require.Contains(t, text, "100 % (70 – 100 %)")
	require.Zero(t, r.RankOne.Trials, "nobody else could have come first")
	require.Contains(t, r.Warnings[0], "all pictures show one person")
	require.Contains(t, text, "\nwarning: all pictures show one person")
	require.Contains(t, text, "FMR unknown: too few comparisons")
	require.NotContains(t, page, "0 of 0")
	require.NotContains(t, page, "closest strangers")
	require.NotContains(t, fields["presentDefault"], "estimate")
	require.Nil(t, fields["presentDefault"].(map[string]any)["falseMatches"].(map[string]any)["rate"])
	require.NotNil(t, fields["presentDefault"].(map[string]any)["falseNonMatches"].(map[string]any)["rate"])
}

func TestNotes(t *testing.T) {
	require.Empty(t, Notes(80, 700))
	require.Len(t, Notes(80, 0), 1, "that there is nobody else is told once")
	require.Len(t, Notes(0, 700), 1)
	require.Equal(t, []string{"28 pairs of strangers are too few for a calibration: it takes 300 to guess one and 300000 to measure it"}, Notes(1, 28))
}
