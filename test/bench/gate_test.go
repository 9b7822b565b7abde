package bench

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/alignment"
	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// stillWidth is how wide the face is in a still of 150 pixels.
const stillWidth = 125

// A specimen is a picture of one person, at most as large as a still.
type specimen struct {
	name, person string
	img          *ports.Image
	width        float64 // of the face
}

// asStill reads a picture; one with more pixels in the face than a still is reduced.
func asStill(tb testing.TB, p *pipeline.Pipeline, name, person string, picture []byte) specimen {
	tb.Helper()
	found, err := p.Extractor().Detect(tb.Context(), picture, quality.Gate{})
	require.NoError(tb, err)
	require.NotEmpty(tb, found.Faces, name)
	img, err := p.Decoder.Decode(tb.Context(), picture, 640)
	require.NoError(tb, err)
	width := found.Faces[0].Box.Width() / img.Reduction()
	if width > stillWidth {
		img, width = resized(img, stillWidth/width), stillWidth
	}
	return specimen{name, person, img, width}
}

// portraitStills returns those that show a whole face.
func portraitStills(tb testing.TB, p *pipeline.Pipeline) (all []specimen) {
	tb.Helper()
	for _, name := range []string{"obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"} {
		all = append(all, asStill(tb, p, name, personIn(name), fixture.ReadPortrait(tb, name)))
	}
	return all
}

// labelled returns the pictures with one person whose name is known, and the portraits.
func labelled(tb testing.TB, p *pipeline.Pipeline) (all []specimen) {
	tb.Helper()
	for _, pattern := range []string{"cast/*.png", "*_[ABC].jpg"} {
		names, err := fs.Glob(os.DirFS(fixture.Faces(tb)), pattern)
		require.NoError(tb, err)
		for _, name := range names {
			all = append(all, asStill(tb, p, name, personIn(name), fixture.Read(tb, name)))
		}
	}
	return append(all, portraitStills(tb, p)...)
}

// inGroups returns each face of the pictures of groups, in a picture of its own.
func inGroups(tb testing.TB, p *pipeline.Pipeline) (all []specimen) {
	tb.Helper()
	for _, name := range []string{"cast/group1.jpg", "cast/group3.jpg", "000_5.jpg", "010_2.jpg", "012_4.jpg", "014_5.jpg", "016_8.jpg"} {
		picture := fixture.Read(tb, name)
		found, err := p.Extractor().Detect(tb.Context(), picture, quality.Gate{})
		require.NoError(tb, err)
		whole, err := p.Decoder.Decode(tb.Context(), picture, 0)
		require.NoError(tb, err)
		for i, face := range found.Faces {
			b := face.Box
			cut := ports.NewImage(int(2*b.Width()), int(2*b.Height()))
			new(alignment.Sampler).Crop(cut, whole, alignment.Transform{A: 1, TX: b.Width()/2 - b.X0, TY: b.Height()/2 - b.Y0})
			all = append(all, specimen{name: fmt.Sprintf("%s, face %d", name, i), img: cut, width: b.Width()})
		}
	}
	return all
}

// wholeGate is the gate of the settings.
func wholeGate(p *pipeline.Pipeline) quality.Gate {
	gate := gateOf(p)
	gate.MaxYaw, gate.MaxPitch = p.Config.Quality.MaxYaw, p.Config.Quality.MaxPitch
	return gate
}

// What is blurred by 4 % of the width of the face, 5 pixels in a still of 150, is
// refused at every size, with noise over it and after it was made larger or smaller; the
// pictures as they are are not.
func TestMushIsRefused(t *testing.T) {
	t.Parallel()
	forModelPairs(t, func(t *testing.T, p *pipeline.Pipeline) {
		x, gate := p.Extractor(), wholeGate(p)
		reasons := func(img *ports.Image) []string {
			found, err := x.Detect(t.Context(), asPNG(t, img), gate)
			require.NoError(t, err)
			return found.Reasons
		}
		for _, one := range portraitStills(t, p) {
			require.Empty(t, reasons(one.img), one.name)
			for _, width := range []float64{50, 80, stillWidth} {
				img := resized(one.img, width/one.width)
				require.Empty(t, reasons(img), "%s, %v pixels", one.name, width)
				require.Empty(t, reasons(noisy(img, 10)), "%s, %v pixels, noise", one.name, width)
				for _, part := range []float64{0.04, 0.05, 0.06} {
					mush := blurredBy(part)(img, width)
					require.NotEmpty(t, reasons(mush), "%s, %v pixels, blur %v", one.name, width, part)
					require.NotEmpty(t, reasons(noisy(mush, 5)), "%s, %v pixels, blur %v, noise", one.name, width, part)
					require.NotEmpty(t, reasons(resized(mush, 2)), "%s, %v pixels, blur %v, enlarged", one.name, width, part)
				}
			}
		}
	})
}

