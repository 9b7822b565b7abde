package e2e

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

func template(t testing.TB, p *pipeline.Pipeline, picture []byte) []float32 {
	t.Helper()
	v, err := p.Extractor().Probe(t.Context(), picture)
	require.NoError(t, err)
	return v
}

// noses are the annotated positions of faces/README.md, in pixels of the
// upright picture.
var noses = map[string][][2]float64{
	"000_5.jpg": {{219, 105}, {304, 251}, {392, 218}, {469, 309}, {600, 299}},
	"001_A.jpg": {{2109, 2261}}, "003_A.jpg": {{3210, 1382}}, "005_A.jpg": {{2092, 2871}},
	"007_B.jpg": {{205, 299}}, "009_C.jpg": {{166, 236}},
	"010_2.jpg": {{348, 232}, {506, 262}},
	"012_4.jpg": {{214, 213}, {314, 242}, {438, 233}, {625, 247}},
	"014_5.jpg": {{98, 283}, {207, 265}, {405, 175}, {602, 270}, {687, 305}},
	"016_8.jpg": {{197, 277}, {262, 171}, {261, 292}, {355, 282}, {437, 212}, {452, 288}, {517, 163}, {684, 202}},
	"017_0.jpg": nil,
}

// Every annotated nose is matched by a detection and there is no other face.
// The annotations are good to about 2 % of the picture's longer side; one more
// per cent is left to the detector.
func TestEveryAnnotatedFaceIsFound(t *testing.T) {
	t.Parallel()
	p := pipeline.New(t)
	size := p.Config.Inference.DetectSizes[len(p.Config.Inference.DetectSizes)-1]
	for file, want := range noses {
		img, err := p.Decoder.Decode(t.Context(), fixture.Read(t, file), size)
		require.NoError(t, err, file)
		faces, err := p.Detector.Detect(t.Context(), img, size)
		require.NoError(t, err, file)
		require.Len(t, faces, len(want), file)
		tolerance := 0.03 * float64(max(img.FullWidth, img.FullHeight))
		for _, nose := range want {
			nearest := math.Inf(1)
			for _, f := range faces {
				n := f.Landmarks[ports.Nose]
				nearest = min(nearest, math.Hypot(n.X*img.Reduction()-nose[0], n.Y*img.Reduction()-nose[1]))
			}
			require.LessOrEqual(t, nearest, tolerance, "%s: nose at %v", file, nose)
		}
	}
}

// Copies of a picture that differ in size, in the orientation that EXIF
// restores, or by a turn of the camera keep the template.
func TestTemplateSurvivesCopies(t *testing.T) {
	t.Parallel()
	for _, pair := range pipeline.Pairs(t) {
		t.Run(pair.Detector+"+"+pair.Embedder, func(t *testing.T) {
			p := pipeline.With(t, pair)
			pictures := map[string][]byte{}
			for _, name := range []string{"obama.jpg", "biden.jpg"} {
				pictures[name] = fixture.ReadPortrait(t, name)
			}
			requireSurvival(t, p, pictures, 2)
			t.Run("labelled", func(t *testing.T) {
				labelled := map[string][]byte{}
				for _, name := range []string{"007_B.jpg", "009_C.jpg", "001_A.jpg"} {
					labelled[name] = fixture.Read(t, name)
				}
				requireSurvival(t, p, labelled, 8)
			})
		})
	}
}

// leastCosines are what a template keeps in an upright copy of its picture and in a
// turned one. OpenCV's pair keeps less in some pictures: in 009_C its detector measures
// the landmarks otherwise as soon as the file is compressed again.
func leastCosines(p *pipeline.Pipeline) (upright, turned float64) {
	if p.Config.Models.Embedder == "mobilefacenet" {
		return 0.98, 0.97
	}
	return 0.94, 0.92
}

// requireSurvival reduces large pictures by a factor.
func requireSurvival(t *testing.T, p *pipeline.Pipeline, pictures map[string][]byte, factor int) {
	t.Helper()
	least, leastTurned := leastCosines(p)
	for file, picture := range pictures {
		want := template(t, p, picture)
		img, err := p.Decoder.Decode(t.Context(), picture, 0)
		require.NoError(t, err)
		small := max(img.Width, img.Height) < 1000
		for orientation := uint16(1); orientation <= 8; orientation++ {
			source := img
			if !small {
				source, err = p.Decoder.Decode(t.Context(), picture, 1000)
				require.NoError(t, err)
			}
			copied := withOrientation(encode(t, disorient(source, orientation)), orientation)
			require.GreaterOrEqual(t, cosine(want, template(t, p, copied)), least, "%s: EXIF orientation %d", file, orientation)
		}
		for _, degrees := range []float64{-20, 8} {
			source, err := p.Decoder.Decode(t.Context(), picture, 1000)
			require.NoError(t, err)
			turned := encode(t, turn(source, degrees))
			require.GreaterOrEqual(t, cosine(want, template(t, p, turned)), leastTurned, "%s: turned by %v degrees", file, degrees)
		}
		if small {
			enlarged := encode(t, enlarge(img, 8))
			require.GreaterOrEqual(t, cosine(want, template(t, p, enlarged)), least, "%s: 8 times as large", file)
		} else {
			reduced, err := p.Decoder.Decode(t.Context(), picture, max(img.Width, img.Height)/factor)
			require.NoError(t, err)
			require.GreaterOrEqual(t, cosine(want, template(t, p, encode(t, reduced))), least, "%s: reduced by %d", file, factor)
		}
	}
}

