package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"imago/ports"
)

// Assessor is what the API needs of the core to tell what thresholds mean.
type Assessor interface {
	// Assess says what a threshold in percent means in a collection, whose
	// number of users is at most maxAge old; 0 counts now.
	Assess(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (ports.Assessment, error)
}

// warningAge is how old the size of a collection may be on which a warning is
// based: no search should wait for a count that another has just made.
const warningAge = time.Minute

// warningHeader carries a warning beside the answer of a search, as an item of
// RFC 9651 with parameters.
const warningHeader = "X-Imago-Warning"

// ofList admits who may search the collection of the path.
func (s *Server) ofList(client ports.Client, r *http.Request) (string, error) {
	return s.scope(client, r, ports.OpSearch)
}

// assessThreshold serves GET /calibration and GET /calibration/{list}.
func (s *Server) assessThreshold(x *exchange, r *http.Request, c caller) error {
	query := r.URL.Query()
	if err := checkQuery(query, "threshold"); err != nil {
		return err
	}
	threshold := s.threshold(c.collection)
	if query.Has("threshold") {
		text := []byte(query.Get("threshold"))
		number, ok := 0.0, false
		if valid(text) {
			number, ok = readNumber(text)
		}
		if !ok {
			return refuse("threshold must be a number")
		}
		threshold = number
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	a, err := s.gallery.Assess(ctx, c.collection, threshold, 0)
	if err != nil {
		return err
	}
	if err := s.disclose(x); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, newAssessment(a))
	return nil
}

// threshold returns what holds for a collection where a request says nothing.
func (s *Server) threshold(collection string) float64 {
	for _, c := range s.lists {
		if c.Name == collection && c.Threshold > 0 {
			return c.Threshold
		}
	}
	return s.defaults.Threshold
}

// warn sets a header when a stranger's chance of a match is, or may be, larger
// than configured. That it cannot be told is no reason to fail a search.
func (s *Server) warn(ctx context.Context, x *exchange, collection string, threshold float64) {
	if s.defaults.MaxFalseMatch == 0 {
		return
	}
	a, err := s.gallery.Assess(ctx, collection, threshold, warningAge)
	if err != nil || a.Measured == nil || a.Measured.Chance.Value <= s.defaults.MaxFalseMatch {
		return
	}
	chance := a.Measured.Chance
	// Parameters are strings, because the decimals of RFC 9651 have three
	// digits behind the point at most.
	x.Header().Set(warningHeader, fmt.Sprintf("false-match;chance=%q;bound=%s;limit=%q;users=%d",
		digits(chance.Value), chance.Bound, digits(s.defaults.MaxFalseMatch), a.Users))
}

// digits writes a probability with three significant digits.
func digits(p float64) string { return strconv.FormatFloat(p, 'g', 3, 64) }

// assessment is the answer about a threshold.
type assessment struct {
	Collection string  `json:"collection"`
	Threshold  float64 `json:"threshold"`
	Cosine     float64 `json:"cosine"`
	Users      int     `json:"users"`
	// FalseMatchRate and FalseMatchChance are absent where nothing was measured.
	FalseMatchRate   *falseMatch `json:"falseMatchRate,omitempty"`
	FalseMatchChance *falseMatch `json:"falseMatchChance,omitempty"`
	Calibration      calibration `json:"calibration"`
}

type falseMatch struct {
	Value float64     `json:"value"`
	Bound ports.Bound `json:"bound"`
}

type calibration struct {
	Model       string `json:"model"`
	Basis       string `json:"basis"`
	Provisional bool   `json:"provisional"`
}

func newAssessment(a ports.Assessment) assessment {
	out := assessment{
		Collection: a.Collection, Threshold: a.Threshold, Cosine: a.Cosine, Users: a.Users,
		Calibration: calibration{Model: a.Model, Basis: a.Basis, Provisional: a.Provisional},
	}
	if m := a.Measured; m != nil {
		out.FalseMatchRate = &falseMatch{m.Rate.Value, m.Rate.Bound}
		out.FalseMatchChance = &falseMatch{m.Chance.Value, m.Chance.Bound}
	}
	return out
}
