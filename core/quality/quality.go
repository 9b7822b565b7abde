package quality

import (
	"math"

	"imago/core/alignment"
	"imago/ports"
)

// The reasons for which a face is refused, one for each check. They are part of
// the API: clients may compare them word for word.
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

// Gate holds the limits. A limit of 0 lets everything pass.
type Gate struct {
	// MinFaceWidth is the smallest face box in pixels of the upright original.
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
	// SecondFaceRatio is the part of the first face's area from which another
	// face counts as comparable.
	SecondFaceRatio float64
}

// Sample is what a picture offers for enrolment.
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
	// UprightMargin is by how much the detector's confidence in the face as it is
	// upright exceeds that in the face turned otherwise.
	UprightMargin float64
}

// Reasons returns every reason against the sample, in a fixed order; none
// means that it may be enrolled.
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
	refuse(g.several(s), ReasonSeveralFaces)
	refuse(box.Width()*s.Reduction < g.MinFaceWidth, ReasonTooSmall)
	refuse(s.Face.Score < g.MinScore, ReasonUncertain)
	reasons = append(reasons, g.ofPixels(s.Chip)...)
	refuse(exceeds(pose.Yaw, g.MaxYaw), ReasonTurned)
	refuse(exceeds(pose.Pitch, g.MaxPitch), ReasonTilted)
	refuse(exceeds(pose.Roll, g.MaxRoll), ReasonRotated)
	refuse(s.UprightMargin < g.MinUprightMargin, ReasonUpright)
	refuse(g.distorted(Proportions(s.Face.Landmarks, box, pose)), ReasonDistorted)
	return reasons
}

// uprightBox is the face's box as wide and high as in the upright picture.
func (s Sample) uprightBox() ports.Box {
	b := s.Face.Box
	if s.Turn%180 != 0 {
		return ports.Box{X1: b.Height(), Y1: b.Width()}
	}
	return b
}

// ofPixels returns the reasons that the chip's pixels give. A face that is too dark or
// too bright is not called flat or blurred besides, which it then is for that reason.
func (g Gate) ofPixels(chip *ports.Chip) []string {
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
	case g.MinSharpness > 0 && Sharpness(chip)*light.fading() < g.MinSharpness:
		return []string{ReasonBlurred}
	}
	return nil
}

// distorted reports whether one of the proportions is outside of the limits. A face is
// squashed by its landmarks or its box; only the landmarks tell a stretched one.
func (g Gate) distorted(p Proportion) bool {
	return g.MinProportion > 0 && min(p.Landmarks, p.Box) < g.MinProportion ||
		g.MaxProportion > 0 && p.Landmarks > g.MaxProportion
}

func exceeds(angle, limit float64) bool { return limit > 0 && math.Abs(angle) > limit }

// several reports whether another face is large enough to be the one meant.
func (g Gate) several(s Sample) bool {
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

// Sharpness returns the variance of the Laplacian of the chip's luminance (0
// to 255): low where edges are soft. The measure is that of Pech-Pacheco et
// al., "Diatom autofocusing in brightfield microscopy", ICPR 2000; on a chip it
// does not depend on how large the face was in the picture, except that a face
// enlarged to the chip is soft, as it should be judged.
func Sharpness(chip *ports.Chip) float64 {
	const n = ports.ChipSize
	var luma [n * n]float64
	for i := range luma {
		luma[i] = luminance(chip, i)
	}
	var sum, squares float64
	for y := 1; y < n-1; y++ {
		for x := 1; x < n-1; x++ {
			i := y*n + x
			l := luma[i-1] + luma[i+1] + luma[i-n] + luma[i+n] - 4*luma[i]
			sum += l
			squares += l * l
		}
	}
	const count = (n - 2) * (n - 2)
	mean := sum / count
	return squares/count - mean*mean
}

// Pose is the turn of a head in degrees, 0 when it faces the camera upright.
type Pose struct {
	Yaw   float64 // to the side
	Pitch float64 // up (positive) or down
	Roll  float64 // in the image plane
}

// The generic head behind EstimatePose: the tip of the nose stands noseDepth
// interocular distances before the plane of eyes and mouth corners.
const noseDepth = 0.45

// EstimatePose estimates the pose from the landmarks under weak perspective:
// turning the head moves the tip of the nose, which stands out from the plane of
// the other four points, against their centre. It is an estimate for a gate,
// good to some ten degrees, not a measurement. Landmarks without extent give 90
// degrees each.
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
		Pitch: degrees(math.Atan((restingNose - along) / noseDepth / (templateInterocular / templateHeight))),
		Roll:  degrees(math.Atan2(-t.B, t.A)),
	}
}

// Proportions of the template, the face that looks straight ahead.
var (
	templateEyes        = middle(alignment.Template[ports.LeftEye], alignment.Template[ports.RightEye])
	templateMouth       = middle(alignment.Template[ports.LeftMouth], alignment.Template[ports.RightMouth])
	templateInterocular = alignment.Template[ports.RightEye].X - alignment.Template[ports.LeftEye].X
	templateHeight      = templateMouth.Y - templateEyes.Y
	restingNose         = (alignment.Template[ports.Nose].Y - templateEyes.Y) / templateHeight
)

func middle(a, b ports.Point) ports.Point {
	return ports.Point{X: (a.X + b.X) / 2, Y: (a.Y + b.Y) / 2}
}

func degrees(radians float64) float64 { return radians * 180 / math.Pi }
