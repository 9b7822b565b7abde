package extraction

import (
	"context"

	"imago/core/quality"
	"imago/ports"
)

// Detect returns the faces of a picture and what the gate has against enrolling
// it, without making a template. A picture without a face is no error: the
// answer has no faces and the reason.
//
// Errors: those of Probe, but for the missing face.
func (x *Extractor) Detect(ctx context.Context, picture []byte, gate quality.Gate) (ports.Detection, error) {
	done, err := x.work(ctx)
	if err != nil {
		return ports.Detection{}, err
	}
	defer done()

	f, err := x.find(ctx, picture)
	defer x.release(f)
	if err != nil {
		return ports.Detection{}, err
	}
	d := ports.Detection{Width: f.img.FullWidth, Height: f.img.FullHeight}
	if len(f.faces) == 0 {
		d.Reasons = []string{ReasonNoFace}
		return d, nil
	}
	sample, err := x.sample(ctx, picture, f)
	if err != nil {
		return ports.Detection{}, err
	}
	d.Reasons, d.Turn = gate.Reasons(sample), sample.Turn
	for _, face := range f.faces {
		d.Faces = append(d.Faces, original(face, f.img.Reduction()))
	}
	// What was measured again lies in the finer copy.
	d.Faces[0].Landmarks = original(sample.Face, f.finest().Reduction()).Landmarks
	return d, nil
}

// original carries a face from a reduced copy of a picture to the original.
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