// keptChip keeps the last chip.
type keptChip struct {
	ports.Embedder
	chip ports.Chip
}

func (k *keptChip) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	k.chip = *chips[0]
	return k.Embedder.Embed(ctx, chips)
}

// A taken template is that of one copy of a picture, with what the gate looks at.
type taken struct {
	specimen
	copy     int
	sample   quality.Sample
	template []float32
}

func take(b *testing.B, p *pipeline.Pipeline, kept *keptChip, one specimen, copy int, img *ports.Image) (taken, bool) {
	b.Helper()
	x, picture := p.Extractor(), asPNG(b, img)
	found, err := x.Detect(b.Context(), picture, quality.Gate{MinUprightMargin: wholeGate(p).MinUprightMargin})
	require.NoError(b, err)
	if len(found.Faces) == 0 {
		return taken{}, false
	}
	template, err := x.Probe(b.Context(), picture)
	require.NoError(b, err)
	chip := kept.chip
	margin := 1.0
	if slices.Contains(found.Reasons, quality.ReasonUpright) {
		margin = 0
	}
	return taken{one, copy, quality.Sample{
		Face: found.Faces[0], Others: found.Faces[1:], Reduction: 1, Chip: &chip, Turn: found.Turn, UprightMargin: margin,
	}, template}, true
}

// checks are those of the gate, each with what switches it off.
var checks = []struct {
	setting string
	off     func(*quality.Gate)
}{
	{"min_sharpness", func(g *quality.Gate) { g.MinSharpness = 0 }},
	{"min_score", func(g *quality.Gate) { g.MinScore = 0 }},
	{"min_face_width", func(g *quality.Gate) { g.MinFaceWidth = 0 }},
	{"min_brightness", func(g *quality.Gate) { g.MinBrightness = 0 }},
	{"max_brightness", func(g *quality.Gate) { g.MaxBrightness = 0 }},
	{"min_contrast", func(g *quality.Gate) { g.MinContrast = 0 }},
	{"max_yaw", func(g *quality.Gate) { g.MaxYaw = 0 }},
	{"max_pitch", func(g *quality.Gate) { g.MaxPitch = 0 }},
	{"max_roll", func(g *quality.Gate) { g.MaxRoll = 0 }},
	{"min_upright_margin", func(g *quality.Gate) { g.MinUprightMargin = 0 }},
	{"min_proportion, max_proportion", func(g *quality.Gate) { g.MinProportion, g.MaxProportion = 0, 0 }},
	{"second_face_ratio", func(g *quality.Gate) { g.SecondFaceRatio = 0 }},
}

// BenchmarkGate tells what each check of the quality gate refuses, and what comes of it
// when it is off: how often a template still matches other pictures of its person at
// 80 %, and how high strangers score against it, in pictures as they are and in copies of
// the same kind. The people are in two halves, to show how far the figures depend on them.
func BenchmarkGate(b *testing.B) {
	for _, pair := range pipeline.Pairs(b) {
		b.Run(pair.Detector+"+"+pair.Embedder, func(b *testing.B) {
			p := pipeline.With(b, pair)
			kept := &keptChip{Embedder: p.Embedder}
			p.Embedder = kept
			for b.Loop() {
				measureGate(b, p, kept)
			}
		})
	}
}

