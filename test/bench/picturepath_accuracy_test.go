package bench

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// wholeDecoder decodes every picture at its full size.
type wholeDecoder struct{ ports.Decoder }

func (d wholeDecoder) Decode(ctx context.Context, data []byte, _ int) (*ports.Image, error) {
	return d.Decoder.Decode(ctx, data, 0)
}

// wholeSize is up to which longer side the reference looks for faces at a picture's
// full size. Faces of larger pictures exceed the largest that the network knows: it
// looks at those, decoded whole, at the largest size of the settings.
const wholeSize = 1280

// portraits are the portraits, of two people.
var portraits = []string{"obama.jpg", "obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg", "biden.jpg", "32bit.png"}

// Decoding at the smallest sufficient scale and looking at a small copy first
// loses neither a face nor accuracy against decoding every picture at its full
// size and looking for faces at that.
func TestReducedPicturesLoseNothing(t *testing.T) {
	t.Parallel()
	for _, pair := range pipeline.Pairs(t) {
		t.Run(pair.Detector+"+"+pair.Embedder, func(t *testing.T) { requireNoLoss(t, pipeline.With(t, pair)) })
	}
}

// leastCosine is what a template keeps: less with OpenCV's pair, whose detector measures
// the landmarks of some pictures otherwise when few pixels change.
func leastCosine(p *pipeline.Pipeline) float64 {
	if p.Config.Models.Embedder == "mobilefacenet" {
		return 0.98
	}
	return 0.96
}

func requireNoLoss(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	least, sizes := leastCosine(p), p.Config.Inference.DetectSizes
	reduced := p.Extractor()
	p.Decoder = wholeDecoder{p.Decoder}
	p.Config.Inference.DetectSizes = []int{wholeSize}
	whole := p.Extractor()
	p.Config.Inference.DetectSizes = sizes[len(sizes)-1:]
	large := p.Extractor()
	compare := func(t *testing.T, picture []byte) {
		t.Helper()
		img, err := p.Decoder.Decode(t.Context(), picture, 0)
		require.NoError(t, err)
		if max(img.Width, img.Height) > wholeSize {
			requireSame(t, picture, large, reduced, least)
		} else {
			requireSame(t, picture, whole, reduced, least)
		}
	}
	for _, name := range portraits {
		t.Run(name, func(t *testing.T) { compare(t, fixture.ReadPortrait(t, name)) })
	}
	fixture.Faces(t)
	for _, name := range []string{
		"000_5.jpg", "001_A.jpg", "003_A.jpg", "005_A.jpg", "007_B.jpg", "009_C.jpg", "010_2.jpg", "012_4.jpg",
		"014_5.jpg", "016_8.jpg", "017_0.jpg", "cast/group1.jpg", "cast/group3.jpg",
		"cast/amy1.png", "cast/bernadette2.png", "cast/howard3.png", "cast/leonard4.png",
		"cast/penny5.png", "cast/raj1.png", "cast/sheldon2.png", "cast/stuart3.png",
	} {
		t.Run(name, func(t *testing.T) { compare(t, fixture.Read(t, name)) })
	}
}

// requireSame holds what one extractor makes of a picture against another.
func requireSame(t *testing.T, picture []byte, reference, tested *extraction.Extractor, least float64) {
	t.Helper()
	want, err := reference.Detect(t.Context(), picture, quality.Gate{})
	require.NoError(t, err)
	got, err := tested.Detect(t.Context(), picture, quality.Gate{})
	require.NoError(t, err)
	// What the reference is hardly sure of may be missed: in 016_8 it has a ninth face of
	// 18 pixels.
	want.Faces = slices.DeleteFunc(want.Faces, func(f ports.Face) bool { return f.Score < 0.75 })
	require.Len(t, got.Faces, len(want.Faces))
	for _, f := range want.Faces {
		require.Less(t, distance(f, nearest(got.Faces, f)), 0.03*float64(max(want.Width, want.Height)), "noses")
	}
	if len(want.Faces) == 0 {
		return
	}
	// Of faces of nearly one size, either may be the largest.
	if chosen := nearest(want.Faces, got.Faces[0]); chosen != want.Faces[0] {
		require.Greater(t, chosen.Box.Area(), 0.9*want.Faces[0].Box.Area(), "another face is taken for the largest")
		return
	}
	expected, err := reference.Probe(t.Context(), picture)
	require.NoError(t, err)
	template, err := tested.Probe(t.Context(), picture)
	require.NoError(t, err)
	require.GreaterOrEqual(t, cosine(expected, template), least)
}

// nearest returns the face whose nose is nearest to another's.
func nearest(faces []ports.Face, to ports.Face) ports.Face {
	return slices.MinFunc(faces, func(a, b ports.Face) int { return cmp.Compare(distance(a, to), distance(b, to)) })
}

// distance is that of two noses.
func distance(a, b ports.Face) float64 {
	p, q := a.Landmarks[ports.Nose], b.Landmarks[ports.Nose]
	return math.Hypot(p.X-q.X, p.Y-q.Y)
}

func cosine(a, b []float32) (dot float64) {
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
	}
	return dot
}
