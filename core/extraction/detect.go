package extraction

import (
	"context"

	"imago/core/quality"
	"imago/ports"
)

// Detection is what is found on a picture before anything is enrolled or
// searched with it.
type Detection struct {
	// Width and Height are the size of the upright original in pixels.
	Width, Height int
	// Faces are all faces, the largest first, in pixels of the upright
	// original. The first is the one that an enrolment and a search use.
	Faces []ports.Face
	// Turn is by how many degrees clockwise, a multiple of 90 below 360, the picture
	// has to be turned for the first face to be upright, to within 45 degrees. The
	// landmarks tell the rest of a face's roll.
	Turn int
	// Reasons are those for which the picture would be refused at enrolment;
	// none means that it would be accepted.
	Reasons []string
}

// Detect returns the faces of a picture and the gate's reasons against enrolling it,
// without computing a template. A picture without a face is no error: the Detection
// then has no faces and that reason.
//
// Errors: those of Probe, but for the missing face.
func (x *Extractor) Detect(ctx context.Context, picture []byte, gate quality.Gate) (Detection, error) {
	done, err := x.acquireWorker(ctx)
	if err != nil {
		return Detection{}, err
	}
	defer done()

	f, err := x.find(ctx, picture)
	defer x.release(f)
	if err != nil {
		return Detection{}, err
	}
	d := Detection{Width: f.img.FullWidth, Height: f.img.FullHeight}
	if len(f.faces) == 0 {
		d.Reasons = []string{ReasonNoFace}
		return d, nil
	}
	sample, img, err := x.sample(ctx, picture, f, 0)
	if err != nil {
		return Detection{}, err
	}
	d.Reasons, d.Turn = gate.Reasons(sample), sample.Turn
	for _, face := range f.faces {
		d.Faces = append(d.Faces, original(face, f.img.Reduction()))
	}
	d.Faces[0].Landmarks = original(sample.Face, img.Reduction()).Landmarks
	return d, nil
}

// original maps a face from a reduced copy of a picture to the original.
func original(face ports.Face, reduction float64) ports.Face {
	b := face.Box
	face.Box = ports.Box{
		X0: enlarge(b.X0, reduction), Y0: enlarge(b.Y0, reduction),
		X1: enlarge(b.X1, reduction), Y1: enlarge(b.Y1, reduction),
	}
	for i, p := range face.Landmarks {
		face.Landmarks[i] = ports.Point{X: enlarge(p.X, reduction), Y: enlarge(p.Y, reduction)}
	}
	return face
}

// enlarge is the inverse of a reduction. Positions are centres of pixels, so
// the picture's corner, half a pixel away, is the fixed point.
func enlarge(x, reduction float64) float64 { return (x+0.5)*reduction - 0.5 }
