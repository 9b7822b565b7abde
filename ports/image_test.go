package ports_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestReductionIsTheWholeNumber(t *testing.T) {
	for _, c := range []struct {
		full, f int
	}{{1000, 1}, {1001, 2}, {1001, 8}, {7360, 4}, {999, 5}, {65500, 8}} {
		side := (c.full + c.f - 1) / c.f
		wide := ports.Image{Width: side, Height: 1, FullWidth: c.full, FullHeight: c.f}
		tall := ports.Image{Width: 1, Height: side, FullWidth: c.f, FullHeight: c.full}
		require.Equal(t, float64(c.f), wide.Reduction(), "%+v", c)
		require.Equal(t, float64(c.f), tall.Reduction(), "%+v", c)
	}
}

func TestNewImageIsItsOwnOriginal(t *testing.T) {
	img := ports.NewImage(3, 2)
	require.Equal(t, 1.0, img.Reduction())
	require.Len(t, img.Pix, 18)
	require.Equal(t, 9, img.Stride)
}
