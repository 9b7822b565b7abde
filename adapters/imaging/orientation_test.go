package imaging

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// stored is how a picture that reads "ABC" over "DEF" when upright is stored
// under each orientation, row after row. Exif 3.0, 4.6.5.1.6 says for each which
// side of the picture the first row and the first column are.
var stored = map[orientation]string{
	1: "ABC DEF",  // first row at the top, first column at the left
	2: "CBA FED",  // top, right
	3: "FED CBA",  // bottom, right
	4: "DEF ABC",  // bottom, left
	5: "AD BE CF", // left, top
	6: "CF BE AD", // right, top
	7: "FC EB DA", // right, bottom
	8: "DA EB FC", // left, bottom
}

// letter is the colour of a letter.
func letter(c byte) color.RGBA {
	i := c - 'A'
	return color.RGBA{R: 20 + 40*i, G: 220 - 35*i, B: 60 * (i % 3), A: 255}
}

// draw returns the picture with each letter a square of side pixels.
func draw(text string, side int) image.Image {
	rows := strings.Fields(text)
	img := image.NewRGBA(image.Rect(0, 0, side*len(rows[0]), side*len(rows)))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.SetRGBA(x, y, letter(rows[y/side][x/side]))
		}
	}
	return img
}

// requireUpright checks the middle of every letter of the upright picture.
func requireUpright(t *testing.T, img *ports.Image, tolerance float64) {
	t.Helper()
	side := img.Height / 2
	require.Equal(t, 3*side, img.Width)
	require.Equal(t, 3*img.FullHeight, 2*img.FullWidth)
	for i := range 6 {
		got, want := pixel(img, i%3*side+side/2, i/3*side+side/2), letter('A'+byte(i))
		require.InDelta(t, want.R, got.R, tolerance)
		require.InDelta(t, want.G, got.G, tolerance)
		require.InDelta(t, want.B, got.B, tolerance)
	}
}

func TestOrientation(t *testing.T) {
	for o, text := range stored {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			exif := exifBody(order, uint16(o))
			for _, longSide := range []int{0, 24} {
				t.Run(fmt.Sprintf("JPEG %d %s %d", o, order, longSide), func(t *testing.T) {
					data := withSegment(fixture.JPEG(t, draw(text, 32), 95), markerAPP1, append([]byte(exifPrefix), exif...))
					img, err := newDecoder().Decode(t.Context(), data, longSide)
					require.NoError(t, err)
					requireUpright(t, img, 6)
				})
				t.Run(fmt.Sprintf("PNG %d %s %d", o, order, longSide), func(t *testing.T) {
					data := rgbPNG(t, draw(text, 32), [2]string{"eXIf", string(exif)})
					img, err := newDecoder().Decode(t.Context(), data, longSide)
					require.NoError(t, err)
					requireUpright(t, img, 0)
				})
			}
		}
	}
}

// The pixel truth, without any room for error.
func TestOrientationOfSinglePixels(t *testing.T) {
	for o, text := range stored {
		for _, interlaced := range []bool{false, true} {
			picture := draw(text, 1)
			size := picture.Bounds().Size()
			data := pngSpec{
				width: size.X, height: size.Y, depth: 8, colour: 2, interlaced: interlaced,
				before: [][2]string{{"eXIf", string(exifBody(binary.BigEndian, uint16(o)))}},
				sample: func(x, y, c int) int {
					p := picture.At(x, y).(color.RGBA)
					return int([]uint8{p.R, p.G, p.B}[c])
				},
			}.encode(t)
			img, err := newDecoder().Decode(t.Context(), data, 0)
			require.NoError(t, err)
			requireUpright(t, img, 0)
		}
	}
}

