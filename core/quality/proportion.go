package quality

import (
	"math"

	"imago/ports"
)

// Proportion is how high a face is for its width, in two ways; both are 1 for an
// ordinary face, below 1 for one in a picture that was squashed, above for one that was
// stretched.
type Proportion struct {
	// Landmarks is the distance of eyes and mouth over that of the eyes, both as they
	// would be from the front.
	Landmarks float64
	// Box is the height of the face's box over its width; infinite where the head leans,
	// so that a box tells nothing.
	Box float64
}

const (
	// usualBox is the ratio of a usual box.
	usualBox = 1.2
	// leaning is the roll in degrees from which a box tells nothing.
	leaning = 20
)

// Proportions measures the proportions of a face whose box is upright. Landmarks without
// extent, which EstimatePose refuses, are ordinary.
func Proportions(l ports.Landmarks, box ports.Box, pose Pose) Proportion {
	p := Proportion{Landmarks: 1, Box: math.Inf(1)}
	if box.Width() > 0 && math.Abs(pose.Roll) < leaning {
		p.Box = box.Height() / box.Width() / usualBox
	}
	across := distance(l[ports.LeftEye], l[ports.RightEye])
	down := distance(middle(l[ports.LeftEye], l[ports.RightEye]), middle(l[ports.LeftMouth], l[ports.RightMouth]))
	yaw, pitch := math.Cos(radians(pose.Yaw)), math.Cos(radians(pose.Pitch))
	if across > 0 && down > 0 && pitch > 0 && yaw > 0 {
		p.Landmarks = down / pitch * yaw / across
	}
	return p
}

func distance(a, b ports.Point) float64 { return math.Hypot(a.X-b.X, a.Y-b.Y) }

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }
