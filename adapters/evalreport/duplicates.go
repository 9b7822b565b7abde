package evalreport

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"imago/config"
	"imago/core/calibration"
	"imago/core/duplicates"
)

//go:embed duplicates.html
var duplicatesSource string

// Duplicates is what was found in a gallery. Rates are parts of 1, cosines -1 to 1,
// similarities percentages.
type Duplicates struct {
	Version  string    `json:"version"`
	Finished time.Time `json:"finished"`
	Embedder string    `json:"embedder"`
	// Basis says which pictures the network's false match rates come from.
	Basis       string   `json:"basis"`
	Collections []Looked `json:"collections"`

	curve calibration.Curve
}

// Looked is what was found in a collection, or in one beside another.
type Looked struct {
	Collection string `json:"collection"`
	Against    string `json:"against,omitempty"`
	Size       Size   `json:"size"`
	Other      *Size  `json:"againstSize,omitempty"`
	// Comparisons is the number of pairs of faces of two users.
	Comparisons float64    `json:"comparisons"`
	Pairs       FoundPairs `json:"pairs"`
	// Mixed is nil beside another collection.
	Mixed *FoundMixed `json:"mixed,omitempty"`
	Hubs  FoundHubs   `json:"hubs"`
	// Level is how similar strangers of the collection are; nil where too few are similar.
	Level *Level   `json:"level"`
	Notes []string `json:"notes"`

	scores []duplicates.Bin
	cut    int
}

// Size is how much there is in a collection.
type Size struct {
	Users   int `json:"users"`
	Faces   int `json:"faces"`
	Several int `json:"usersWithSeveralFaces"`
}

// Chance is how many findings strangers alone explain: by the network's false match rates, and
// by the gallery's own scores. What is not known is nil.
type Chance struct {
	Model   *Expected `json:"model"`
	Gallery *float64  `json:"gallery"`
}

// Expected is a number, or a bound of it.
type Expected struct {
	Value float64           `json:"value"`
	Bound calibration.Bound `json:"bound"`
}

// FoundPairs are users who look like one person.
type FoundPairs struct {
	Similarity float64 `json:"similarity"`
	Cosine     float64 `json:"cosine"`
	Chosen     bool    `json:"chosen"` // by imago
	Found      int     `json:"found"`
	Chance     Chance  `json:"chance"`
	ByHubs     int     `json:"leftOutByHubs"`
	List       []Alike `json:"list"`
}

// Named is a face.
type Named struct {
	Collection string `json:"collection"`
	UserID     string `json:"userId"`
	FaceID     string `json:"faceId"`
}

// Alike is a pair of users, by the two faces that are closest.
type Alike struct {
	A          Named   `json:"a"`
	B          Named   `json:"b"`
	Similarity float64 `json:"similarity"`
	Cosine     float64 `json:"cosine"`
	// Chance is how many pairs of strangers are as similar.
	Chance Chance `json:"chance"`
}

// FoundMixed are users whose faces are not one person.
type FoundMixed struct {
	Similarity float64 `json:"similarity"`
	Found      int     `json:"found"`
	// Hidden is the part of strangers who are too similar to be told apart so.
	Hidden *Expected `json:"hidden"`
	List   []Apart   `json:"list"`
}

// Apart is a user with several groups of faces.
type Apart struct {
	UserID string `json:"userId"`
	// Similarity is the highest of two faces of two groups.
	Similarity float64    `json:"similarity"`
	Cosine     float64    `json:"cosine"`
	Groups     [][]string `json:"groups"`
}

// FoundHubs are faces that resemble far more users than chance explains.
type FoundHubs struct {
	Found int         `json:"found"`
	Rules []HubRule   `json:"rules"`
	List  []HubOfMany `json:"list"`
}

// HubRule says which faces of a collection are hubs: those that resemble so many users, where
// chance gives them Expected.
type HubRule struct {
	Collection string  `json:"collection"`
	Users      int     `json:"users"`
	Similarity float64 `json:"similarity"`
	Cosine     float64 `json:"cosine"`
	Expected   float64 `json:"expected"`
}

// HubOfMany is a hub.
type HubOfMany struct {
	Face        Named     `json:"face"`
	Users       int       `json:"users"`
	Similarity  float64   `json:"similarity"` // from which on they are counted
	More        bool      `json:"more"`       // there are more than Users
	Probability float64   `json:"probability"`
	Closest     []Named   `json:"closest"`
	Similar     []float64 `json:"similarities"`
}

