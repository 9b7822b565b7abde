package imaging

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// spot draws a soft round spot.
type spot struct {
	width, height int
	x, y, radius  float64
}

func (s spot) ColorModel() color.Model { return color.GrayModel }
func (s spot) Bounds() image.Rectangle { return image.Rect(0, 0, s.width, s.height) }
func (s spot) At(x, y int) color.Color {
	dx, dy := float64(x)-s.x, float64(y)-s.y
	return color.Gray{Y: uint8(20 + 220*math.Exp(-(dx*dx+dy*dy)/(2*s.radius*s.radius)) + 0.5)}
}

// centre returns the centre of gravity of what is brighter than the ground, in
// pixels of a copy f times as large: pixel x is centred on f*x + (f-1)/2.
func centre(img *ports.Image, f float64) (x, y float64) {
	var sum, sumX, sumY float64
	for py := range img.Height {
		for px := range img.Width {
			v := max(0, float64(pixel(img, px, py).G)-24)
			sum, sumX, sumY = sum+v, sumX+v*float64(px), sumY+v*float64(py)
		}
	}
	return f*sumX/sum + (f-1)/2, f*sumY/sum + (f-1)/2
}

// Nothing moves when a picture is reduced, in either format, whichever way it
// is turned.
func TestReductionKeepsPositions(t *testing.T) {
	s := spot{width: 320, height: 240, x: 171, y: 98, radius: 15}
	plain := map[string][]byte{"JPEG": fixture.JPEG(t, s, 100), "PNG": rgbPNG(t, s)}
	for o := upright; o <= 8; o++ {
		exif := exifBody(binary.BigEndian, uint16(o))
		files := map[string][]byte{
			"JPEG": withSegment(plain["JPEG"], markerAPP1, append([]byte(exifPrefix), exif...)),
			"PNG":  rgbPNG(t, s, [2]string{"eXIf", string(exif)}),
		}
		wantX, wantY := turned(o, s.x, s.y, s.width, s.height)
		for format, data := range files {
			for _, factor := range []int{1, 2, 4, 8} {
				img, err := newDecoder().Decode(t.Context(), data, 320/factor)
				require.NoError(t, err)
				require.Equal(t, 320/factor, max(img.Width, img.Height))
				x, y := centre(img, float64(factor))
				require.InDelta(t, wantX, x, 0.1, "%s, orientation %d, reduced by %d", format, o, factor)
				require.InDelta(t, wantY, y, 0.1, "%s, orientation %d, reduced by %d", format, o, factor)
			}
		}
	}
}

// turned returns where a position of the stored picture is when upright (Exif
// 3.0, 4.6.5.1.6).
func turned(o orientation, x, y float64, width, height int) (float64, float64) {
	right, bottom := float64(width-1)-x, float64(height-1)-y
	at := [][2]float64{
		1: {x, y}, 2: {right, y}, 3: {right, bottom}, 4: {x, bottom},
		5: {y, x}, 6: {bottom, x}, 7: {bottom, right}, 8: {y, right},
	}[o]
	return at[0], at[1]
}

// A PNG's cells start at the upright corner even where its sides are no
// multiple of the factor.
func TestPNGReductionOfOddSidesKeepsPositions(t *testing.T) {
	s := spot{width: 323, height: 241, x: 171, y: 98, radius: 15}
	for o := upright; o <= 8; o++ {
		data := rgbPNG(t, s, [2]string{"eXIf", string(exifBody(binary.LittleEndian, uint16(o)))})
		img, err := newDecoder().Decode(t.Context(), data, 65)
		require.NoError(t, err)
		require.Equal(t, 65, max(img.Width, img.Height))
		wantX, wantY := turned(o, s.x, s.y, s.width, s.height)
		x, y := centre(img, 5)
		require.InDelta(t, wantX, x, 0.1, "orientation %d", o)
		require.InDelta(t, wantY, y, 0.1, "orientation %d", o)
	}
}
