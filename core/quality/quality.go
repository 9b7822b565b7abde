package quality

import (
	"math"

	"imago/core/alignment"
	"imago/ports"
)

// The reasons for which a face is refused, one for each check. They are part of
// the API: clients may compare them.
const (
	ReasonSeveralFaces = "more than one face detected in the provided image"
	ReasonTooSmall     = "face is too small in the provided image"
	ReasonUncertain    = "face is not clear enough in the provided image"
	ReasonBlurred      = "face is blurred in the provided image"
	ReasonTurned       = "face is turned too far to the side in the provided image"
	ReasonTilted       = "face is tilted too far up or down in the provided image"
	ReasonRotated      = "face is rotated too far in the provided image"
	ReasonUpright      = "it cannot be told which way up the face is in the provided image"
	ReasonDark         = "face is too dark in the provided image"
	ReasonBright       = "face is too bright in the provided image"
	ReasonFlat         = "face has too little contrast in the provided image"
	ReasonDistorted    = "face has distorted proportions in the provided image"
)

// Gate holds the limits of the checks. A limit of 0 switches its check off.
type Gate struct {
	// MinFaceWidth is the smallest width of the face's box, in pixels of the upright
	// original.
	MinFaceWidth float64
	// MinScore is the smallest detector confidence, 0 to 1.
	MinScore float64
	// MinSharpness is the smallest Sharpness of the chip.
	MinSharpness float64
	// MinBrightness and MaxBrightness are the limits of Light.Brightness, MinContrast is
	// the smallest Light.Contrast.
	MinBrightness, MaxBrightness, MinContrast float64
	// MinProportion and MaxProportion are the limits of Proportions.
	MinProportion, MaxProportion float64
	// MaxYaw, MaxPitch and MaxRoll are the largest turns in degrees.
	MaxYaw, MaxPitch, MaxRoll float64
	// MinUprightMargin is the smallest Sample.UprightMargin.
	MinUprightMargin float64
	// SecondFaceRatio is the fraction of the first face's area from which another face
	// counts as comparable.
	SecondFaceRatio float64
}

// Sample holds the measurements of a picture to be enrolled.
type Sample struct {
	// Face is the face to enrol, in pixels of the picture it was found in.
	Face ports.Face
	// Others are all further faces of the picture.
	Others []ports.Face
	// Reduction is how many pixels of the original one pixel of that picture
	// spans (ports.Image.Reduction).
	Reduction float64
	// Chip is the aligned face.
	Chip *ports.Chip
	// Turn is by how many degrees clockwise, a multiple of 90, the picture was
	// turned to be upright.
	Turn int
	// UprightMargin is by how much the detector's confidence in the upright face
	// exceeds that in the face turned in any other direction.
	UprightMargin float64
}

// Reasons returns every reason against the sample, in a fixed order. It may be enrolled
// if there is none.
func (g Gate) Reasons(s Sample) []string {
	var reasons []string
	refuse := func(failed bool, reason string) {
		if failed {
			reasons = append(reasons, reason)
		}
	}
	pose := EstimatePose(s.Face.Landmarks)
	pose.Roll = math.Remainder(pose.Roll+float64(s.Turn), 360)
	box := s.uprightBox()
	refuse(g.hasComparableFace(s), ReasonSeveralFaces)
	refuse(box.Width()*s.Reduction < g.MinFaceWidth, ReasonTooSmall)
	refuse(s.Face.Score < g.MinScore, ReasonUncertain)
	reasons = append(reasons, g.pixelReasons(s.Chip)...)
	refuse(exceeds(pose.Yaw, g.MaxYaw), ReasonTurned)
	refuse(exceeds(pose.Pitch, g.MaxPitch), ReasonTilted)
	refuse(exceeds(pose.Roll, g.MaxRoll), ReasonRotated)
	refuse(s.UprightMargin < g.MinUprightMargin, ReasonUpright)
	refuse(g.distorted(Proportions(s.Face.Landmarks, box, pose)), ReasonDistorted)
	return reasons
}

// uprightBox returns a box with the face's width and height in the upright picture.
func (s Sample) uprightBox() ports.Box {
	b := s.Face.Box
	if s.Turn%180 != 0 {
		return ports.Box{X1: b.Height(), Y1: b.Width()}
	}
	return b
}

