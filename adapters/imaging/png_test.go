package imaging

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

func newDecoder() *Decoder { return New(config.Default().Server.Limits) }

// noise is a repeatable sample of the given depth.
func noise(depth int) func(x, y, c int) int {
	return func(x, y, c int) int { return (x*7919 + y*104729 + c*1299709) >> 2 & (1<<depth - 1) }
}

// Every colour type, bit depth and interlace that PNG has, against image/png.
func TestPNGKinds(t *testing.T) {
	depths := map[byte][]int{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}}
	for colour, list := range depths {
		for _, depth := range list {
			for _, interlaced := range []bool{false, true} {
				t.Run(fmt.Sprintf("colour type %d, %d bits, interlaced %t", colour, depth, interlaced), func(t *testing.T) {
					s := pngSpec{width: 37, height: 21, depth: depth, colour: colour, interlaced: interlaced, sample: noise(depth)}
					if colour == 3 {
						s.palette = testPalette(1 << depth)
					}
					requireLikeStandardLibrary(t, s.encode(t), depth/16)
				})
			}
		}
	}
}

func testPalette(n int) []byte {
	var p []byte
	for i := range n {
		p = append(p, byte(i*31), byte(255-i*17), byte(i*83))
	}
	return p
}

// requireLikeStandardLibrary compares an opaque picture with image/png, which
// drops the lower half of 16 bits where libpng rounds.
func requireLikeStandardLibrary(t *testing.T, data []byte, tolerance int) {
	t.Helper()
	want, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	got, err := newDecoder().Decode(t.Context(), data, 0)
	require.NoError(t, err)
	require.Equal(t, want.Bounds().Size(), image.Pt(got.Width, got.Height))
	for y := range got.Height {
		for x := range got.Width {
			w := color.RGBAModel.Convert(want.At(x, y)).(color.RGBA)
			g := pixel(got, x, y)
			worst := max(abs(int(w.R)-int(g.R)), abs(int(w.G)-int(g.G)), abs(int(w.B)-int(g.B)))
			require.LessOrEqual(t, worst, tolerance, "pixel (%d, %d): got %v, want %v", x, y, g, w)
		}
	}
}

// What is transparent shows white, what is opaque its own colour, and what lies
// between is between them.
func TestPNGAlpha(t *testing.T) {
	ramp := func(x, _, c, depth, alpha int) int {
		full := 1<<depth - 1
		if c == alpha {
			return full * x / 4
		}
		return []int{full / 4, full / 2, 0}[c]
	}
	for _, depth := range []int{8, 16} {
		for colour, alpha := range map[byte]int{4: 1, 6: 3} {
			for _, interlaced := range []bool{false, true} {
				t.Run(fmt.Sprintf("colour type %d, %d bits, interlaced %t", colour, depth, interlaced), func(t *testing.T) {
					img, err := newDecoder().Decode(t.Context(), pngSpec{
						width: 5, height: 3, depth: depth, colour: colour, interlaced: interlaced,
						sample: func(x, y, c int) int { return ramp(x, y, c, depth, alpha) },
					}.encode(t), 0)
					require.NoError(t, err)
					for y := range img.Height {
						require.Equal(t, color.RGBA{R: 255, G: 255, B: 255, A: 255}, pixel(img, 0, y))
						require.InDelta(t, 63, int(pixel(img, 4, y).R), 1)
						for x := 1; x < img.Width; x++ {
							require.Less(t, pixel(img, x, y).R, pixel(img, x-1, y).R)
						}
					}
				})
			}
		}
	}
}

