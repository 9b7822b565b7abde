package httpapi

import (
	"context"
	"net/http"

	"imago/core/gallery"
	"imago/ports"
)

// searchFaces serves POST /faces/search.
func (s search) searchFaces(ctx context.Context, x *exchange, _ *http.Request, c caller, q request) error {
	x.entry.Limit, x.entry.Purpose = q.limit, q.purpose
	probe := gallery.FacesProbe{Picture: q.picture, All: q.allFaces, Limit: q.limit, Assess: s.maxFalseMatch > 0, Explain: q.explain, Measure: s.measures(q.purpose)}
	for _, one := range q.searched {
		probe.Collections = append(probe.Collections, gallery.CollectionProbe{Collection: one.Name, Threshold: one.Threshold})
	}
	faces, err := s.gallery.SearchFaces(ctx, c.Client, probe)
	if err != nil {
		return err
	}
	x.entry.Faces = len(faces)
	for i, face := range faces {
		s.note(x, i, face, q.purpose)
	}
	if q.allFaces {
		return x.answer(newFacesFound(faces))
	}
	return x.answer(newFaceFound(faces[0]))
}

// note has the audit log, the metrics and the header of warnings told of the searches for
// one face.
func (s search) note(x *exchange, face int, found gallery.FaceResult, purpose string) {
	for _, one := range found.Results {
		entry := ports.AuditSearch{Face: face, Collection: one.Collection, Threshold: one.Threshold}
		for _, m := range one.Matches {
			entry.Matches = append(entry.Matches, ports.AuditMatch(m))
		}
		x.entry.Searches = append(x.entry.Searches, entry)
		s.count(one.Collection, purpose, one.Matches, one.Best)
		if face == 0 {
			s.warn(x, one.Assessment, one.Collection)
		}
	}
}

// facesFound is the answer: what was found of the largest face, or of each.
type facesFound struct {
	Faces []faceFound `json:"faces"`
}

type faceFound struct {
	// Box is told where there may be several faces.
	Box         *box         `json:"box,omitempty"`
	Results     []listFound  `json:"results"`
	Explanation *explanation `json:"explanation,omitempty"`
}

type listFound struct {
	Collection string  `json:"collection"`
	Threshold  float64 `json:"threshold"`
	Matches    []match `json:"matches"`
}

func newFacesFound(faces []gallery.FaceResult) facesFound {
	out := facesFound{Faces: make([]faceFound, 0, len(faces))}
	for _, face := range faces {
		one, where := newFaceFound(face), newBox(face.Box)
		one.Box = &where
		out.Faces = append(out.Faces, one)
	}
	return out
}

func newFaceFound(face gallery.FaceResult) faceFound {
	out := faceFound{Results: make([]listFound, 0, len(face.Results))}
	for _, one := range face.Results {
		found := listFound{Collection: one.Collection, Threshold: one.Threshold, Matches: make([]match, 0, len(one.Matches))}
		for _, m := range one.Matches {
			found.Matches = append(found.Matches, match(m))
		}
		out.Results = append(out.Results, found)
	}
	if face.Explanation != nil {
		seen := newExplanation(*face.Explanation)
		out.Explanation = &seen
	}
	return out
}
