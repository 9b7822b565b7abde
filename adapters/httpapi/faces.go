package httpapi

import (
	"context"
	"math"
	"net/http"

	"imago/core/extraction"
	"imago/ports"
)

// DetectFunc finds the faces of a picture, which is only read and not retained.
// A picture without a face is no error. Its errors are those of ports.
type DetectFunc func(ctx context.Context, picture []byte) (extraction.Detection, error)

// mayDetect reports whether a client may search some collection, which reveals more about
// a picture than its faces.
func mayDetect(client ports.Client) bool { return client.MayAnywhere(ports.OpSearch) }

// serve serves POST /faces/detect.
func (detect DetectFunc) serve(ctx context.Context, x *exchange, _ *http.Request, _ caller, q request) error {
	found, err := detect(ctx, q.picture)
	if err != nil {
		return err
	}
	x.entry.Faces = len(found.Faces)
	return x.answer(newDetection(found))
}

// detection is the answer to it. Quality are the reasons against enrolment, and Codes
// theirs.
type detection struct {
	Width   int            `json:"width"`
	Height  int            `json:"height"`
	Faces   []detectedFace `json:"faces"`
	Quality []string       `json:"quality"`
	Codes   []string       `json:"codes"`
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

func newDetection(d extraction.Detection) detection {
	out := detection{Width: d.Width, Height: d.Height, Faces: []detectedFace{}, Quality: []string{}, Codes: refused.codes(d.Reasons)}
	out.Quality = append(out.Quality, d.Reasons...)
	for _, f := range d.Faces {
		face := detectedFace{
			Box: newBox(f.Box),
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

// explanation is what was seen of the picture of a search or an enrolment. Quality are
// the reasons against enrolling it.
type explanation struct {
	Box     box      `json:"box"`
	Faces   int      `json:"faces"`
	Turn    int      `json:"turn"`
	Quality []string `json:"quality"`
	Codes   []string `json:"codes"`
}

func newExplanation(e extraction.Explanation) explanation {
	return explanation{
		Box: newBox(e.Box), Faces: e.Faces, Turn: e.Turn,
		Quality: append([]string{}, e.Reasons...), Codes: refused.codes(e.Reasons),
	}
}

func newBox(b ports.Box) box {
	return box{X: fromCorner(b.X0), Y: fromCorner(b.Y0), Width: tenths(b.Width()), Height: tenths(b.Height())}
}

// fromCorner gives a position from the corner of the picture, as those who draw
// do, where the core counts from the centre of the first pixel.
func fromCorner(x float64) float64 { return tenths(x + 0.5) }

// tenths rounds to a tenth of a pixel, finer than any detector measures.
func tenths(x float64) float64 { return math.Round(x*10) / 10 }
