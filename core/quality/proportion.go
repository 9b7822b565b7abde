package quality

import (
	"math"

	"imago/ports"
)

// Proportion is the ratio of a face's height to its width, measured in two ways; both are
// 1 for a typical face, below 1 in a picture that was compressed vertically, above 1 in
// one that was stretched.
type Proportion struct {
	// Landmarks is the distance between eyes and mouth over that between the eyes, both
	// corrected for the pose.
	Landmarks float64
	// Box is the height of the face's box over its width; infinite for a rotated head,
	// whose box says nothing about it.
	Box float64
}

const (
	// typicalBox is the ratio of height to width of a typical box.
	typicalBox = 1.2
	// maxBoxRoll is the roll in degrees from which the box is not used.
	maxBoxRoll = 20
)

// Proportions measures the proportions of a face whose box is upright. Landmarks that
// coincide, for which EstimatePose has no pose, count as typical.
func Proportions(l ports.Landmarks, box ports.Box, pose Pose) Proportion {
	p := Proportion{Landmarks: 1, Box: math.Inf(1)}
	if box.Width() > 0 && math.Abs(pose.Roll) < maxBoxRoll {
		p.Box = box.Height() / box.Width() / typicalBox
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
