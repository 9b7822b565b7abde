package httpapi

import (
	"context"
	"math"
	"net/http"

	"imago/ports"
)

// DetectFunc finds the faces of a picture, which is only read and not retained.
// A picture without a face is no error. Its errors are those of ports.
type DetectFunc func(ctx context.Context, picture []byte) (ports.Detection, error)

// mayDetect admits keys that may search some collection: a search tells more
// about a picture than its faces.
func mayDetect(client ports.Client, _ *http.Request) (string, error) {
	if !client.MayAnywhere(ports.OpSearch) {
		return "", ports.ErrForbidden
	}
	return "", nil
}

// detectFaces serves POST /faces/detect.
func (s *Server) detectFaces(x *exchange, r *http.Request, c caller) error {
	picture, _, err := s.question(x, r, c, enrolFields)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	found, err := s.detect(ctx, picture)
	if err != nil {
		return err
	}
	x.entry.Faces = len(found.Faces)
	if err := s.disclose(x); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, newDetection(found))
	return nil
}

// detection is the answer to it. Quality are the reasons against enrolment.
type detection struct {
	Width   int            `json:"width"`
	Height  int            `json:"height"`
	Faces   []detectedFace `json:"faces"`
	Quality []string       `json:"quality"`
}

type detectedFace struct {
	Box       box     `json:"box"`
	Score     float64 `json:"score"`
	Landmarks []point `json:"landmarks"`
	// Turn is by how many degrees clockwise the picture was turned to be upright.
	Turn int `json:"turn"`
}

type box struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

func newDetection(d ports.Detection) detection {
	out := detection{Width: d.Width, Height: d.Height, Faces: []detectedFace{}, Quality: []string{}}
	out.Quality = append(out.Quality, d.Reasons...)
	for _, f := range d.Faces {
		face := detectedFace{
			Box: box{X: fromCorner(f.Box.X0), Y: fromCorner(f.Box.Y0), Width: tenths(f.Box.Width()), Height: tenths(f.Box.Height())},
			// The detector's confidence is meaningful to about the third decimal.
			Score: math.Round(f.Score*1000) / 1000,
			Turn:  d.Turn,
		}
		for _, p := range f.Landmarks {
			face.Landmarks = append(face.Landmarks, point{X: fromCorner(p.X), Y: fromCorner(p.Y)})
		}
		out.Faces = append(out.Faces, face)
	}
	return out
}

// fromCorner tells a position from the corner of the picture, as those who draw
// do, where the core counts from the centre of the first pixel.
func fromCorner(x float64) float64 { return tenths(x + 0.5) }

// tenths rounds to a tenth of a pixel, finer than any detector measures.
func tenths(x float64) float64 { return math.Round(x*10) / 10 }
