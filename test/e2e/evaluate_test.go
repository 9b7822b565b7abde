package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

func evaluate(t testing.TB, dir string, args ...string) result {
	t.Helper()
	return finish(t, command(t, "", pipelineEnvironment(t), append([]string{"evaluate", dir}, args...)...))
}

// evaluated is what the tests need of evaluation.json.
type evaluated struct {
	People, Pictures, Evaluated, MatedPairs, StrangerPairs, Gallery int

	RankOne, FailureToDetect, Unusable, RefusedByQuality, FailureToEnrol struct{ Count, Trials int }
	PresentDefault                                                       row
	Verification, Searches                                               []row
	Identification                                                       []struct {
		FPIR float64
		row
	}
	Proposal *struct {
		Midpoint, Steepness float64
		Provisional         bool
		Stanza              string
	}
	NoProposal string
	Decision   struct{ Outcome, Sentence string }
	Warnings   []string
	Groups     []struct {
		Name              string
		People, Evaluated int
	}
	Stages []struct {
		Name         string
		Milliseconds float64
	}
	Failures []struct{ Path, Kind, Reason string }
}

type row struct {
	Target, Cosine, Percent, ProposedPercent float64
	Basis                                    string
	FalseMatches, FalseNonMatches            struct{ Count, Trials int }
}

func parse(t testing.TB, content string) (e evaluated) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(content), &e))
	return e
}

// Forty stills of eight people: 80 pairs of one person, 700 of strangers, and
// everybody is found.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "new", "results")
	r := evaluate(t, castFolder(t, 1, 2, 3, 4, 5), "--out", out, "--format", "json", "--fmr", "0.1,0.0001", "--gallery", "500", "--fpir", "0.05")
	require.Zero(t, r.code, r.err)
	e := parse(t, r.out)
	require.Equal(t, []int{8, 40, 40, 80, 700, 500}, []int{e.People, e.Pictures, e.Evaluated, e.MatedPairs, e.StrangerPairs, e.Gallery})
	require.Equal(t, 40, e.RankOne.Count)
	require.Equal(t, 40, e.RankOne.Trials)
	require.LessOrEqual(t, e.FailureToEnrol.Count, 1, "%v", e.Failures)
	require.InDelta(t, 0.45, e.PresentDefault.Cosine, 1e-4)
	require.Zero(t, e.PresentDefault.FalseMatches.Count, "no stranger reaches 80 %")
	require.LessOrEqual(t, e.PresentDefault.FalseNonMatches.Count, 10, "of 80")

	require.Equal(t, "measured", e.Verification[0].Basis)
	require.Equal(t, 700, e.Verification[0].FalseMatches.Trials)
	require.LessOrEqual(t, e.Verification[0].FalseMatches.Count, 70)
	require.Equal(t, "extrapolated", e.Verification[1].Basis)
	require.InDelta(t, 80, e.Verification[1].ProposedPercent, 0.01, "1 in 10,000 is what 80 % stands for")
	require.InDelta(t, 0.45, e.Verification[1].Cosine, 0.08, "near to where 58,725,652 pairs put it")
	require.Greater(t, e.Identification[0].Cosine, e.Verification[1].Cosine-0.01, "5 % among 500 is 1 in 10,000")
	require.Equal(t, "few", e.Searches[0].Basis)
	require.Len(t, e.Stages, 5)
	for _, s := range e.Stages {
		require.Positive(t, s.Milliseconds, s.Name)
	}
	require.Regexp(t, `^at [\d.]+ % \(extrapolated\) 1 in 100 strangers is taken for somebody among 500, and [\d.]+ % of searches miss \(measured, \d+ of 80 pairs\)`, e.Decision.Sentence)
	require.NotEqual(t, "cannot_tell", e.Decision.Outcome)
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), e.Decision.Sentence)
	requireReport(t, out)
	requireStanza(t, filepath.Join(out, "calibration.yaml"), e.Proposal.Midpoint, e.Proposal.Steepness)
}

