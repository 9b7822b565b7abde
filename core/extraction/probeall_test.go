package extraction_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// Of many faces the largest are taken, the largest first, by one detection in
// each turn of the picture, one embedding and few decodings, and each is told as if it were alone.
func TestProbeAll(t *testing.T) {
	var faces []ports.Face
	for i := range 20 {
		faces = append(faces, faceOf(float64(10+45*(i%5)), float64(10+45*(i/5)), float64(20+i)))
	}
	faces[3].Landmarks = ports.Landmarks{} // cannot be aligned, and is small
	whole, embedded := 0, []int{}
	detect := func(_ context.Context, img *ports.Image, size int) ([]ports.Face, error) {
		if size != 640 {
			return nil, nil
		}
		whole++
		return faces, nil
	}
	embed := func(_ context.Context, chips []*ports.Chip) (vectors [][]float32, err error) {
		embedded = append(embedded, len(chips))
		for i := range chips {
			vectors = append(vectors, []float32{float32(i)})
		}
		return vectors, nil
	}
	d := &decoder{width: 4000, height: 3000}
	x := extraction.New(d, detectFunc(detect), embedFunc(embed), one)
	got, err := x.ProbeAll(t.Context(), nil, 16, quality.Gate{MinFaceWidth: 150})
	require.NoError(t, err)
	require.Len(t, got, 16)
	require.Equal(t, 4, whole, "once in each turn")
	require.Equal(t, []int{16}, embedded)
	require.LessOrEqual(t, len(d.sizes), 3, "once as it is, finer for the largest, finest for all others: %v", d.sizes)
	require.Empty(t, d.lent)
	for i, one := range got {
		require.Equal(t, float32(i), one.Vector[0])
		require.InDelta(t, 4*float64(39-i), one.Explanation.Box.Width(), 1e-9)
		require.Equal(t, 20, one.Explanation.Faces)
		require.Equal(t, 4*(39-i) < 150, len(one.Explanation.Reasons) == 1)
	}
	got, err = x.ProbeAll(t.Context(), nil, 20, quality.Gate{})
	require.NoError(t, err)
	require.Len(t, got, 19, "but the one that cannot be aligned")
	first, err := x.ProbeAll(t.Context(), nil, 1, quality.Gate{})
	require.NoError(t, err)
	require.Len(t, first, 1)
	_, err = extraction.New(d, fixed(), embedFunc(embed), one).ProbeAll(t.Context(), nil, 16, quality.Gate{})
	require.ErrorIs(t, err, ports.ErrInvalid)
}