func TestParseOrientation(t *testing.T) {
	good := exifBody(binary.BigEndian, 6)
	change := func(at int, to ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[at:], to)
		return data
	}
	const second = 12 + tiffEntrySize // the entry that holds the orientation
	tests := map[string]struct {
		exif []byte
		want orientation
	}{
		"big endian":             {good, 6},
		"little endian":          {exifBody(binary.LittleEndian, 8), 8},
		"behind the prefix":      {append([]byte(exifPrefix), good...), 6},
		"nothing":                {nil, unknown},
		"prefix only":            {[]byte(exifPrefix), unknown},
		"header only":            {good[:8], unknown},
		"byte order":             {change(0, 'X', 'X'), unknown},
		"mixed byte order":       {change(0, 'I', 'I'), unknown},
		"magic number":           {change(2, 0, 43), unknown},
		"directory at the end":   {change(4, 0, 0, 0, byte(len(good))), unknown},
		"directory far away":     {change(4, 0xFF, 0xFF, 0xFF, 0xFF), unknown},
		"cut in the entry":       {good[:second+8], unknown},
		"entries cut, tag there": {change(10, 0xFF, 0xFF), 6},
		"entry not counted":      {change(10, 0, 1), unknown},
		"other tag":              {change(second, 0x01, 0x13), unknown},
		"two values":             {change(second+4, 0, 0, 0, 2), 6},
		"no values":              {change(second+4, 0, 0, 0, 0), unknown},
		"text":                   {change(second+2, 0, 2), unknown},
		"type 0":                 {change(second+2, 0, 0), unknown},
		"type 300":               {change(second+2, 1, 0x2c), unknown},
		"value 0":                {exifBody(binary.BigEndian, 0), unknown},
		"value 9":                {exifBody(binary.BigEndian, 9), unknown},
		"value 262":              {exifBody(binary.BigEndian, 0x0106), unknown},
		"out of range":           {change(second+2, 0, 4, 0, 0, 0, 2, 0, 0, 0, byte(len(good)-7)), unknown},
		"offset overflows":       {change(second+2, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), unknown},
		"second is good":         {append(twoEntries(0), 0, 0, 0, 0), 6},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, parseOrientation(test.exif))
		})
	}
}

const unknown orientation = 0

// twoEntries is a structure that has the tag twice, first with another value.
func twoEntries(first uint16) []byte {
	out := exifBody(binary.BigEndian, 6)
	copy(out[12:], binary.BigEndian.AppendUint16(nil, tagOrientation))
	copy(out[12+8:], binary.BigEndian.AppendUint16(nil, first))
	return out
}

// Whatever number the orientation is stored as, and however often, its first
// value counts, as it does for exiftool, exiv2 and Pillow.
func TestOrientationTypes(t *testing.T) {
	orders := map[string]binary.AppendByteOrder{"big endian": binary.BigEndian, "little endian": binary.LittleEndian}
	for name, order := range orders {
		value := map[uint16]func(v int16) []byte{
			1: func(v int16) []byte { return []byte{byte(v)} },
			3: func(v int16) []byte { return order.AppendUint16(nil, uint16(v)) },
			4: func(v int16) []byte { return order.AppendUint32(nil, uint32(int32(v))) },
			5: func(v int16) []byte { return order.AppendUint32(order.AppendUint32(nil, 2*uint32(int32(v))), 2) },
			6: func(v int16) []byte { return []byte{byte(v)} },
			8: func(v int16) []byte { return order.AppendUint16(nil, uint16(v)) },
			9: func(v int16) []byte { return order.AppendUint32(nil, uint32(int32(v))) },
			10: func(v int16) []byte {
				return order.AppendUint32(order.AppendUint32(nil, uint32(-2*int32(v))), math.MaxUint32-1)
			},
			11: func(v int16) []byte { return order.AppendUint32(nil, math.Float32bits(float32(v))) },
			12: func(v int16) []byte { return order.AppendUint64(nil, math.Float64bits(float64(v))) },
			13: func(v int16) []byte { return order.AppendUint32(nil, uint32(int32(v))) },
		}
		for kind, encode := range value {
			for count := 1; count <= 5; count++ {
				for v := int16(-1); v <= 10; v++ {
					values := slices.Concat(encode(v), bytes.Repeat(encode(3), count-1))
					want := orientation(v)
					if v < 1 || v > 8 {
						want = unknown
					}
					require.Equal(t, want, parseOrientation(exifOf(order, kind, uint32(count), values)), "%s, type %d, count %d, value %d", name, kind, count, v)
				}
			}
		}
	}
	for _, bits := range []uint64{math.Float64bits(5.5), math.Float64bits(math.NaN()), math.Float64bits(math.Inf(1))} {
		require.Equal(t, unknown, parseOrientation(exifOf(binary.BigEndian, 12, 1, binary.BigEndian.AppendUint64(nil, bits))))
	}
	require.Equal(t, unknown, parseOrientation(exifOf(binary.BigEndian, 5, 1, []byte{0, 0, 0, 6, 0, 0, 0, 0})), "6/0")
}