// requireReport checks the files for people.
func requireReport(t testing.TB, out string) {
	t.Helper()
	for _, name := range []string{"scores.png", "det.png", "rates.png"} {
		content, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		require.Less(t, len(content), 150_000)
		img, err := png.Decode(bytes.NewReader(content))
		require.NoError(t, err)
		require.Greater(t, colours(img), 50, "%s is not blank", name)
	}
	html, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.NotContains(t, string(html), "http")
	require.Contains(t, string(html), "Choose a threshold")
	for _, name := range []string{"report.html", "evaluation.json", "calibration.yaml"} {
		info, err := os.Stat(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), "names of pictures are in it")
	}
}

// colours counts the different colours of a picture.
func colours(img image.Image) int {
	seen := map[[3]uint32]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}

// requireStanza puts a stanza into the manifest of the model in place of its own
// calibration and loads that.
func requireStanza(t testing.TB, path string, midpoint, steepness float64) {
	t.Helper()
	stanza, err := os.ReadFile(path)
	require.NoError(t, err)
	shipped, err := fs.ReadFile(config.BuiltinModels, "opencv-sface.yaml")
	require.NoError(t, err)
	rest, _, found := strings.Cut(string(shipped), "\ncalibration:\n")
	require.True(t, found)
	m, err := config.LoadManifest(fstest.MapFS{"opencv-sface.yaml": {Data: []byte(rest + "\n" + string(stanza))}}, "opencv-sface")
	require.NoError(t, err)
	require.Equal(t, midpoint, m.Calibration.Midpoint)
	require.Equal(t, steepness, m.Calibration.Steepness)
	require.True(t, m.Calibration.Provisional)
	require.Contains(t, m.Calibration.Basis, "700 pairs of strangers")
	require.Len(t, m.Calibration.FMR, 2)
	require.Equal(t, 1e-4, m.Calibration.FMR[1].Rate)
}

// What cannot be used is listed with its reason and in no figure but its own.
// What the quality gate refuses is evaluated. Groups are found by themselves.
func TestEvaluateListsFailures(t *testing.T) {
	t.Parallel()
	cast, dir, out := castFolder(t, 1, 2, 3), t.TempDir(), t.TempDir()
	for i, name := range castNames {
		group := filepath.Join(dir, []string{"east", "west"}[i%2])
		require.NoError(t, os.MkdirAll(group, 0o700))
		require.NoError(t, os.Rename(filepath.Join(cast, name), filepath.Join(group, name)))
	}
	picture(t, filepath.Join(dir, "east", "amy", "landscape.jpg"), "017_0.jpg")
	picture(t, filepath.Join(dir, "east", "amy", "truncated.jpg"), "bad", "truncated.jpg")
	picture(t, filepath.Join(dir, "west", "raj", "pair.jpg"), "010_2.jpg")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	// An earlier proposal must not pass for this run's.
	stale := filepath.Join(out, "calibration.yaml")
	require.NoError(t, os.WriteFile(stale, []byte("stale"), 0o600))

	r := evaluate(t, dir, "--out", out)
	require.Equal(t, 3, r.code, r.err)
	require.Contains(t, r.err, `no face: "east/amy/landscape.jpg": no face detected in the provided image`)
	require.Contains(t, r.err, "3 files were not evaluated")
	require.Contains(t, r.out, "people 8, pictures 27: 25 evaluated, 1 without a face, 1 unusable; the quality gate refuses 1\n")
	require.NotContains(t, r.out, out, "the summary is about the pictures")

	content, err := os.ReadFile(filepath.Join(out, "evaluation.json"))
	require.NoError(t, err)
	e := parse(t, string(content))
	var kinds []string
	for _, f := range e.Failures {
		kinds = append(kinds, f.Kind+" "+f.Path)
	}
	require.Equal(t, []string{"no face east/amy/landscape.jpg", "unusable east/amy/truncated.jpg", "refused west/raj/pair.jpg", "passed over notes.txt"}, kinds)
	require.Equal(t, []int{1, 27, 1, 25, 3}, []int{e.FailureToDetect.Count, e.FailureToDetect.Trials, e.RefusedByQuality.Count, e.RefusedByQuality.Trials, e.FailureToEnrol.Count})
	require.Equal(t, "east", e.Groups[0].Name)
	require.Equal(t, []int{2, 4, 12, 4, 13}, []int{len(e.Groups), e.Groups[0].People, e.Groups[0].Evaluated, e.Groups[1].People, e.Groups[1].Evaluated})
	require.Nil(t, e.Proposal, "%d pairs of strangers carry no tail", e.StrangerPairs)
	require.Contains(t, e.NoProposal, "too few")
	require.NoFileExists(t, stale)
}

