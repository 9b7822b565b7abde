package quality_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/alignment"
	"imago/core/quality"
	"imago/ports"
)

var gate = quality.Gate{
	MinFaceWidth: 40, MinScore: 0.7, MinSharpness: 0.27,
	MaxYaw: 45, MaxPitch: 40, MaxRoll: 60, SecondFaceRatio: 0.5,
}

// good is a sample that passes every check.
func good() quality.Sample {
	return quality.Sample{
		Face:      ports.Face{Box: ports.Box{X1: 100, Y1: 100}, Score: 0.9, Landmarks: alignment.Template},
		Reduction: 1,
		Chip:      checkered(8),
	}
}

// checkered is a chip of squares of n pixels: the larger they are, the fewer edges.
func checkered(n int) *ports.Chip {
	chip := new(ports.Chip)
	for i := range chip {
		x, y := i/3%ports.ChipSize, i/3/ports.ChipSize
		if (x/n+y/n)%2 == 0 {
			chip[i] = 255
		}
	}
	return chip
}

func TestReasons(t *testing.T) {
	cases := []struct {
		name   string
		change func(*quality.Sample)
		want   []string
	}{
		{"good", func(*quality.Sample) {}, nil},
		{"40 px wide", func(s *quality.Sample) { s.Face.Box = ports.Box{X1: 40, Y1: 50} }, nil},
		{"39 px wide", func(s *quality.Sample) { s.Face.Box = ports.Box{X1: 39, Y1: 50} }, []string{quality.ReasonTooSmall}},
		{"39 px wide in a picture reduced to half", func(s *quality.Sample) {
			s.Face.Box, s.Reduction = ports.Box{X1: 39, Y1: 50}, 2
		}, nil},
		{"uncertain", func(s *quality.Sample) { s.Face.Score = 0.69 }, []string{quality.ReasonUncertain}},
		{"flat", func(s *quality.Sample) { s.Chip = new(ports.Chip) }, []string{quality.ReasonBlurred}},
		{"second face of half the area", func(s *quality.Sample) {
			s.Others = []ports.Face{{Box: ports.Box{X1: 50, Y1: 100}}}
		}, []string{quality.ReasonSeveralFaces}},
		{"small second face", func(s *quality.Sample) {
			s.Others = []ports.Face{{Box: ports.Box{X1: 49, Y1: 100}}}
		}, nil},
		{"turned", func(s *quality.Sample) { s.Face.Landmarks[ports.Nose].X += 20 }, []string{quality.ReasonTurned}},
		{"looking up", func(s *quality.Sample) { s.Face.Landmarks[ports.Nose].Y -= 18 }, []string{quality.ReasonTilted}},
		{"rotated", func(s *quality.Sample) { s.Face.Landmarks = rotated(70) }, []string{quality.ReasonRotated}},
		{"several reasons", func(s *quality.Sample) {
			s.Face.Score, s.Chip = 0.1, new(ports.Chip)
		}, []string{quality.ReasonUncertain, quality.ReasonBlurred}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.change(&s)
			require.Equal(t, c.want, gate.Reasons(s))
		})
	}
}

func TestZeroGateLetsEverythingPass(t *testing.T) {
	s := quality.Sample{Chip: new(ports.Chip), Others: []ports.Face{{Box: ports.Box{X1: 9, Y1: 9}}}}
	require.Empty(t, quality.Gate{}.Reasons(s))
}

func rotated(degrees float64) (l ports.Landmarks) {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	for i, p := range alignment.Template {
		l[i] = ports.Point{X: cos*p.X - sin*p.Y, Y: sin*p.X + cos*p.Y}
	}
	return l
}

// The estimate is checked against a solid head turned about its axes and seen
// from afar.
func TestEstimatePose(t *testing.T) {
	for _, want := range []quality.Pose{
		{}, {Yaw: 20}, {Yaw: -35}, {Pitch: 15}, {Pitch: -25}, {Roll: 40}, {Roll: -150}, {Yaw: 25, Roll: 15},
	} {
		got := quality.EstimatePose(turnedHead(want))
		require.InDelta(t, want.Yaw, got.Yaw, 8, "yaw of %+v", want)
		require.InDelta(t, want.Pitch, got.Pitch, 8, "pitch of %+v", want)
		require.InDelta(t, want.Roll, got.Roll, 8, "roll of %+v", want)
	}
}

// turnedHead projects the template, with the nose standing out, after turning it.
func turnedHead(p quality.Pose) (l ports.Landmarks) {
	yaw, pitch, roll := p.Yaw*math.Pi/180, p.Pitch*math.Pi/180, p.Roll*math.Pi/180
	for i, q := range alignment.Template {
		x, y, z := q.X-56, q.Y-72, 0.0
		if i == ports.Nose {
			z = 0.45 * 35.2
		}
		x, z = x*math.Cos(yaw)+z*math.Sin(yaw), z*math.Cos(yaw)-x*math.Sin(yaw)
		y = y*math.Cos(pitch) - z*math.Sin(pitch)
		l[i] = ports.Point{X: x*math.Cos(roll) - y*math.Sin(roll), Y: x*math.Sin(roll) + y*math.Cos(roll)}
	}
	return l
}

func TestPoseOfDegenerateLandmarksIsRefused(t *testing.T) {
	require.Equal(t, quality.Pose{Yaw: 90, Pitch: 90, Roll: 90}, quality.EstimatePose(ports.Landmarks{}))
}

