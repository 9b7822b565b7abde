package alignment

import (
	"math"

	"imago/ports"
)

// Template is where the landmarks of an aligned face lie in the chip, in chip
// pixels. It is the reference of ArcFace (Deng et al., "ArcFace: Additive
// Angular Margin Loss for Deep Face Recognition", CVPR 2019) for 112 x 112
// input, shared by every embedding network trained in that tradition.
var Template = ports.Landmarks{
	ports.LeftEye:    {X: 38.2946, Y: 51.6963},
	ports.RightEye:   {X: 73.5318, Y: 51.5014},
	ports.Nose:       {X: 56.0252, Y: 71.7366},
	ports.LeftMouth:  {X: 41.5493, Y: 92.3655},
	ports.RightMouth: {X: 70.7299, Y: 92.2041},
}

// Transform is a similarity transform from image pixels to chip pixels:
//
//	u = A*x - B*y + TX
//	v = B*x + A*y + TY
type Transform struct{ A, B, TX, TY float64 }

// Fit returns the transform that carries the landmarks onto Template with the
// least sum of squared distances, without mirroring. It is the planar case of Umeyama, "Least-squares estimation of transformation
// parameters between two point patterns", IEEE TPAMI 13(4), 1991, which in two
// dimensions needs no decomposition. For landmarks that coincide or are not finite it
// returns a Refusal of kind ErrInvalid.
func Fit(l ports.Landmarks) (Transform, error) {
	from, to := centroid(l), centroid(Template)
	var dot, cross, spread float64
	for i := range l {
		x, y := l[i].X-from.X, l[i].Y-from.Y
		u, v := Template[i].X-to.X, Template[i].Y-to.Y
		dot += x*u + y*v
		cross += x*v - y*u
		spread += x*x + y*y
	}
	t := Transform{A: dot / spread, B: cross / spread}
	t.TX = to.X - t.A*from.X + t.B*from.Y
	t.TY = to.Y - t.B*from.X - t.A*from.Y
	if s := t.Scale(); !(s > minScale && s < 1/minScale) || math.IsNaN(t.TX+t.TY) || math.IsInf(t.TX+t.TY, 0) {
		return Transform{}, ports.Refuse(ports.ErrInvalid, "the face cannot be aligned: its landmarks coincide")
	}
	return t, nil
}

// minScale bounds the scale of a plausible transform: a face ten thousand times
// larger or smaller than a chip is an error of the detector.
const minScale = 1e-4

func centroid(l ports.Landmarks) (c ports.Point) {
	for _, p := range l {
		c.X += p.X / ports.LandmarkCount
		c.Y += p.Y / ports.LandmarkCount
	}
	return c
}

// Apply maps a point of the image to the chip.
func (t Transform) Apply(p ports.Point) ports.Point {
	return ports.Point{X: t.A*p.X - t.B*p.Y + t.TX, Y: t.B*p.X + t.A*p.Y + t.TY}
}

// Scale returns how many chip pixels an image pixel spans: below 1 the face is larger in
// the image than in the chip, above 1 the chip is an enlargement.
func (t Transform) Scale() float64 { return math.Hypot(t.A, t.B) }

// Inverse returns the transform from chip pixels to image pixels.
func (t Transform) Inverse() Transform {
	d := t.A*t.A + t.B*t.B
	a, b := t.A/d, -t.B/d
	return Transform{A: a, B: b, TX: -a*t.TX + b*t.TY, TY: -b*t.TX - a*t.TY}
}

// Scaled returns t followed by an enlargement about the origin by factor and a
// shift by (dx, dy).
func (t Transform) Scaled(factor, dx, dy float64) Transform {
	return Transform{A: t.A * factor, B: t.B * factor, TX: t.TX*factor + dx, TY: t.TY*factor + dy}
}
