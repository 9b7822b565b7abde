package bench

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// gateOf is the gate of the settings but for the pose of the head.
func gateOf(p *pipeline.Pipeline) quality.Gate {
	q := p.Config.Quality
	return quality.Gate{
		MinFaceWidth: float64(q.MinFaceWidth), MinScore: q.MinScore, MinSharpness: q.MinSharpness,
		MinBrightness: q.MinBrightness, MaxBrightness: q.MaxBrightness, MinContrast: q.MinContrast,
		MaxRoll: q.MaxRoll, MinUprightMargin: q.MinUprightMargin,
		MinProportion: q.MinProportion, MaxProportion: q.MaxProportion, SecondFaceRatio: q.SecondFaceRatio,
	}
}

// light makes every value v of a picture factor*v + offset.
func light(img *ports.Image, factor, offset float64) *ports.Image {
	out := ports.NewImage(img.Width, img.Height)
	for y := range img.Height {
		for x := range 3 * img.Width {
			out.Pix[y*out.Stride+x] = byte(max(0, min(255, factor*float64(img.Pix[y*img.Stride+x])+offset)))
		}
	}
	return out
}

// squashed scales the sides of a picture, each down.
func squashed(img *ports.Image, across, down float64) *ports.Image {
	out := ports.NewImage(int(float64(img.Width)*across), int(float64(img.Height)*down))
	for y := range out.Height {
		for x := range out.Width {
			sample(out.Pix[y*out.Stride+3*x:][:3], img, (float64(x)+0.5)/across-0.5, (float64(y)+0.5)/down-0.5)
		}
	}
	return out
}

// What is wrong with a picture is what is said of it, where it does not match any more;
// and nothing is said of pictures as they are.
func TestReasonsAreHonest(t *testing.T) {
	t.Parallel()
	forModelPairs(t, func(t *testing.T, p *pipeline.Pipeline) {
		x, gate := p.Extractor(), gateOf(p)
		all := turnable(t, p)
		for _, c := range []struct {
			name   string
			change func(*ports.Image) *ports.Image
			reason string  // one that is said
			least  float64 // of the share of the pictures in which a face is found
			most   float64
		}{
			{"as it is", func(img *ports.Image) *ports.Image { return img }, "", 1, 1},
			{"at half the brightness", func(img *ports.Image) *ports.Image { return light(img, 0.5, 0) }, "", 0.95, 1},
			{"at 15 % of the brightness", func(img *ports.Image) *ports.Image { return light(img, 0.15, 0) }, quality.ReasonDark, 0, 0.2},
			{"at 7 % of the brightness", func(img *ports.Image) *ports.Image { return light(img, 0.07, 0) }, quality.ReasonDark, 0.9, 1},
			{"washed out", func(img *ports.Image) *ports.Image { return light(img, 0.15, 216) }, quality.ReasonBright, 0.9, 1},
			{"nearly grey", func(img *ports.Image) *ports.Image { return light(img, 0.1, 115) }, quality.ReasonFlat, 0.8, 1},
			{"half as high", func(img *ports.Image) *ports.Image { return squashed(img, 1, 0.56) }, quality.ReasonDistorted, 0.6, 1},
			{"half as wide", func(img *ports.Image) *ports.Image { return squashed(img, 0.56, 1) }, quality.ReasonDistorted, 0.8, 1},
		} {
			found, said := 0, 0
			for _, one := range all {
				got, err := x.Detect(t.Context(), asPNG(t, c.change(one.img)), gate)
				require.NoError(t, err)
				if len(got.Faces) == 0 {
					continue
				}
				found++
				if c.reason == "" && len(got.Reasons) == 0 || slices.Contains(got.Reasons, c.reason) {
					said++
				}
				require.NotContains(t, got.Reasons, quality.ReasonBlurred, "%s %s", one.name, c.name)
			}
			share := float64(said) / float64(max(1, found))
			t.Logf("%s: %q of %d of %d found", c.name, c.reason, said, found)
			require.GreaterOrEqual(t, share, c.least, c.name)
			require.LessOrEqual(t, share, c.most, c.name)
		}
	})
}

// Nobody in the labelled pictures is refused for what is not wrong with them.
func TestGoodPicturesAreNotRefused(t *testing.T) {
	t.Parallel()
	p := pipeline.New(t)
	x, gate := p.Extractor(), gateOf(p)
	for _, one := range turnable(t, p) {
		got, err := x.Detect(t.Context(), fixture.Read(t, one.name), gate)
		require.NoError(t, err)
		require.Empty(t, got.Reasons, one.name)
	}
}
