package evalreport

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"imago/core/calibration"
)

// listedGroups and listedFaces bound what is shown of a user's faces; JSON has all.
const (
	listedGroups = 6
	listedFaces  = 6
)

// Text returns the report for a terminal.
func (d *Duplicates) Text() string {
	var b strings.Builder
	for i, l := range d.Collections {
		if i > 0 {
			b.WriteByte('\n')
		}
		l.text(&b)
	}
	return b.String()
}

// fineSimilarity writes a percentage of the API, with more digits where two would make 100 of it.
func fineSimilarity(p float64) string {
	if p < 99.9 {
		return similarity(p)
	}
	return strconv.FormatFloat(p, 'f', 4, 64) + " %"
}

// title names what was looked at.
func (l Looked) title() string {
	if l.Against != "" {
		return l.Collection + " against " + l.Against
	}
	return l.Collection
}

func (l Looked) text(b *strings.Builder) {
	if l.Comparisons == 0 && l.Size.Several == 0 {
		fmt.Fprintf(b, "%s: nothing to compare, users %s, faces %s\n", l.title(), thousands(l.Size.Users), thousands(l.Size.Faces))
		return
	}
	fmt.Fprintf(b, "%s: users %s, faces %s", l.Collection, thousands(l.Size.Users), thousands(l.Size.Faces))
	if l.Other != nil {
		fmt.Fprintf(b, "; against %s: users %s, faces %s", l.Against, thousands(l.Other.Users), thousands(l.Other.Faces))
	}
	fmt.Fprintf(b, "; %s pairs of faces compared\n", thousands(int(l.Comparisons)))
	l.pairsText(b)
	l.mixedText(b)
	l.hubsText(b)
	for _, n := range l.Notes {
		fmt.Fprintln(b, "note:", n)
	}
}

func (l Looked) pairsText(b *strings.Builder) {
	p := l.Pairs
	fmt.Fprintf(b, "\nPairs who look like one person, from %s on: %s; chance gives %s\n", fineSimilarity(p.Similarity), thousands(p.Found), chanceText(p.Chance))
	if p.ByHubs > 0 {
		fmt.Fprintf(b, "%s more through a hub, not counted\n", thousands(p.ByHubs))
	}
	if len(p.List) == 0 {
		return
	}
	t := newTable(b, "", "similarity\tcosine\tuser\tface\tuser\tface\tchance, as similar")
	for _, one := range p.List {
		fmt.Fprintf(t, "%s\t%s\t%+q\t%+q\t%+q\t%+q\t%s\n", fineSimilarity(one.Similarity), cosine(one.Cosine), one.A.UserID, one.A.FaceID, one.B.UserID, one.B.FaceID, briefChance(one.Chance))
	}
	t.end()
	more(b, p.Found-len(p.List))
}

func (l Looked) mixedText(b *strings.Builder) {
	m := l.Mixed
	if m == nil {
		return
	}
	fmt.Fprintf(b, "\nUsers whose faces are not one person, below %s: %s of %s with several faces; %s\n", fineSimilarity(m.Similarity), thousands(m.Found), thousands(l.Size.Several), partText(m.Hidden))
	if len(m.List) == 0 {
		return
	}
	t := newTable(b, "", "similarity\tcosine\tuser\tgroups of faces")
	for _, u := range m.List {
		fmt.Fprintf(t, "%s\t%s\t%+q\t%s\n", fineSimilarity(u.Similarity), cosine(u.Cosine), u.UserID, groupsText(u.Groups))
	}
	t.end()
	more(b, m.Found-len(m.List))
}

func (l Looked) hubsText(b *strings.Builder) {
	fmt.Fprintf(b, "\nFaces that resemble far too many others (hubs): %s\n", thousands(l.Hubs.Found))
	for _, r := range l.Hubs.shownRules() {
		fmt.Fprintf(b, "%s: from %s users on at %s (cosine %s), where chance gives a face %s\n", r.Collection, thousands(r.Users), fineSimilarity(r.Similarity), cosine(r.Cosine), expectedText(r.Expected))
	}
	if len(l.Hubs.List) == 0 {
		return
	}
	t := newTable(b, "", "users\tsimilarity\tchance of any\tcollection\tuser\tface\tclosest")
	for _, h := range l.Hubs.List {
		var closest []string
		for i, c := range h.Closest {
			closest = append(closest, fmt.Sprintf("%+q %s", c.UserID, fineSimilarity(h.Similar[i])))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%+q\t%+q\t%s\n", usersText(h), fineSimilarity(h.Similarity), seldom(h.Probability), h.Face.Collection, h.Face.UserID, h.Face.FaceID, strings.Join(closest, ", "))
	}
	t.end()
	more(b, l.Hubs.Found-len(l.Hubs.List))
}

// more says how many findings are not listed.
func more(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "and %s more, less striking: raise --limit to list them\n", thousands(n))
	}
}

