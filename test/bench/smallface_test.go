package bench

import (
	"image"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/alignment"
	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// A small face is found in a large picture, wherever in it it lies: one of 40 pixels up
// to 16 million pixels, one of 80 in as many as are accepted.
func TestSmallFacesInLargePictures(t *testing.T) {
	t.Parallel()
	forModelPairs(t, func(t *testing.T, p *pipeline.Pipeline) {
		head := person007(t, p)
		x := p.Extractor()
		for _, c := range []struct {
			width, height int
			face          float64
			x, y          float64 // of the face's middle, as parts of the sides
		}{
			{8000, 2000, 80, 0.5, 0.5}, {8000, 2000, 42, 0.13, 0.7}, {2000, 8000, 60, 0.6, 0.87}, {4000, 4000, 42, 0.31, 0.33},
			{16000, 4000, 84, 0.77, 0.4}, {2400, 1600, 42, 0.9, 0.85},
		} {
			picture, box := withFace(t, p, head, c.width, c.height, c.face, c.x, c.y)
			found, err := x.Detect(t.Context(), picture, quality.Gate{})
			require.NoError(t, err)
			require.NotEmpty(t, found.Faces, "%+v", c)
			got := found.Faces[0].Box
			require.InDelta(t, box.X0, got.X0, 0.3*c.face, "%+v", c)
			require.InDelta(t, box.Y0, got.Y0, 0.3*c.face, "%+v", c)
			require.InDelta(t, c.face, got.Width(), 0.25*c.face, "%+v", c)
		}
	})
}

// head is a picture of a head and where its face lies.
type head struct {
	img  *ports.Image
	face ports.Box
}

func person007(t *testing.T, p *pipeline.Pipeline) head {
	t.Helper()
	picture := fixture.Read(t, "007_B.jpg")
	found, err := p.Extractor().Detect(t.Context(), picture, quality.Gate{})
	require.NoError(t, err)
	img, err := p.Decoder.Decode(t.Context(), picture, 0)
	require.NoError(t, err)
	return head{img, found.Faces[0].Box}
}

// withFace returns a JPEG of a landscape, as often as it fits, with a face of a width
// in it, and the face's box.
func withFace(t *testing.T, p *pipeline.Pipeline, h head, width, height int, face, x, y float64) ([]byte, ports.Box) {
	t.Helper()
	landscape, err := p.Decoder.Decode(t.Context(), fixture.Read(t, "017_0.jpg"), 0)
	require.NoError(t, err)
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for row := range height {
		for column := range width {
			copy(out.Pix[row*out.Stride+4*column:][:3], landscape.Pix[row%landscape.Height*landscape.Stride+3*(column%landscape.Width):])
			out.Pix[row*out.Stride+4*column+3] = 255
		}
	}
	scale := face / h.face.Width()
	side := int(2.4 * face)
	cut := ports.NewImage(side, side)
	centre := ports.Point{X: (h.face.X0 + h.face.X1) / 2, Y: (h.face.Y0 + h.face.Y1) / 2}
	new(alignment.Sampler).Crop(cut, h.img, alignment.Transform{A: scale, TX: float64(side)/2 - scale*centre.X, TY: float64(side)/2 - scale*centre.Y})
	left, top := int(x*float64(width))-side/2, int(y*float64(height))-side/2
	for row := range side {
		for column := range side {
			copy(out.Pix[(top+row)*out.Stride+4*(left+column):][:3], cut.Pix[row*cut.Stride+3*column:])
		}
	}
	picture := fixture.JPEG(t, out, 85)
	middle := ports.Point{X: float64(left) + float64(side)/2, Y: float64(top) + float64(side)/2}
	return picture, ports.Box{X0: middle.X - face/2, Y0: middle.Y - scale*h.face.Height()/2, X1: middle.X + face/2, Y1: math.Inf(1)}
}
