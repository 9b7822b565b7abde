package extraction_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// noEmbedder fails the test that makes a template.
func noEmbedder(context.Context, []*ports.Chip) ([][]float32, error) {
	panic("detection makes no template")
}

// A picture of 2560 pixels is looked at in a copy reduced four times; what is
// found is told in pixels of the original, whose corner is the fixed point.
func TestDetectAnswersInPixelsOfTheOriginal(t *testing.T) {
	x := extraction.New(&decoder{width: 2560, height: 1280}, fixed(faceOf(100, 50, 80), faceOf(300, 60, 200)), embedFunc(noEmbedder), one)
	d, err := x.Detect(t.Context(), nil, quality.Gate{})
	require.NoError(t, err)
	require.Equal(t, 2560, d.Width)
	require.Equal(t, 1280, d.Height)
	require.Empty(t, d.Reasons)
	require.Len(t, d.Faces, 2)
	require.Equal(t, ports.Box{X0: 1201.5, Y0: 241.5, X1: 2001.5, Y1: 1041.5}, d.Faces[0].Box, "the largest first")
	require.Equal(t, ports.Box{X0: 401.5, Y0: 201.5, X1: 721.5, Y1: 521.5}, d.Faces[1].Box)
	for i, p := range faceOf(1201.5, 241.5, 800).Landmarks {
		require.InDelta(t, p.X, d.Faces[0].Landmarks[i].X, 2)
		require.InDelta(t, p.Y, d.Faces[0].Landmarks[i].Y, 2)
	}
}

// The landmarks of a small face come from a finer copy than its box.
func TestDetectCarriesLandmarksOfAFinerCopy(t *testing.T) {
	x := extraction.New(&decoder{width: 4000, height: 3000}, fixed(faceOf(100, 100, 56)), embedFunc(noEmbedder), one)
	d, err := x.Detect(t.Context(), nil, quality.Gate{MinFaceWidth: 225})
	require.NoError(t, err)
	require.Equal(t, 224.0, d.Faces[0].Box.Width(), "56 pixels of a copy reduced four times")
	for i, p := range faceOf(400, 400, 224).Landmarks {
		require.InDelta(t, p.X, d.Faces[0].Landmarks[i].X, 2)
		require.InDelta(t, p.Y, d.Faces[0].Landmarks[i].Y, 2)
	}
	require.Equal(t, []string{quality.ReasonTooSmall}, d.Reasons)
}

func TestDetectSaysThatThereIsNoFace(t *testing.T) {
	x := extraction.New(&decoder{width: 100, height: 80}, fixed(), embedFunc(noEmbedder), one)
	d, err := x.Detect(t.Context(), nil, quality.Gate{})
	require.NoError(t, err)
	require.Equal(t, extraction.Detection{Width: 100, Height: 80, Reasons: []string{extraction.ReasonNoFace}}, d)
}

// Detection waits in the same queue as enrolments and searches.
func TestDetectIsAdmittedLikeEverything(t *testing.T) {
	busy, release := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(busy) })
	detect := func(context.Context, *ports.Image, int) ([]ports.Face, error) {
		begin()
		<-release
		return nil, nil
	}
	x := extraction.New(&decoder{width: 100, height: 100}, detectFunc(detect), embedFunc(unit), extraction.Options{Workers: 1, DetectSizes: []int{640}})
	done := make(chan error, 1)
	go func() {
		_, err := x.Probe(context.Background(), nil)
		done <- err
	}()
	<-busy
	_, err := x.Detect(t.Context(), nil, quality.Gate{})
	require.ErrorIs(t, err, ports.ErrOverloaded)
	close(release)
	require.ErrorIs(t, <-done, ports.ErrInvalid)
}