// pixelReasons returns the reason that the chip's pixels give, if any. A face that is too
// dark or too bright has little contrast for that reason, so only the first is reported.
func (g Gate) pixelReasons(chip *ports.Chip) []string {
	if chip == nil || g.MinBrightness <= 0 && g.MaxBrightness <= 0 && g.MinContrast <= 0 && g.MinSharpness <= 0 {
		return nil
	}
	light := MeasureLight(chip)
	switch {
	case light.Brightness < g.MinBrightness:
		return []string{ReasonDark}
	case g.MaxBrightness > 0 && light.Brightness > g.MaxBrightness:
		return []string{ReasonBright}
	case light.Contrast < g.MinContrast:
		return []string{ReasonFlat}
	case g.MinSharpness > 0 && Sharpness(chip) < g.MinSharpness:
		return []string{ReasonBlurred}
	}
	return nil
}

// distorted reports whether the proportions are outside the limits. Landmarks or box show
// a compressed face; only the landmarks show a stretched one.
func (g Gate) distorted(p Proportion) bool {
	return g.MinProportion > 0 && min(p.Landmarks, p.Box) < g.MinProportion ||
		g.MaxProportion > 0 && p.Landmarks > g.MaxProportion
}

func exceeds(angle, limit float64) bool { return limit > 0 && math.Abs(angle) > limit }

// hasComparableFace reports whether another face is large enough to be the one meant.
func (g Gate) hasComparableFace(s Sample) bool {
	if g.SecondFaceRatio <= 0 {
		return false
	}
	for _, other := range s.Others {
		if other.Box.Area() >= g.SecondFaceRatio*s.Face.Box.Area() {
			return true
		}
	}
	return false
}

// Pose is the rotation of a head in degrees, 0 when it faces the camera upright.
type Pose struct {
	Yaw   float64 // to the side
	Pitch float64 // up (positive) or down
	Roll  float64 // in the image plane
}

// noseDepth is how far the tip of the nose is in front of the plane of eyes and mouth
// corners in EstimatePose's model of a head, in interocular distances.
const noseDepth = 0.45

// EstimatePose estimates the pose from the landmarks under weak perspective:
// rotating the head moves the tip of the nose, which is in front of the plane of
// the other four points, relative to their centre. The estimate is accurate to about
// ten degrees, enough for a Gate. Landmarks that coincide give 90 degrees each.
func EstimatePose(l ports.Landmarks) Pose {
	t, err := alignment.Fit(l)
	if err != nil {
		return Pose{Yaw: 90, Pitch: 90, Roll: 90}
	}
	var p [ports.LandmarkCount]ports.Point
	for i := range l {
		p[i] = t.Apply(l[i])
	}
	eyes, mouth := middle(p[ports.LeftEye], p[ports.RightEye]), middle(p[ports.LeftMouth], p[ports.RightMouth])
	interocular := p[ports.RightEye].X - p[ports.LeftEye].X
	height := mouth.Y - eyes.Y
	if interocular <= 0 || height <= 0 {
		return Pose{Yaw: 90, Pitch: 90, Roll: degrees(math.Atan2(-t.B, t.A))}
	}
	nose := p[ports.Nose]
	along := (nose.Y - eyes.Y) / height
	axis := eyes.X + along*(mouth.X-eyes.X)
	return Pose{
		Yaw:   degrees(math.Atan((nose.X - axis) / interocular / noseDepth)),
		Pitch: degrees(math.Atan((templateNose - along) / noseDepth / (templateInterocular / templateHeight))),
		Roll:  degrees(math.Atan2(-t.B, t.A)),
	}
}

// Proportions of the template, a face that looks straight ahead.
var (
	templateEyes        = middle(alignment.Template[ports.LeftEye], alignment.Template[ports.RightEye])
	templateMouth       = middle(alignment.Template[ports.LeftMouth], alignment.Template[ports.RightMouth])
	templateInterocular = alignment.Template[ports.RightEye].X - alignment.Template[ports.LeftEye].X
	templateHeight      = templateMouth.Y - templateEyes.Y
	templateNose        = (alignment.Template[ports.Nose].Y - templateEyes.Y) / templateHeight
)

func middle(a, b ports.Point) ports.Point {
	return ports.Point{X: (a.X + b.X) / 2, Y: (a.Y + b.Y) / 2}
}

func degrees(radians float64) float64 { return radians * 180 / math.Pi }
