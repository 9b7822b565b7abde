package gallery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

const (
	// MaxSearchedFaces is how many faces of one picture a search answers, the largest.
	MaxSearchedFaces = 16
	// searchesAtOnce is how many searches for one picture the store is asked for at once.
	searchesAtOnce = 4
)

// FacesProbe asks several collections whose faces are on a picture.
type FacesProbe struct {
	// Collections are what each collection is asked.
	Collections []CollectionProbe
	// Picture is a JPEG or PNG file. It is only read and not retained.
	Picture []byte
	// All asks for every face, at most MaxSearchedFaces; otherwise the largest counts.
	All bool
	// Limit is the largest number of users wanted of each collection.
	Limit int
	// Assess asks for assessments, Explain for explanations and Measure for best scores, as
	// in a Probe.
	Assess, Explain, Measure bool
}

// CollectionProbe is what a FacesProbe asks of one collection.
type CollectionProbe struct {
	Collection string
	Threshold  float64
}

// FaceResult is the answer about one face.
type FaceResult struct {
	// Box is that of the face, in pixels of the upright original.
	Box ports.Box
	// Results are those of the collections, in the order in which they were asked.
	Results []CollectionResult
	// Explanation is nil where that was not asked for.
	Explanation *extraction.Explanation
}

// CollectionResult is what one collection has of a face.
type CollectionResult struct {
	CollectionProbe
	Matches    []Match
	Assessment *Assessment
	// Best is as that of a Result; it is there for all faces of the picture or for none.
	Best *Best
}

// SearchFaces is Search in several collections at once, for the largest face of a picture
// or for each, the largest first. The picture is worked on once.
//
// Errors: those of Search; if one collection cannot be searched, none is answered.
func (g *Gallery) SearchFaces(ctx context.Context, client ports.Client, p FacesProbe) ([]FaceResult, error) {
	for _, one := range p.Collections {
		if _, err := g.collection(one.Collection); err != nil {
			return nil, err
		}
		if err := checkProbe(client, one.Threshold, p.Limit); err != nil {
			return nil, err
		}
	}
	faces, err := g.extractFaces(ctx, p)
	if err != nil {
		return nil, err
	}
	results := make([]FaceResult, len(faces))
	for i, face := range faces {
		results[i] = FaceResult{Box: face.Explanation.Box, Results: make([]CollectionResult, len(p.Collections))}
		if p.Explain {
			results[i].Explanation = &face.Explanation
		}
	}
	if len(p.Collections) == 0 {
		return results, nil
	}
	measured := make([]bool, len(p.Collections))
	for i, one := range p.Collections {
		measured[i] = g.measures(p.Measure, one.Collection)
	}
	err = runLimited(len(faces)*len(p.Collections), func(n int) error {
		face, i := n/len(p.Collections), n%len(p.Collections)
		matches, best, err := g.find(ctx, client, p.Collections[i], faces[face].Vector, p.Limit, measured[i])
		results[face].Results[i] = CollectionResult{CollectionProbe: p.Collections[i], Matches: matches, Best: best}
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.Assess {
		g.assessAll(ctx, results)
	}
	return results, nil
}

// extractFaces returns the templates of a picture's faces.
func (g *Gallery) extractFaces(ctx context.Context, p FacesProbe) ([]extraction.Template, error) {
	most, gate := 1, quality.Gate{}
	if p.All {
		most = MaxSearchedFaces
	}
	if p.Explain {
		gate = g.options.Gate
	}
	return g.extractor.ProbeAll(ctx, p.Picture, most, gate)
}

// assessAll sets the assessments, which are the same for every face.
func (g *Gallery) assessAll(ctx context.Context, faces []FaceResult) {
	for i, asked := range faces[0].Results {
		a, err := g.Assess(ctx, asked.Collection, asked.Threshold, assessmentAge)
		if err != nil {
			continue // no reason to withhold the answer
		}
		for _, face := range faces {
			face.Results[i].Assessment = &a
		}
	}
}

// runLimited calls do with 0 to n-1, searchesAtOnce of them at once. After a failure it
// begins no further ones, and returns the failures when all have ended. A panic is raised
// in the caller.
func runLimited(n int, do func(i int) error) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	failures := make([]error, min(n, searchesAtOnce))
	panics := make([]any, len(failures))
	work := func(w int) {
		defer func() { panics[w] = recover() }()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			if failures[w] = do(i); failures[w] != nil {
				next.Store(int64(n))
				return
			}
		}
	}
	for w := range failures[1:] {
		wait.Go(func() { work(w + 1) })
	}
	work(0)
	wait.Wait()
	for _, v := range panics {
		if v != nil {
			panic(v)
		}
	}
	return errors.Join(failures...)
}