// waves is a chip of a brightness that rises and falls with a period across and one down,
// by as much at most, with noise of a standard deviation over it.
func waves(across, down, rise, noise float64) *ports.Chip {
	chip, rng := new(ports.Chip), rand.New(rand.NewPCG(1, 2))
	for i := range chip {
		x, y := float64(i/3%ports.ChipSize), float64(i/3/ports.ChipSize)
		v := 128 + rise/2*(math.Sin(2*math.Pi*x/across)+math.Sin(2*math.Pi*y/down)) + noise*rng.NormFloat64()
		chip[i] = byte(max(0, min(255, math.Round(v))))
	}
	return chip
}

func TestSharpnessIsTheFrequency(t *testing.T) {
	require.Zero(t, quality.Sharpness(new(ports.Chip)))
	sharpness := func(period float64) float64 { return quality.Sharpness(waves(period, period, 100, 0)) }
	for _, period := range []float64{14, 20, 28} {
		require.InEpsilon(t, 2*math.Pi/period/math.Sqrt2, sharpness(period), 0.1, "lowest along a diagonal")
	}
}

func TestSharpnessDoesNotDependOnContrast(t *testing.T) {
	require.InEpsilon(t, quality.Sharpness(waves(20, 20, 120, 0)), quality.Sharpness(waves(20, 20, 24, 0)), 0.02)
}

func TestSharpnessIsNotRaisedByNoise(t *testing.T) {
	require.InEpsilon(t, quality.Sharpness(waves(28, 28, 100, 0)), quality.Sharpness(waves(28, 28, 100, 10)), 0.1)
}

// A picture that was shaken is sharp across the movement.
func TestSharpnessIsThatOfTheWorstDirection(t *testing.T) {
	require.InEpsilon(t, 2*math.Pi/28, quality.Sharpness(waves(28, 10, 100, 0)), 0.15)
	require.InEpsilon(t, 2*math.Pi/28, quality.Sharpness(waves(10, 28, 100, 0)), 0.15)
}

// evenly is a chip whose left half has one value and the right another.
func evenly(left, right byte) *ports.Chip {
	chip := checkered(4)
	for i := range chip {
		if chip[i] == 0 {
			chip[i] = left
		} else {
			chip[i] = right
		}
	}
	return chip
}

// A face in bad light has that reason and not that it is blurred.
func TestReasonsOfLight(t *testing.T) {
	g := gate
	g.MinBrightness, g.MaxBrightness, g.MinContrast = 13, 225, 6
	for _, c := range []struct {
		name        string
		left, right byte
		want        []string
	}{
		{"good", 60, 180, nil},
		{"dark", 8, 14, []string{quality.ReasonDark}},
		{"bright", 226, 236, []string{quality.ReasonBright}},
		{"flat", 120, 126, []string{quality.ReasonFlat}},
		{"little light, sharp", 14, 30, nil},
	} {
		s := good()
		s.Chip = evenly(c.left, c.right)
		require.Equal(t, c.want, g.Reasons(s), c.name)
	}
	soft := good()
	soft.Chip = waves(28, 28, 100, 0)
	require.Equal(t, []string{quality.ReasonBlurred}, quality.Gate{MinSharpness: 0.27, MinContrast: 6}.Reasons(soft))
}

// A face on its side is as wide as it is when the picture is upright, and its roll is
// what is left after the turn.
func TestReasonsOfATurnedFace(t *testing.T) {
	s := good()
	s.Face.Box, s.Face.Landmarks, s.Turn, s.UprightMargin = ports.Box{X1: 60, Y1: 39}, rotated(90), 270, 0.5
	require.Equal(t, []string{quality.ReasonTooSmall}, gate.Reasons(s))
	s.Face.Box = ports.Box{X1: 60, Y1: 50}
	require.Empty(t, gate.Reasons(s))
	s.Turn = 90
	require.Equal(t, []string{quality.ReasonRotated}, gate.Reasons(s))
}

func TestReasonsOfAFaceThatMayBeAnyWayUp(t *testing.T) {
	g := gate
	g.MinUprightMargin = 0.02
	s := good()
	s.UprightMargin = 0.019
	require.Equal(t, []string{quality.ReasonUpright}, g.Reasons(s))
	s.UprightMargin = 0.02
	require.Empty(t, g.Reasons(s))
}

// Squashed and stretched faces are told from those that look aside or up.
func TestReasonsOfProportions(t *testing.T) {
	g := gate
	g.MinProportion, g.MaxProportion = 0.8, 1.2
	scaled := func(across, down float64) quality.Sample {
		s := good()
		s.Face.Box = ports.Box{X1: 100 * across, Y1: 120 * down}
		for i := range s.Face.Landmarks {
			s.Face.Landmarks[i].X *= across
			s.Face.Landmarks[i].Y *= down
		}
		return s
	}
	require.Empty(t, g.Reasons(scaled(1, 1)))
	require.Contains(t, g.Reasons(scaled(1, 0.56)), quality.ReasonDistorted)
	require.Contains(t, g.Reasons(scaled(0.56, 1)), quality.ReasonDistorted)
	for _, pose := range []quality.Pose{{Yaw: 35}, {Yaw: -35}, {Pitch: 20}, {Pitch: -20}, {Roll: 30}} {
		s := scaled(1, 1)
		s.Face.Landmarks = turnedHead(pose)
		require.NotContains(t, g.Reasons(s), quality.ReasonDistorted, "%+v", pose)
	}
	require.NotContains(t, g.Reasons(quality.Sample{Chip: good().Chip}), quality.ReasonDistorted, "without extent there is another reason")
}