// chanceText says what chance gives, and by what.
func chanceText(c Chance) string {
	text := "an unknown number by the model's rates"
	if c.Model != nil {
		text = c.Model.text() + " by the model's rates"
	}
	if c.Gallery != nil {
		text += ", " + aboutText(*c.Gallery) + " by this gallery's own scores"
	}
	return text
}

// briefChance is the figure of the gallery's own scores, or that of the model's rates.
func briefChance(c Chance) string {
	switch {
	case c.Gallery != nil:
		return aboutText(*c.Gallery)
	case c.Model != nil:
		return c.Model.text()
	}
	return "unknown"
}

func aboutText(x float64) string { return Expected{Value: x, Bound: calibration.Estimated}.text() }

func (e Expected) text() string {
	words := map[calibration.Bound]string{calibration.Estimated: "about ", calibration.AtMost: "at most ", calibration.AtLeast: "at least "}
	if e.Bound != calibration.AtLeast && e.Value < fewest {
		return expectedText(e.Value)
	}
	return words[e.Bound] + expectedText(e.Value)
}

// fewest is the smallest expected number that is written out.
const fewest = 0.001

// expectedText writes an expected number: two digits are more than is known of it.
func expectedText(x float64) string {
	if x >= 100 {
		n, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 2, 64), 64)
		return thousands(int(n))
	}
	if x < fewest {
		return "less than 0.001"
	}
	return strconv.FormatFloat(roundTo(x, 2), 'f', -1, 64)
}

// roundTo rounds to significant digits.
func roundTo(x float64, digits int) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	return rounded
}

// partText says how many mixed users stay hidden.
func partText(e *Expected) string {
	if e == nil {
		return "it is unknown how many pairs of strangers under one ID are too similar to be found so"
	}
	words := map[calibration.Bound]string{calibration.AtMost: " at most", calibration.AtLeast: " at least"}
	return fmt.Sprintf("of pairs of strangers under one ID%s %s are too similar to be found so", words[e.Bound], percentage(roundTo(e.Value, 2)))
}

// groupsText names the faces of each group.
func groupsText(groups [][]string) string {
	var parts []string
	for i, g := range groups {
		if i == listedGroups {
			parts = append(parts, fmt.Sprintf("%d more", len(groups)-i))
			break
		}
		var ids []string
		for j, id := range g {
			if j == listedFaces {
				ids = append(ids, fmt.Sprintf("%d more", len(g)-j))
				break
			}
			ids = append(ids, fmt.Sprintf("%+q", id))
		}
		parts = append(parts, strings.Join(ids, " "))
	}
	return strings.Join(parts, " | ")
}

func usersText(h HubOfMany) string {
	if h.More {
		return thousands(h.Users) + " or more"
	}
	return thousands(h.Users)
}

// seldom writes a probability.
func seldom(p float64) string {
	if p < 1e-12 {
		return "below 1e-12"
	}
	return number(roundTo(p, 2))
}

// countTicks are ticks at powers of ten.
func countTicks(low, high float64) (ticks []plot.Tick) {
	for e := int(math.Ceil(low)); e <= int(math.Floor(high)); e++ {
		label := thousands(int(math.Pow(10, float64(max(0, e)))))
		if e < 0 {
			label = strconv.FormatFloat(math.Pow(10, float64(e)), 'f', -e, 64)
		}
		ticks = append(ticks, plot.Tick{Value: float64(e), Label: label})
	}
	return ticks
}

// dots marks each point, as lone ones make no line.
func (t theme) dots(p *drawing, points plotter.XYs) {
	if len(points) > 0 {
		p.Add(&plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: t.mated, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}})
	}
}