// exifOf returns a structure whose one tag is an orientation of some type. Values
// of more than four bytes lie behind the directory.
func exifOf(order binary.AppendByteOrder, kind uint16, count uint32, values []byte) []byte {
	const end = tiffHeaderSize + 2 + tiffEntrySize + 4
	out := bytes.Clone(exifBody(order, 0)[:4])
	out = order.AppendUint32(out, tiffHeaderSize)
	out = order.AppendUint16(out, 1)
	out = order.AppendUint16(order.AppendUint16(out, tagOrientation), kind)
	out = order.AppendUint32(out, count)
	if len(values) > 4 {
		out = order.AppendUint32(order.AppendUint32(out, end), 0)
		return append(out, values...)
	}
	out = append(append(out, values...), make([]byte, 4-len(values))...)
	return order.AppendUint32(out, 0)
}

// The first Exif block that says something counts, and one whose checksum is wrong
// does not.
func TestOrientationBlocks(t *testing.T) {
	turn := func(o uint16) string { return string(exifBody(binary.BigEndian, o)) }
	picture := draw(stored[6], 8)
	plain := rgbPNG(t, picture)
	end := len(plain) - chunkOverhead
	late := append(appendChunk(bytes.Clone(plain[:end]), "eXIf", []byte(turn(6))), plain[end:]...)
	broken := rgbPNG(t, picture, [2]string{"eXIf", turn(3)}, [2]string{"eXIf", turn(6)})
	broken[len(pngSignature)+chunkOverhead+ihdrSize+8] ^= 1
	jpeg := withSegment(fixture.JPEG(t, draw(stored[6], 16), 95), markerAPP1, []byte(exifPrefix+turn(3)))
	jpeg = withSegment(jpeg, markerAPP1, []byte(exifPrefix+turn(6)))
	// As ImageMagick writes it.
	profile := func(o uint16) string {
		exif := exifPrefix + turn(o)
		digits := hex.EncodeToString([]byte(exif))
		return fmt.Sprintf("\nexif\n%8d\n%s\n%s\n", len(exif), digits[:36], digits[36:])
	}
	packed := func(text string) string { return "\x00" + string(deflate(t, []byte(text))) }
	bomb := packed(strings.Repeat(" ", 64<<20))
	tests := map[string][]byte{
		"PNG, profile":            rgbPNG(t, picture, [2]string{"zTXt", "Raw profile type exif\x00" + packed(profile(6))}),
		"PNG, profile not packed": rgbPNG(t, picture, [2]string{"tEXt", "Raw profile type APP1\x00" + profile(6)}),
		"PNG, other profile":      rgbPNG(t, picture, [2]string{"tEXt", "Raw profile type iptc\x00" + profile(3)}, [2]string{"tEXt", "Raw profile type exif\x00" + profile(6)}),
		"PNG, broken profile":     rgbPNG(t, picture, [2]string{"zTXt", "Raw profile type exif\x00\x00x"}, [2]string{"eXIf", turn(6)}),
		"PNG, endless profile":    rgbPNG(t, picture, [2]string{"zTXt", "Raw profile type exif\x00" + bomb}, [2]string{"eXIf", turn(6)}),
		"PNG, first profile":      rgbPNG(t, picture, [2]string{"zTXt", "Raw profile type exif\x00" + bomb}, [2]string{"tEXt", "Raw profile type exif\x00" + profile(3)}, [2]string{"eXIf", turn(6)}),
		"PNG, empty profiles":     rgbPNG(t, picture, [2]string{"zTXt", "Raw profile type exif"}, [2]string{"tEXt", "Raw profile type \x00"}, [2]string{"eXIf", turn(6)}),
		"PNG, first of two":       rgbPNG(t, picture, [2]string{"eXIf", turn(6)}, [2]string{"eXIf", turn(3)}),
		"PNG, behind the data":    late,
		"PNG, broken and sound":   broken,
		"JPEG, first of two":      jpeg,
		"JPEG, first without":     withSegment(jpeg, markerAPP1, []byte(exifPrefix+"MM\x00*")),
		"PNG, first without":      rgbPNG(t, picture, [2]string{"eXIf", turn(0)}, [2]string{"eXIf", turn(6)}),
		"JPEG, behind XMP":        withSegment(jpeg, markerAPP1, []byte("http://ns.adobe.com/xap/1.0/\x00<x/>")),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), data, 0)
			require.NoError(t, err)
			requireUpright(t, img, 6)
		})
	}
}
