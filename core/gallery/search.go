package gallery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imago/core/extraction"
	"imago/ports"
)

const (
	// maxLimit is the largest number of matches that a search, and of users that a
	// page, may ask for.
	maxLimit = 100
	// assessmentAge is how old the size of a collection may be that a search is
	// assessed by: no search should wait for a count that another has just made.
	assessmentAge = time.Minute
)

// Probe is what a search asks: whose face is on this picture?
type Probe struct {
	// Collection is the inventory or one of the configured lists.
	Collection string
	// Picture is a JPEG or PNG file. It is only read and not retained.
	Picture []byte
	// Threshold is the smallest similarity wanted, inclusive, in percent (0 to
	// 100).
	Threshold float64
	// Limit is the largest number of users wanted.
	Limit int
	// Assess asks for Result.Assessment, for which the users have to be counted.
	Assess bool
	// Explain asks for Result.Explanation, for which the quality of the face is measured.
	Explain bool
	// Measure asks for Result.Best, for which the store may be searched once more.
	Measure bool
}

// Result is the answer to a search.
type Result struct {
	// Matches are the users found, the most similar first; none where nobody reaches
	// the threshold.
	Matches []Match
	// Assessment says what the threshold means in the collection. It is nil where
	// Probe.Assess is not set or the users could not be counted.
	Assessment *Assessment
	// Explanation is what was seen of the picture. It is nil where Probe.Explain is not
	// set.
	Explanation *extraction.Explanation
	// Best is nil where Probe.Measure is not set, and for a part of the searches where many
	// find nobody: the store is not busied for more than a hundredth of the time. Which are
	// left out does not depend on what they find.
	Best *Best
}

// Match is one user whom a search found.
type Match struct {
	// UserID is empty where the asking client may know that the user is in the
	// collection, but not who it is.
	UserID string
	// Similarity is how alike the faces are, in percent (0 to 100).
	Similarity float64
}

// Search returns the users of a collection that look like the largest face of
// the probe's picture: similarity at least the threshold, best first, at most
// limit, one match a user. In a shared collection the user ID is empty where
// another client enrolled the face. That nobody was found is no error.
//
// Errors: ErrNotFound for an unknown collection; a Refusal for an unacceptable
// threshold, limit or picture, around ErrForbidden for a threshold that is too low for
// the client.
func (g *Gallery) Search(ctx context.Context, client ports.Client, p Probe) (Result, error) {
	if _, err := g.collection(p.Collection); err != nil {
		return Result{}, err
	}
	if err := checkProbe(client, p.Threshold, p.Limit); err != nil {
		return Result{}, err
	}
	vector, seen, err := g.extract(ctx, p.Picture, p.Explain)
	if err != nil {
		return Result{}, err
	}
	result := Result{Explanation: seen}
	measure := g.measures(p.Measure, p.Collection)
	result.Matches, result.Best, err = g.find(ctx, client, CollectionProbe{p.Collection, p.Threshold}, vector, p.Limit, measure)
	if err != nil {
		return Result{}, err
	}
	if p.Assess {
		// A failure to count is no reason to withhold the answer.
		if a, err := g.Assess(ctx, p.Collection, p.Threshold, assessmentAge); err == nil {
			result.Assessment = &a
		}
	}
	return result, nil
}

// find returns the users of a collection who resemble a template, as the client may know
// them, and the best score if that is to be measured.
func (g *Gallery) find(ctx context.Context, client ports.Client, p CollectionProbe, vector []float32, limit int, measure bool) ([]Match, *Best, error) {
	minimum := g.options.Curve.Cosine(p.Threshold)
	found, err := g.store.Search(ctx, ports.Query{Collection: p.Collection, Vector: vector, K: limit, MinScore: minimum})
	if err != nil {
		return nil, nil, err
	}
	var best *Best
	if measure {
		best = g.best(ctx, p.Collection, vector, found, minimum)
	}
	matches := make([]Match, 0, len(found))
	for _, m := range found {
		similarity := g.options.Curve.Percent(m.Score)
		if similarity < p.Threshold {
			break
		}
		if g.collections[p.Collection].Shared && m.Owner != client.Name {
			m.UserID = ""
		}
		matches = append(matches, Match{UserID: m.UserID, Similarity: similarity})
	}
	return matches, best, nil
}

// extract returns the template of a picture that is not enrolled, and what was seen if
// that is asked for.
func (g *Gallery) extract(ctx context.Context, picture []byte, explain bool) ([]float32, *extraction.Explanation, error) {
	if !explain {
		vector, err := g.extractor.Probe(ctx, picture)
		return vector, nil, err
	}
	vector, seen, err := g.extractor.Explain(ctx, picture, g.options.Gate)
	return vector, &seen, err
}

// checkProbe refuses a threshold or a limit that cannot be, and a threshold that is too
// low for the client.
func checkProbe(client ports.Client, threshold float64, limit int) error {
	if err := CheckSearch(threshold, limit); err != nil {
		return err
	}
	return checkLeastThreshold(client, threshold)
}

// checkLeastThreshold refuses a threshold so low that it would tell the client of people
// who hardly resemble the face.
func checkLeastThreshold(client ports.Client, threshold float64) error {
	if threshold >= client.MinThreshold {
		return nil
	}
	return ports.Refuse(ports.ErrForbidden, fmt.Sprintf(
		"threshold %v is below %v, the least that this key may search with (min_threshold in the keys file)", threshold, client.MinThreshold))
}

// CheckSearch refuses a threshold and a limit that no search can have.
func CheckSearch(threshold float64, limit int) error {
	var reasons []string
	for _, err := range []error{CheckThreshold(threshold), CheckLimit(limit)} {
		var refusal *ports.Refusal
		if errors.As(err, &refusal) {
			reasons = append(reasons, refusal.Reasons...)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return ports.Refuse(ports.ErrInvalid, reasons...)
}

// CheckLimit refuses a limit that neither a search nor a page can have.
func CheckLimit(limit int) error {
	if limit < 1 || limit > maxLimit {
		return refuse(fmt.Sprintf("limit must be a whole number from 1 to %d", maxLimit))
	}
	return nil
}