// Level is how similar strangers in a collection are, beside the network's rates.
type Level struct {
	Cosine float64 `json:"cosine"`
	Rate   float64 `json:"rate"`
	Ratio  float64 `json:"ratio"`
}

// NewDuplicates describes what was found.
func NewDuplicates(version string, finished time.Time, embedder config.Manifest, found []duplicates.Report) *Duplicates {
	c := embedder.Calibration
	d := &Duplicates{
		Version: version, Finished: finished, Embedder: embedder.Name, Basis: c.Basis,
		Collections: []Looked{}, curve: calibration.Curve{Midpoint: c.Midpoint, Steepness: c.Steepness},
	}
	for _, r := range found {
		d.Collections = append(d.Collections, d.looked(r, *c))
	}
	return d
}

func (d *Duplicates) looked(r duplicates.Report, c config.Calibration) Looked {
	l := Looked{
		Collection: r.Collection, Against: r.Against, Size: Size(r.Size), Comparisons: r.Comparisons, scores: r.Scores, cut: r.Cut,
		Pairs: FoundPairs{
			Similarity: r.Threshold, Cosine: r.Cosine, Chosen: r.Chosen, Found: r.Pairs, Chance: chanceOf(r.PairsChance), ByHubs: r.HubPairs,
			List: []Alike{},
		},
		Hubs: FoundHubs{Found: r.Hubs, Rules: []HubRule{}, List: []HubOfMany{}},
	}
	for _, p := range r.Closest {
		l.Pairs.List = append(l.Pairs.List, Alike{Named(p.A), Named(p.B), d.curve.Percent(p.Score), p.Score, chanceOf(p.Chance)})
	}
	if r.Against != "" {
		l.Other = new(Size(r.Other))
	} else {
		l.Mixed = d.mixed(r)
	}
	for _, h := range r.HubRules {
		l.Hubs.Rules = append(l.Hubs.Rules, HubRule{h.Collection, h.Users, d.curve.Percent(h.Cosine), h.Cosine, h.Expected})
	}
	for _, h := range r.Largest {
		one := HubOfMany{Face: Named(h.Face), Users: h.Users, Similarity: d.curve.Percent(h.Cosine), More: h.More, Probability: h.Probability}
		for i, face := range h.Closest {
			one.Closest, one.Similar = append(one.Closest, Named(face)), append(one.Similar, d.curve.Percent(h.Scores[i]))
		}
		l.Hubs.List = append(l.Hubs.List, one)
	}
	if r.Level != nil {
		l.Level = &Level{r.Level.Cosine, r.Level.Rate, r.Level.Ratio}
	}
	l.Notes = notesOf(l, r, c)
	return l
}

func (d *Duplicates) mixed(r duplicates.Report) *FoundMixed {
	m := &FoundMixed{Similarity: r.Together, Found: r.Mixed, List: []Apart{}}
	if r.Hidden != nil {
		m.Hidden = &Expected{r.Hidden.Value, r.Hidden.Bound}
	}
	for _, u := range r.Farthest {
		m.List = append(m.List, Apart{u.UserID, d.curve.Percent(u.Score), u.Score, u.Groups})
	}
	return m
}

func chanceOf(c duplicates.Chance) Chance {
	out := Chance{Gallery: c.Gallery}
	if c.Model != nil {
		out.Model = &Expected{c.Model.Value, c.Model.Bound}
	}
	return out
}

// notesOf returns what a reader must know before using the figures.
func notesOf(l Looked, r duplicates.Report, c config.Calibration) []string {
	all := []string{}
	switch {
	case r.Comparisons == 0:
	case len(c.FMR) == 0:
		all = append(all, "the model's manifest has no false match rates, so it cannot be said what chance gives")
	case l.Pairs.Cosine > c.FMR[len(c.FMR)-1].Cosine:
		end := c.FMR[len(c.FMR)-1].Cosine
		all = append(all, fmt.Sprintf("the model's false match rates were measured up to cosine %.3f; what chance gives above continues their fall, and holds at most where scores of strangers fall at least as fast; relatives and twins are not in it", end))
	}
	if c.Provisional && r.Comparisons > 0 {
		all = append(all, "the model's calibration is provisional: its false match rates were not measured but extrapolated")
	}
	if l.Level != nil && l.Level.Ratio > 2 {
		all = append(all, fmt.Sprintf("strangers in this gallery resemble each other %s times as often as in the pictures that the model was measured on (at cosine %.3f): go by the figure of the gallery's own scores, and by a higher threshold in searches", number(l.Level.Ratio), l.Level.Cosine))
	}
	if len(l.Hubs.Rules) == 0 && r.Comparisons > 0 {
		all = append(all, "without false match rates, hubs cannot be told")
	}
	if r.Cut > 0 {
		all = append(all, fmt.Sprintf("%d faces resemble more users than a search returns: pairs of theirs may be missing; raise --threshold", r.Cut))
	}
	return all
}

