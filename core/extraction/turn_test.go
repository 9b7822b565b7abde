package extraction_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// credulous is a detector that sees painted faces whichever way they lie, always with
// landmarks that look upright, and is sure only of those that are.
func credulous(_ context.Context, img *ports.Image, _ int) ([]ports.Face, error) {
	everywhere := math.Inf(1)
	eyes, nose, mouth := centroid(img, 0, -everywhere, everywhere), centroid(img, 1, -everywhere, everywhere), centroid(img, 2, -everywhere, everywhere)
	if math.IsNaN(eyes.X + nose.X + mouth.X) {
		return nil, nil
	}
	half := 1.3 * math.Hypot(eyes.X-mouth.X, eyes.Y-mouth.Y)
	face := faceOf(nose.X-half, nose.Y-half, 2*half)
	face.Score = 0.7
	if down := mouth.Y - eyes.Y; down > math.Abs(mouth.X-eyes.X) {
		face.Score, face.Landmarks = 0.95, seen(img)
	}
	return []ports.Face{face}, nil
}

// quarters turns an image clockwise, and the landmarks with it.
func quarters(img *ports.Image, l ports.Landmarks, n int) (*ports.Image, ports.Landmarks) {
	for range n {
		out := ports.NewImage(img.Height, img.Width)
		for y := range img.Height {
			for x := range img.Width {
				copy(out.Pix[x*out.Stride+3*(img.Height-1-y):][:3], img.Pix[y*img.Stride+3*x:])
			}
		}
		for i, p := range l {
			l[i] = ports.Point{X: float64(img.Height-1) - p.Y, Y: p.X}
		}
		img = out
	}
	return img, l
}

// However a picture lies its chip is the upright one's, and the landmarks are where they
// are in the picture as it was sent.
func TestTurnedPictures(t *testing.T) {
	truth := faceOf(150, 130, 200)
	upright := painted(520, truth.Landmarks, 14)
	var chips [4]*recorder
	for n := range chips {
		img, landmarks := quarters(upright, truth.Landmarks, n)
		chips[n] = new(recorder)
		x := extraction.New(whole{img}, detectFunc(credulous), chips[n], one)
		_, err := x.Probe(t.Context(), nil)
		require.NoError(t, err)
		require.Less(t, difference(chips[0].chip, chips[n].chip), 0.5, "%d quarters", n)
		got, err := x.Detect(t.Context(), nil, quality.Gate{MaxRoll: 10})
		require.NoError(t, err)
		require.Equal(t, (4-n)%4*90, got.Turn)
		require.Empty(t, got.Reasons)
		for i, p := range got.Faces[0].Landmarks {
			require.InDelta(t, landmarks[i].X, p.X, 1, "%d quarters, landmark %d", n, i)
			require.InDelta(t, landmarks[i].Y, p.Y, 1, "%d quarters, landmark %d", n, i)
		}
	}
}

// A face of which the detector is equally sure upside down is searched with, and not
// enrolled.
func TestUnclearTurn(t *testing.T) {
	truth := faceOf(150, 130, 200)
	img := painted(520, truth.Landmarks, 14)
	either := func(_ context.Context, crop *ports.Image, _ int) ([]ports.Face, error) {
		if crop == img {
			return []ports.Face{truth}, nil
		}
		middle := float64(crop.Width) / 2
		face := faceOf(middle-40, middle-40, 80)
		face.Score = 0.9
		return []ports.Face{face}, nil
	}
	x := extraction.New(whole{img}, detectFunc(either), new(recorder), one)
	_, err := x.Probe(t.Context(), nil)
	require.NoError(t, err)
	_, err = x.Enrol(t.Context(), nil, quality.Gate{MinUprightMargin: 0.02})
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, []string{quality.ReasonUpright}, refusal.Reasons)
}