func TestPNGTransparentColour(t *testing.T) {
	white := color.RGBA{R: 255, G: 255, B: 255, A: 255}
	tests := map[string]struct {
		spec pngSpec
		want []color.RGBA // of the pixels of the first row
	}{
		"palette entry": {
			spec: pngSpec{
				width: 3, height: 1, depth: 2, colour: 3,
				palette: []byte{10, 20, 30, 40, 50, 60, 70, 80, 90}, transparency: []byte{255, 0},
				sample: func(x, _, _ int) int { return x },
			},
			want: []color.RGBA{{R: 10, G: 20, B: 30, A: 255}, white, {R: 70, G: 80, B: 90, A: 255}},
		},
		"gray level": {
			spec: pngSpec{
				width: 2, height: 1, depth: 4, colour: 0, transparency: []byte{0, 3},
				sample: func(x, _, _ int) int { return 3 + x },
			},
			want: []color.RGBA{white, {R: 68, G: 68, B: 68, A: 255}},
		},
		"colour": {
			spec: pngSpec{
				width: 2, height: 1, depth: 8, colour: 2, transparency: []byte{0, 5, 0, 6, 0, 7},
				sample: func(x, _, c int) int { return 5 + x + c },
			},
			want: []color.RGBA{white, {R: 6, G: 7, B: 8, A: 255}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), test.spec.encode(t), 0)
			require.NoError(t, err)
			for x, want := range test.want {
				require.Equal(t, want, pixel(img, x, 0))
			}
		})
	}
}

// A 16-bit file without a gamma chunk is sRGB, its samples are rounded and not
// cut, and a gamma chunk counts.
func TestPNGGamma(t *testing.T) {
	grey := pngSpec{width: 1, height: 1, depth: 16, sample: func(int, int, int) int { return 128 * 257 }}
	img, err := newDecoder().Decode(t.Context(), grey.encode(t), 0)
	require.NoError(t, err)
	require.EqualValues(t, 128, img.Pix[0])

	dark := grey
	dark.sample = func(int, int, int) int { return 200 } // 200/257 is nearer to 1 than to 0
	img, err = newDecoder().Decode(t.Context(), dark.encode(t), 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, img.Pix[0])

	grey.before = [][2]string{{"gAMA", string(binary.BigEndian.AppendUint32(nil, 100000))}} // linear light
	img, err = newDecoder().Decode(t.Context(), grey.encode(t), 0)
	require.NoError(t, err)
	require.InDelta(t, 188, int(img.Pix[0]), 2) // 255 * 0.5^(1/2.2)
}

// A reduced pixel is the mean of the cell that it stands for.
func TestPNGReduction(t *testing.T) {
	sample := noise(8)
	data := pngSpec{width: 23, height: 11, depth: 8, colour: 2, sample: sample}.encode(t)
	tests := []struct{ longSide, factor, width, height int }{
		{0, 1, 23, 11}, {23, 1, 23, 11}, {24, 1, 23, 11}, {100, 1, 23, 11}, {13, 1, 23, 11},
		{12, 2, 12, 6}, {8, 3, 8, 4}, {6, 4, 6, 3}, {5, 5, 5, 3}, {2, 22, 2, 1}, {1, 23, 1, 1},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.longSide), func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), data, test.longSide)
			require.NoError(t, err)
			require.Equal(t, []int{test.width, test.height, 23, 11}, []int{img.Width, img.Height, img.FullWidth, img.FullHeight})
			for y := range img.Height {
				for x := range img.Width {
					sum, n := 0, 0
					for sy := y * test.factor; sy < min((y+1)*test.factor, 11); sy++ {
						for sx := x * test.factor; sx < min((x+1)*test.factor, 23); sx++ {
							sum, n = sum+sample(sx, sy, 1), n+1
						}
					}
					require.InDelta(t, float64(sum)/float64(n), float64(pixel(img, x, y).G), 0.5001)
				}
			}
		})
	}
}

