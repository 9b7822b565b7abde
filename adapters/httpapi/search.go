package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"imago/adapters/httpapi/body"
	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

// search answers searches, and what their thresholds mean.
type search struct {
	gallery       Gallery
	maxFalseMatch float64 // above it a search has a warning; 0 for none
	searched      func(collection string, found bool)
	best          func(collection string, best gallery.Best)
}

// search serves POST /users/search and POST /users/{list}/search.
func (s search) search(ctx context.Context, x *exchange, _ *http.Request, c caller, q request) error {
	x.entry.Threshold, x.entry.Limit, x.entry.Purpose = q.threshold, q.limit, q.purpose
	result, err := s.gallery.Search(ctx, c.Client, gallery.Probe{
		Collection: c.collection.Name, Picture: q.picture, Threshold: q.threshold, Limit: q.limit, Assess: s.maxFalseMatch > 0, Explain: q.explain,
		Measure: s.measures(q.purpose),
	})
	if err != nil {
		return err
	}
	s.warn(x, result.Assessment, "")
	s.count(c.collection.Name, q.purpose, result.Matches, result.Best)
	var out matches
	if result.Explanation != nil {
		seen := newExplanation(*result.Explanation)
		out.Explanation = &seen
	}
	if len(result.Matches) == 0 {
		return &noMatch{out.Explanation}
	}
	for _, m := range result.Matches {
		x.entry.Matches = append(x.entry.Matches, ports.AuditMatch(m))
		out.Matches = append(out.Matches, match(m))
	}
	return x.answer(out)
}

// measures reports whether the best score of a search is wanted.
func (s search) measures(purpose string) bool { return s.best != nil && purpose == "" }

// count has the metrics told of a search of a collection, unless it has a purpose: somebody
// below the threshold is no match, and who is closest was searched before.
func (s search) count(collection, purpose string, found []gallery.Match, best *gallery.Best) {
	if s.searched != nil && purpose == "" {
		s.searched(collection, len(found) > 0)
	}
	if s.measures(purpose) && best != nil {
		s.best(collection, *best)
	}
}

// matches is the answer to a search.
type matches struct {
	Matches     []match      `json:"matches"`
	Explanation *explanation `json:"explanation,omitempty"`
}

// noMatch is an errNoMatch with what was seen, if that was asked for: "nobody" from a
// useless picture must not look like the "nobody" of a good one.
type noMatch struct{ explanation *explanation }

func (*noMatch) Error() string { return errNoMatch.Error() }

// Unwrap returns errNoMatch.
func (*noMatch) Unwrap() error { return errNoMatch }

type match struct {
	UserID     string  `json:"userId,omitempty"`
	Similarity float64 `json:"similarity"`
}

// warningHeader carries a warning beside the answer of a search, as an item of
// RFC 9651 with parameters; beside that of a search in several collections as a list.
const warningHeader = "X-Imago-Warning"

// warn adds a header when a stranger's chance of a match is, or may be, larger
// than configured. It names the collection of a search in several.
func (s search) warn(x *exchange, a *gallery.Assessment, collection string) {
	if a == nil || a.Measured == nil || a.Measured.Chance.Value <= s.maxFalseMatch {
		return
	}
	chance := a.Measured.Chance
	// Parameters are strings, because the decimals of RFC 9651 have three
	// digits behind the point at most.
	warning := fmt.Sprintf("false-match;chance=%q;bound=%s;limit=%q;users=%d",
		digits(chance.Value), chance.Bound, digits(s.maxFalseMatch), a.Users)
	if collection != "" {
		warning += fmt.Sprintf(";collection=%q", collection)
	}
	x.Header().Add(warningHeader, warning)
}

// digits writes a probability with three significant digits.
func digits(p float64) string { return strconv.FormatFloat(p, 'g', 3, 64) }

// calibration serves GET /calibration and GET /calibration/{list}.
func (s search) calibration(ctx context.Context, x *exchange, r *http.Request, c caller) error {
	query := r.URL.Query()
	wrong := checkQuery(query, "threshold")
	threshold, ok := c.collection.Threshold, true
	if query.Has("threshold") {
		threshold, ok = body.ParseNumber([]byte(query.Get("threshold")))
	}
	if ok {
		wrong.add(gallery.CheckThreshold(threshold))
	} else {
		wrong.add(refuse("threshold must be a number"))
	}
	if err := wrong.err(); err != nil {
		return err
	}
	a, err := s.gallery.Assess(ctx, c.collection.Name, threshold, 0)
	if err != nil {
		return err
	}
	out := assessment{
		Collection: a.Collection, Threshold: a.Threshold, Cosine: a.Cosine, Users: a.Users,
		Calibration: modelCalibration{Model: a.Model, Basis: a.Basis, Provisional: a.Provisional},
	}
	if m := a.Measured; m != nil {
		out.FalseMatchRate = &falseMatch{m.Rate.Value, m.Rate.Bound}
		out.FalseMatchChance = &falseMatch{m.Chance.Value, m.Chance.Bound}
	}
	return x.answer(out)
}

// assessment is the answer about a threshold.
type assessment struct {
	Collection string  `json:"collection"`
	Threshold  float64 `json:"threshold"`
	Cosine     float64 `json:"cosine"`
	Users      int     `json:"users"`
	// FalseMatchRate and FalseMatchChance are absent where nothing was measured.
	FalseMatchRate   *falseMatch      `json:"falseMatchRate,omitempty"`
	FalseMatchChance *falseMatch      `json:"falseMatchChance,omitempty"`
	Calibration      modelCalibration `json:"calibration"`
}

type falseMatch struct {
	Value float64           `json:"value"`
	Bound calibration.Bound `json:"bound"`
}

type modelCalibration struct {
	Model       string `json:"model"`
	Basis       string `json:"basis"`
	Provisional bool   `json:"provisional"`
}