func measureGate(b *testing.B, p *pipeline.Pipeline, kept *keptChip) {
	b.Helper()
	gate, curve := wholeGate(p), p.Curve
	copies := degradations(b, p)
	var all []taken
	good := labelled(b, p)
	for _, one := range good {
		for i, c := range copies {
			if got, found := take(b, p, kept, one, i, c.copy(one.img, one.width)); found {
				all = append(all, got)
			}
		}
	}
	var groups []taken
	for _, one := range inGroups(b, p) {
		if got, found := take(b, p, kept, one, 0, one.img); found {
			groups = append(groups, got)
		}
	}
	threshold := curve.Cosine(80)
	half := halves(good)
	// own and strangers are what the templates score against pictures of others.
	scores := func(templates []taken) (own, strangers []float64) {
		for _, t := range templates {
			for _, probe := range all {
				if probe.name == t.name || probe.copy != 0 && probe.copy != t.copy {
					continue
				}
				score := cosine(t.template, probe.template)
				switch {
				case probe.person != t.person:
					strangers = append(strangers, score)
				case probe.copy == 0:
					own = append(own, score)
				}
			}
		}
		return own, strangers
	}
	line := func(name string, templates []taken) {
		own, strangers := scores(templates)
		slices.Sort(strangers)
		tail := "-"
		if n := len(strangers); n > 0 {
			tail = fmt.Sprintf("%.1f %% and %.1f %%", curve.Percent(strangers[n*999/1000]), curve.Percent(strangers[n-1]))
		}
		b.Logf("| %s | %d | %.0f %% | %s | %.1f |", name, len(templates), 100*share(own, threshold), tail, 1e5*share(strangers, threshold))
	}
	passing := func(g quality.Gate, from []taken) (passed []taken) {
		for _, t := range from {
			if len(g.Reasons(t.sample)) == 0 {
				passed = append(passed, t)
			}
		}
		return passed
	}
	for h, name := range []string{"first half", "second half"} {
		var of []taken
		for _, t := range all {
			if half[t.person] == h {
				of = append(of, t)
			}
		}
		b.Logf("%s", name)
		b.Logf("| copies | templates | match their person at 80 %% | strangers' 99.9 %% quantile and maximum | at 80 %% of 100,000 |")
		line("all", of)
		passed := passing(gate, of)
		line("that pass", passed)
		for _, c := range checks {
			without := gate
			c.off(&without)
			var more []taken
			for _, t := range passing(without, of) {
				if len(gate.Reasons(t.sample)) > 0 {
					more = append(more, t)
				}
			}
			line("more without "+c.setting, more)
		}
		b.Logf("| copy | faces found | refused | match their person at 80 %% | those refused | refused as blurred |")
		for i, c := range copies {
			var made, refused []taken
			blurred := 0
			for _, t := range of {
				if t.copy != i {
					continue
				}
				made = append(made, t)
				if reasons := gate.Reasons(t.sample); len(reasons) > 0 {
					refused = append(refused, t)
					if slices.Contains(reasons, quality.ReasonBlurred) {
						blurred++
					}
				}
			}
			own, _ := scores(made)
			lost, _ := scores(refused)
			b.Logf("| %s | %d | %d | %.0f %% | %.0f %% | %d |", c.name, len(made), len(refused), 100*share(own, threshold), 100*share(lost, threshold), blurred)
		}
	}
	for _, set := range []struct {
		name string
		of   []taken
	}{{"labelled pictures and portraits", all}, {"faces in groups", groups}} {
		total, reasons := 0, map[string][]string{}
		for _, t := range set.of {
			if t.copy == 0 {
				total++
				for _, reason := range gate.Reasons(t.sample) {
					reasons[reason] = append(reasons[reason], t.name)
				}
			}
		}
		b.Logf("%s as they are: %d", set.name, total)
		for _, reason := range slices.Sorted(maps.Keys(reasons)) {
			b.Logf("%s: %d (%s)", reason, len(reasons[reason]), strings.Join(reasons[reason], "; "))
		}
	}
}

// halves puts every other person in the second half.
func halves(all []specimen) map[string]int {
	half := map[string]int{}
	for _, one := range all {
		half[one.person] = 0
	}
	for i, person := range slices.Sorted(maps.Keys(half)) {
		half[person] = i % 2
	}
	return half
}

func share(scores []float64, threshold float64) float64 {
	reached := 0
	for _, s := range scores {
		if s >= threshold {
			reached++
		}
	}
	return float64(reached) / float64(max(1, len(scores)))
}
