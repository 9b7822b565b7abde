package evalreport

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"imago/core/evaluation"
)

// sample is a report with everything in it.
func sample() *Report {
	share := Share{Count: 2, Trials: 80}
	row := Row{Target: 1e-4, Basis: evaluation.Extrapolated, Cosine: 0.45765, Low: 0.38, High: 0.53, Percent: 71.35, Proposed: 80, Estimate: 1e-4, False: share, Missed: share}
	r := &Report{
		Version: "v1", Finished: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC), Folder: "cast", Detector: "yunet", Embedder: "mobilefacenet",
		People: 8, Pictures: 41, Evaluated: 40, NoFace: share, Unusable: share, Refused: share, NotEnrol: share,
		MatedPairs: 80, StrangerPairs: 700, RankOne: share, Present: row, Verification: []Row{row, {Target: 1e-6, Basis: evaluation.Unknown}},
		Gallery: 10_000, Identification: []Identification{{FPIR: 0.01, Row: row}, {FPIR: 0.001, Row: Row{Basis: evaluation.Extrapolated, None: true}}},
		SearchGallery: 39, Searches: []Row{row},
		Proposal: &Proposal{Midpoint: 0.41, Steepness: 20, Provisional: true, At80: row, Stanza: "calibration:\n  midpoint: 0.41\n"},
		Groups:   []Group{{Name: "a <b>&\x1b[31m", People: 4, Evaluated: 20, Lost: share, StrangerPairs: 90, RankOne: share, Present: row, Proposed: &row}},
		Warnings: []string{"mind the gap"}, Stages: []Stage{{Name: "decode", Milliseconds: 1.5}},
		Failures: []Failure{{Path: "x/<script>.png", Kind: "no face", Reason: "none"}},
		Closest:  []Pair{{A: "a/1.png", B: "b/1.png", Cosine: 0.27, Percent: 5}}, Farthest: []Pair{{A: "a/1.png", B: "a/2.png", Cosine: 0.35, Percent: 22}},
	}
	r.Present.Target = 0
	all := []rates{{cosine: -0.2, accepted: 1}, {cosine: 0.1, accepted: 0.1, missed: 0.001}, {cosine: 0.3, accepted: 0.001, missed: 0.05}, {cosine: 0.9, missed: 1}}
	r.curves = curves{
		bins:  []bin{{from: -0.2, to: 0.1, strangers: 1}, {from: 0.1, to: 0.9, mated: 1}},
		pairs: all, searches: all, expected: all, tail: all[2:3],
		groups: []groupRates{{r.Groups[0].Name, all}},
		marks:  []mark{{"80 % today", all[2]}, {"80 % as proposed", all[1]}},
	}
	return r
}

// count counts the pixels of a kind.
func count(img image.Image, is func(color.RGBA) bool) (n int) {
	rgba, b := img.(*image.RGBA), img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if is(rgba.RGBAAt(x, y)) {
				n++
			}
		}
	}
	return n
}

// The hues of mated pairs and of strangers.
func blue(c color.RGBA) bool   { return int(c.B) > int(c.R)+40 }
func orange(c color.RGBA) bool { return int(c.R) > int(c.B)+40 }

func drawn(t *testing.T, r *Report, c chart) image.Image {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.png(&b, c))
	img, err := png.Decode(&b)
	require.NoError(t, err)
	return img
}

// The colours of the data are on each chart, and only where there is data.
func TestChartsShowTheData(t *testing.T) {
	empty := sample()
	empty.curves = curves{}
	for _, c := range charts() {
		img := drawn(t, sample(), c)
		require.Equal(t, image.Pt(1152, 720), img.Bounds().Size(), c.name)
		require.Greater(t, count(img, blue), 1500, c.name)
		if c.name != "det" {
			require.Greater(t, count(img, orange), 1500, c.name)
		}
	}
	require.Less(t, count(drawn(t, empty, charts()[0]), blue), 1000, "the legend at most")
}

// Strangers stand to the left, mated pairs to the right, as high as there are.
func TestBarsStandWhereTheyBelong(t *testing.T) {
	img := drawn(t, sample(), charts()[0]).(*image.RGBA)
	legend := 150
	left, right := img.SubImage(image.Rect(0, legend, 340, 720)), img.SubImage(image.Rect(400, legend, 1152, 720))
	require.Zero(t, count(left, blue))
	require.Zero(t, count(right, orange))
	require.Greater(t, count(left, orange), 30_000)
	require.Greater(t, count(right, blue), 2*count(left, orange), "as high and more than twice as wide")
}

// What is scored higher is drawn further to the right, in equal steps.
func TestMarksStandWhereTheyBelong(t *testing.T) {
	r := sample()
	r.curves.marks = nil
	for _, cosine := range []float64{0.1, 0.4, 0.7} {
		r.curves.marks = append(r.curves.marks, mark{"mark", rates{cosine: cosine}})
	}
	img := drawn(t, r, charts()[2]).(*image.RGBA)
	ink := func(c color.RGBA) bool { return c.R < 0x60 && c.G < 0x60 && c.B < 0x60 }
	var at []int
	for x := 200; x < 1100; x++ { // right of the vertical axis
		dark := count(img.SubImage(image.Rect(x, 120, x+1, 400)), ink) > 100
		if dark && (len(at) == 0 || x > at[len(at)-1]+5) {
			at = append(at, x)
		}
	}
	require.Len(t, at, 3)
	require.InDelta(t, at[1]-at[0], at[2]-at[1], 3)
	require.Greater(t, at[1], at[0]+100)
}