func TestPNGChunks(t *testing.T) {
	good := pngSpec{width: 4, height: 4, depth: 8, colour: 2, sample: noise(8)}
	with := func(chunks ...[2]string) []byte {
		s := good
		s.before = chunks
		return s.encode(t)
	}
	want, err := newDecoder().Decode(t.Context(), with(), 0)
	require.NoError(t, err)
	text := string(append([]byte("k\x00\x00"), deflate(t, make([]byte, 1<<20))...))
	const afterHead = len(pngSignature) + chunkOverhead + ihdrSize
	flip := func(data []byte, at int) []byte {
		data[at] ^= 1
		return data
	}
	plain := with()
	pixels := len(plain) - chunkOverhead // where IEND begins
	// split is the picture with its compressed data, changed, in chunks of its own.
	split := func(change func(packed []byte) []byte) []byte {
		out := bytes.Clone(plain[:afterHead])
		for part := range slices.Chunk(change(deflate(t, good.pass([4]int{0, 0, 1, 1}))), 16) {
			out = appendChunk(out, "IDAT", part)
		}
		return append(out, plain[pixels:]...)
	}
	less := func(n int) func([]byte) []byte { return func(packed []byte) []byte { return packed[:len(packed)-n] } }
	const adler = 4
	tests := map[string]struct {
		data []byte
		ok   bool
	}{
		"text, profile, time":      {with([2]string{"zTXt", text}, [2]string{"iCCP", "junk"}, [2]string{"tIME", "1234567"}), true},
		"bytes behind the end":     {append(with(), "trailing"...), true},
		"bytes for an end":         {append(with()[:pixels], "trailing, with a chunk's length"...), true},
		"no end":                   {plain[:pixels], true},
		"checksum missing":         {plain[:pixels-chunkCRCSize], true},
		"half a checksum":          {plain[:pixels-2], true},
		"half an end":              {plain[:pixels+6], true},
		"checksum of the end":      {flip(with(), len(plain)-1), true},
		"checksum of a text":       {flip(with([2]string{"tEXt", "k\x00v"}), afterHead+chunkOverhead), true},
		"checksum of a gamma":      {flip(with([2]string{"gAMA", "\x00\x01\x86\xa0"}), afterHead+chunkOverhead), true},
		"text cut off":             {append(with()[:pixels], "\x00\x00\x10\x00tEXtk\x00v"...), true},
		"Adler-32 missing":         {split(less(adler)), true},
		"half an Adler-32":         {split(less(2)), true},
		"smaller window":           {split(func(packed []byte) []byte { return append([]byte{0x08, 0x1d}, packed[2:]...) }), true},
		"more data than pixels":    {split(func(packed []byte) []byte { return append(packed, "more"...) }), true},
		"unknown critical chunk":   {with([2]string{"CgBI", "\x50\x00\x20\x02"}), false},
		"checksum":                 {flip(with(), afterHead+10), false},
		"checksum of the last":     {flip(with(), pixels-1), false},
		"byte of the last":         {flip(with(), pixels-chunkCRCSize-adler-6), false},
		"checksum and no end":      {flip(with(), pixels-1)[:pixels], false},
		"pixels missing":           {split(less(adler + 16)), false},
		"window of 64 kB":          {split(func(packed []byte) []byte { return append([]byte{0x88, 0x1c}, packed[2:]...) }), false},
		"wrong check of a window":  {split(func(packed []byte) []byte { return append([]byte{0x08, 0x1e}, packed[2:]...) }), false},
		"cut in the header's text": {with([2]string{"tEXt", "k\x00v"})[:afterHead+chunkOverhead], false},
		"no pixels data":           {appendChunk(with()[:afterHead], "IEND", nil), false},
		"signature only":           {[]byte(pngSignature), false},
		"header only":              {plain[:afterHead], false},
		"line ends translated":     {bytes.Replace(with(), []byte("\r\n"), []byte("\n"), 1), false},
		"length over the end":      {append([]byte(pngSignature), "\xff\xff\xff\xffIHDR"...), false},
		"bit depth":                {pngSpec{width: 1, height: 1, depth: 4, colour: 2, sample: noise(4)}.encode(t), false},
		"palette missing":          {pngSpec{width: 1, height: 1, depth: 8, colour: 3, sample: noise(8)}.encode(t), false},
		"rows missing":             {rowsMissing(t), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), test.data, 0)
			if !test.ok {
				requireRefused(t, err, ports.ErrInvalid, reasonDamaged)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, img)
		})
	}
}

// rowsMissing is whole as a file but has data for half its rows only.
func rowsMissing(t *testing.T) []byte {
	s := pngSpec{width: 40, height: 20, depth: 8, colour: 2, sample: noise(8)}
	data := s.encode(t)
	head := binary.BigEndian.AppendUint32(nil, 40)
	head = binary.BigEndian.AppendUint32(head, 40)
	head = append(head, 8, 2, 0, 0, 0)
	rest := data[len(pngSignature)+chunkOverhead+ihdrSize:]
	return append(appendChunk([]byte(pngSignature), "IHDR", head), rest...)
}