func cosine(a, b []float32) (dot float64) {
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
	}
	return dot
}

func encode(t testing.TB, img *ports.Image) []byte {
	t.Helper()
	return fixture.JPEG(t, fixture.RGBA(img.Pix, img.Stride, img.Width, img.Height), 95)
}

// remap makes a picture whose pixel (x, y) is the bilinear sample of img at at(x, y).
func remap(img *ports.Image, width, height int, at func(x, y float64) (float64, float64)) *ports.Image {
	out := ports.NewImage(width, height)
	for y := range height {
		for x := range width {
			sx, sy := at(float64(x), float64(y))
			x0, y0 := int(math.Floor(sx)), int(math.Floor(sy))
			fx, fy := sx-float64(x0), sy-float64(y0)
			for c := range 3 {
				v := (pixel(img, x0, y0, c)*(1-fx)+pixel(img, x0+1, y0, c)*fx)*(1-fy) +
					(pixel(img, x0, y0+1, c)*(1-fx)+pixel(img, x0+1, y0+1, c)*fx)*fy
				out.Pix[y*out.Stride+3*x+c] = byte(v + 0.5)
			}
		}
	}
	return out
}

func pixel(img *ports.Image, x, y, c int) float64 {
	x, y = min(max(x, 0), img.Width-1), min(max(y, 0), img.Height-1)
	return float64(img.Pix[y*img.Stride+3*x+c])
}

// enlarge repeats every pixel f times in each direction.
func enlarge(img *ports.Image, f int) *ports.Image {
	out := ports.NewImage(img.Width*f, img.Height*f)
	for y := range img.Height {
		row := out.Pix[y*f*out.Stride:][:out.Stride]
		for x := range img.Width {
			row = append(row[:3*f*x], bytes.Repeat(img.Pix[y*img.Stride+3*x:][:3], f)...)
		}
		for i := 1; i < f; i++ {
			copy(out.Pix[(y*f+i)*out.Stride:], row)
		}
	}
	return out
}

func turn(img *ports.Image, degrees float64) *ports.Image {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	cx, cy := float64(img.Width-1)/2, float64(img.Height-1)/2
	return remap(img, img.Width, img.Height, func(x, y float64) (float64, float64) {
		return cx + cos*(x-cx) + sin*(y-cy), cy - sin*(x-cx) + cos*(y-cy)
	})
}

// disorient stores an upright picture the way a camera that writes the given
// EXIF orientation would have.
func disorient(img *ports.Image, orientation uint16) *ports.Image {
	w, h := img.Width-1, img.Height-1
	// at maps a stored pixel to the upright one (Exif 2.32, table 6).
	at := map[uint16]func(x, y int) (int, int){
		1: func(x, y int) (int, int) { return x, y },
		2: func(x, y int) (int, int) { return w - x, y },
		3: func(x, y int) (int, int) { return w - x, h - y },
		4: func(x, y int) (int, int) { return x, h - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return w - y, x },
		7: func(x, y int) (int, int) { return w - y, h - x },
		8: func(x, y int) (int, int) { return y, h - x },
	}[orientation]
	stored := ports.NewImage(img.Width, img.Height)
	if orientation >= 5 {
		stored = ports.NewImage(img.Height, img.Width)
	}
	for y := range stored.Height {
		for x := range stored.Width {
			sx, sy := at(x, y)
			copy(stored.Pix[y*stored.Stride+3*x:][:3], img.Pix[sy*img.Stride+3*sx:])
		}
	}
	return stored
}

// withOrientation inserts an EXIF segment behind the JPEG's start marker.
func withOrientation(data []byte, orientation uint16) []byte {
	tiff := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	tiff = binary.BigEndian.AppendUint16(tiff, orientation)
	tiff = append(tiff, 0, 0, 0, 0, 0, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{}, data[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(segment)+2))
	out = append(out, segment...)
	return append(out, data[2:]...)
}