// Cut is the number of faces that resemble more users than a search returns.
func (d *Duplicates) Cut() (n int) {
	for _, l := range d.Collections {
		n += l.cut
	}
	return n
}

// shownRules returns the first and the last rule of each collection.
func (h FoundHubs) shownRules() (shown []HubRule) {
	for i, r := range h.Rules {
		if i == 0 || i == len(h.Rules)-1 || h.Rules[i-1].Collection != r.Collection || h.Rules[i+1].Collection != r.Collection {
			shown = append(shown, r)
		}
	}
	return shown
}

// JSON writes the report as one indented object.
func (d *Duplicates) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// Files returns the report as it is kept in files.
func (d *Duplicates) Files() []File {
	return []File{{"duplicates.html", d.HTML}, {"duplicates.json", d.JSON}}
}

// HTML writes the report as a page that refers to nothing outside itself.
func (d *Duplicates) HTML(w io.Writer) error {
	page, err := template.New("duplicates").Funcs(template.FuncMap{
		"thousands": thousands, "similarity": fineSimilarity, "cosine": cosine, "number": number, "chance": chanceText, "brief": briefChance,
		"part": partText, "expected": expectedText, "count": func(x float64) string { return thousands(int(x)) }, "rules": FoundHubs.shownRules, "users": usersText, "seldom": seldom,
	}).Parse(styleSource + duplicatesSource)
	if err != nil {
		return err
	}
	type section struct {
		Looked
		Figure *figure
	}
	var sections []section
	for _, l := range d.Collections {
		s := section{Looked: l}
		if l.Comparisons > 0 {
			f, err := newFigure("Pairs of users by the similarity of their closest faces, and how many chance gives. Where the line of the pairs leaves those of chance, people are enrolled twice.", l.histogram)
			if err != nil {
				return err
			}
			s.Figure = &f
		}
		sections = append(sections, s)
	}
	return page.Execute(w, struct {
		*Duplicates
		Sections []section
	}{d, sections})
}

// histogram draws the number of pairs by score beside what chance gives.
func (l Looked) histogram(t theme) *drawing {
	p := t.newPlot("Pairs of users by score", "cosine similarity", "pairs in a step of 0.01")
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(cosineTicks), plot.TickerFunc(countTicks)
	p.Add(t.grid())
	lowest, highest := 1.0, 1.0
	var pairs, model, gallery plotter.XYs
	for _, b := range l.scores {
		lowest = min(lowest, b.From)
		x := (b.From + b.To) / 2
		point := func(to plotter.XYs, n float64) plotter.XYs {
			if n < 0.01 { // below the axis
				return to
			}
			highest = max(highest, n)
			return append(to, plotter.XY{X: x, Y: math.Log10(n)})
		}
		pairs = point(pairs, float64(b.Pairs))
		if b.Chance.Model != nil {
			model = point(model, b.Chance.Model.Value)
		}
		if b.Chance.Gallery != nil {
			gallery = point(gallery, *b.Chance.Gallery)
		}
	}
	t.line(p, "chance, by the model's rates", model, stroke(t.strangers, 1.5, dashes()...))
	t.line(p, "chance, by the gallery's scores", gallery, stroke(t.gallery, 1.5, dashes()...))
	t.line(p, "pairs found", pairs, stroke(t.mated, 2))
	t.dots(p, pairs)
	a := area{lowest, 1, -2, math.Ceil(math.Log10(highest) + 0.1)}
	t.drawThresholds(p, a, []mark{{name: "threshold", rates: rates{cosine: l.Pairs.Cosine}}})
	a.limit(p)
	return p
}