func pageOf(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	return b.String()
}

// The page loads nothing, runs nothing, and shows names as they are.
func TestPageStandsAlone(t *testing.T) {
	html := pageOf(t, sample())
	require.NotContains(t, html, "http:")
	require.NotContains(t, html, "https:")
	require.NotContains(t, html, "<script")
	require.NotContains(t, html, "@import")
	require.NotContains(t, html, "ZgotmplZ", "what the template engine distrusts")
	for _, ref := range regexp.MustCompile(`(?:src|srcset|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		require.Truef(t, strings.HasPrefix(ref[1], "data:image/svg"), "%.60s", ref[1])
	}
	require.Equal(t, 6, strings.Count(html, "data:image/svg"), "three charts, light and dark")
	require.Contains(t, html, "a &lt;b&gt;&amp;")
	require.Contains(t, html, "x/&lt;script&gt;.png")
	for _, want := range []string{"0.45765", "2 of 80", "mind the gap", "midpoint: 0.41", "no threshold keeps this rate", "too few comparisons", "extrapolated, 0.3800 – 0.5300"} {
		require.Contains(t, html, want)
	}
}

func TestPageWithoutProposal(t *testing.T) {
	r := sample()
	r.Present.Basis, r.Present.Estimate = evaluation.Unknown, 0
	r.Proposal, r.NoProposal, r.Groups, r.Warnings, r.Failures = nil, "no calibration can be proposed: too few", nil, nil, nil
	html := pageOf(t, r)
	require.Contains(t, html, "no calibration can be proposed: too few.")
	require.NotContains(t, html, "as proposed</th>")
	require.NotContains(t, html, "<h2>Groups")
	text := r.Text()
	require.Contains(t, text, "\nno calibration can be proposed: too few\n")
	require.Contains(t, text, "80 % today  0.45765  71.35 %     FMR unknown: too few comparisons  2.5 %", "it is a threshold nevertheless")
}

func TestText(t *testing.T) {
	text := sample().Text()
	require.NotContains(t, text, "\x1b", "names cannot steer the terminal")
	require.Contains(t, text, "rank-1 2 of 80: 2.5 % (0.688 – 8.66 %)\n")
	require.Contains(t, text, "0.01 %      0.45765  71.35 %     extrapolated, 0.3800 – 0.5300  2.5 % (0.688 – 8.66 %)\n")
	require.Contains(t, text, "Proposed calibration, provisional\ncalibration:\n")
	require.Contains(t, text, "\nwarning: mind the gap\n")
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sample().JSON(&b))
	var got struct {
		People       int
		Verification []struct {
			Target, Cosine  float64
			FalseNonMatches struct{ Count, Trials int }
		}
		Identification []struct{ FPIR, Cosine float64 }
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	require.Equal(t, 8, got.People)
	require.Equal(t, 0.45765, got.Verification[0].Cosine)
	require.Equal(t, 80, got.Verification[0].FalseNonMatches.Trials)
	require.Equal(t, 0.01, got.Identification[0].FPIR)
	require.Equal(t, 0.45765, got.Identification[0].Cosine)
}

// What is drawn and the legend never share a place: neither the points of a curve, nor
// anything else in the area of the data.
func TestLegendLiesBesideTheData(t *testing.T) {
	crowded := sample()
	for range 8 {
		crowded.curves.groups = append(crowded.curves.groups, crowded.curves.groups[0])
	}
	measured, _, _, _ := reportOf(t, 40, 3)
	for name, r := range map[string]*Report{"sample": sample(), "many groups": crowded, "measured": measured} {
		for _, c := range charts() {
			canvas := draw.New(vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(chartDPI)))
			d := c.draw(r, light())
			graph, columns := d.layout(canvas)
			data := d.DataCanvas(graph)
			x, y := d.Transforms(&data)
			require.Greater(t, data.Size().Y, chartHeight/3, "%s, %s: the data have room", name, c.name)
			for i, column := range columns {
				legend := d.legend[i].Rectangle(column)
				require.LessOrEqual(t, legend.Max.Y, data.Min.Y, "%s, %s", name, c.name)
				require.LessOrEqual(t, legend.Size().X, column.Size().X, "%s, %s: the text has room", name, c.name)
				require.GreaterOrEqual(t, legend.Min.Y+0.01, canvas.Min.Y, "%s, %s", name, c.name)
				for _, at := range slices.Concat(detPoints(r.curves.pairs), detPoints(r.curves.tail), detPoints(r.curves.searches), detPoints(r.curves.expected)) {
					inside := x(at.X) >= legend.Min.X && x(at.X) <= legend.Max.X && y(at.Y) >= legend.Min.Y && y(at.Y) <= legend.Max.Y
					require.False(t, c.name == "det" && at.X >= d.X.Min && at.Y >= d.Y.Min && inside, "%s: a point of a curve lies in the legend: %v", name, at)
				}
			}
		}
	}
}