// People with a picture each tell how often strangers match, and one person how
// often that one is missed; what they cannot tell is said, before anything is
// done.
func TestEvaluateSaysWhatItCannotTell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dir           string
		says          []string
		mated, others int
	}{
		"strangers": {folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg", "biden/1.jpg": "biden.jpg"}),
			[]string{"no person has two pictures", "1 pairs of strangers are too few for a calibration"}, 0, 1},
		"one person": {folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg", "obama/2.jpg": "obama2.jpg", "obama/3.jpg": "obama3.jpg"}),
			[]string{"all pictures show one person"}, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			none := t.TempDir()
			early := finish(t, command(t, "", []string{"IMAGO_MODELS_DIR=" + none}, "evaluate", c.dir, "--out", filepath.Join(none, "out")))
			require.Equal(t, 1, early.code)
			for _, s := range c.says {
				require.Contains(t, early.err, "note: "+s, "it is said before a model is looked for")
			}

			out := t.TempDir()
			stale := filepath.Join(out, "det.png")
			require.NoError(t, os.WriteFile(stale, []byte("stale"), 0o600))
			r := evaluate(t, c.dir, "--out", out, "--format", "json")
			require.Zero(t, r.code, r.err)
			e := parse(t, r.out)
			require.Equal(t, []int{c.mated, c.others, 0}, []int{e.MatedPairs, e.StrangerPairs, e.RankOne.Trials})
			require.Equal(t, c.others, e.PresentDefault.FalseMatches.Trials)
			require.Equal(t, c.mated, e.PresentDefault.FalseNonMatches.Trials)
			require.Nil(t, e.Proposal)
			require.Contains(t, strings.Join(e.Warnings, "\n"), c.says[0])
			require.NoFileExists(t, stale)
			html, err := os.ReadFile(filepath.Join(out, "report.html"))
			require.NoError(t, err)
			require.Contains(t, string(html), c.says[0])
			require.NotContains(t, string(html), "0 of 0")
		})
	}
}

func TestEvaluateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir, one, faceless := t.TempDir(), folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg"}), folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg"})
	require.NoError(t, os.WriteFile(filepath.Join(faceless, "obama", "2.jpg"), fixture.Truncated(t), 0o600))
	for i := range 8 {
		person := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(person, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(person, "1.jpg"), portrait(t), 0o600))
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{filepath.Join(dir, "none")}, 2, "none"},
		{nil, 2, "arg"},
		{[]string{t.TempDir()}, 2, "DIR/person/picture"},
		{[]string{dir, "--out", filepath.Join(dir, "evaluation")}, 2, "lies in the folder of the pictures"},
		{[]string{dir, "--fmr", "0"}, 2, "not between 0 and 1"},
		{[]string{dir, "--fpir", "NaN"}, 2, "not between 0 and 1"},
		{[]string{dir, "--gallery", "0"}, 2, "--gallery"},
		{[]string{dir, "--format", "xml"}, 2, "one of text, json"},
		{[]string{dir, "--groups", "maybe"}, 2, "one of auto, yes, no"},
		{[]string{one}, 2, "has one picture: pictures are compared, so at least two are needed"},
		{[]string{faceless}, 1, "1 of 2 pictures have a face: pictures are compared, so at least two are needed"},
	} {
		r := finish(t, command(t, "", pipelineEnvironment(t), append([]string{"evaluate"}, c.args...)...))
		require.Equal(t, c.code, r.code, "%v: %s", c.args, r.err)
		require.Contains(t, r.err, c.says)
		require.Empty(t, r.out)
	}
}
