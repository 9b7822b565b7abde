package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// testdata reads a committed picture; testdata/README.md says how they were made.
func testdata(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return data
}

// requireRefused checks the kind of a refusal and its only reason.
func requireRefused(tb testing.TB, err, kind error, reason string) {
	tb.Helper()
	var refusal *ports.Refusal
	require.ErrorAs(tb, err, &refusal)
	require.ErrorIs(tb, err, kind)
	require.Equal(tb, []string{reason}, refusal.Reasons)
}

const (
	reasonDamaged = "the provided image is damaged or incomplete"
	reasonFormat  = "unsupported image format: only JPEG and PNG are supported"
)

// pixel returns the colour at (x, y).
func pixel(img *ports.Image, x, y int) color.RGBA {
	p := img.Pix[y*img.Stride+3*x:]
	return color.RGBA{R: p[0], G: p[1], B: p[2], A: 255}
}

// meanDifference returns the mean absolute difference of two pictures' samples.
func meanDifference(tb testing.TB, got *ports.Image, want image.Image) float64 {
	tb.Helper()
	require.Equal(tb, want.Bounds().Size(), image.Pt(got.Width, got.Height))
	sum := 0
	for y := range got.Height {
		for x := range got.Width {
			r, g, b, _ := want.At(x, y).RGBA()
			p := pixel(got, x, y)
			sum += abs(int(p.R)-int(r>>8)) + abs(int(p.G)-int(g>>8)) + abs(int(p.B)-int(b>>8))
		}
	}
	return float64(sum) / float64(3*got.Width*got.Height)
}

func abs(v int) int { return max(v, -v) }

// withSegment returns a JPEG with a segment put in right after the start.
func withSegment(jpeg []byte, marker byte, body []byte) []byte {
	out := append([]byte{}, jpeg[:2]...)
	out = append(out, 0xFF, marker)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	out = append(out, body...)
	return append(out, jpeg[2:]...)
}

// exifBody returns a TIFF structure with a few tags, the orientation among them.
func exifBody(order binary.AppendByteOrder, value uint16) []byte {
	mark := "II"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		mark = "MM"
	}
	out := order.AppendUint16([]byte(mark), tiffMagic)
	out = order.AppendUint32(out, 10)          // where the directory starts
	out = append(out, 0, 0)                    // a gap before it
	out = order.AppendUint16(out, 2)           // entries
	out = append(out, entry(order, 0x0100)...) // ImageWidth
	orient := entry(order, tagOrientation)     //
	orient = order.AppendUint16(orient[:8], value)
	out = append(out, append(orient, 0, 0)...)
	return order.AppendUint32(out, 0) // no next directory
}

// entry returns a directory entry of one short integer, 1.
func entry(order binary.AppendByteOrder, tag uint16) []byte {
	out := order.AppendUint16(nil, tag)
	out = order.AppendUint16(out, tiffShort)
	out = order.AppendUint32(out, 1)
	out = order.AppendUint16(out, 1)
	return append(out, 0, 0)
}

// pngSpec describes a PNG file sample by sample, as image/png cannot.
type pngSpec struct {
	width, height int
	depth         int
	colour        byte // colour type: 0, 2, 3, 4 or 6
	interlaced    bool
	palette       []byte      // PLTE
	transparency  []byte      // tRNS
	before        [][2]string // chunks after IHDR, name and body
	// sample returns sample c of pixel (x, y), of depth bits.
	sample func(x, y, c int) int
}

// channels returns the samples in a pixel of each colour type.
var channels = map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

// adam7 are the passes of an interlaced file: first column, first row and the
// distances between columns and rows (PNG third edition, 8.1).
var adam7 = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

// encode returns the file, its compressed data in two chunks.
func (s pngSpec) encode(tb testing.TB) []byte {
	tb.Helper()
	return s.encodeChunks(tb, func(out, raw []byte) []byte {
		packed := deflate(tb, raw)
		half := len(packed) / 2
		return appendChunk(appendChunk(out, "IDAT", packed[:half]), "IDAT", packed[half:])
	})
}

// encodeChunks returns the file with the chunks that data appends for the rows.
func (s pngSpec) encodeChunks(tb testing.TB, data func(out, raw []byte) []byte) []byte {
	tb.Helper()
	interlace := byte(0)
	passes := [][4]int{{0, 0, 1, 1}}
	if s.interlaced {
		interlace, passes = 1, adam7
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(s.width))
	head = binary.BigEndian.AppendUint32(head, uint32(s.height))
	head = append(head, byte(s.depth), s.colour, 0, 0, interlace)
	out := appendChunk([]byte(pngSignature), "IHDR", head)
	for _, c := range s.before {
		out = appendChunk(out, c[0], []byte(c[1]))
	}
	if s.palette != nil {
		out = appendChunk(out, "PLTE", s.palette)
	}
	if s.transparency != nil {
		out = appendChunk(out, "tRNS", s.transparency)
	}
	var raw []byte
	for _, p := range passes {
		raw = append(raw, s.pass(p)...)
	}
	return appendChunk(data(out, raw), "IEND", nil)
}

// pass returns the rows of one pass, each behind filter type 0.
func (s pngSpec) pass(p [4]int) []byte {
	var out []byte
	if p[0] >= s.width {
		return nil
	}
	for y := p[1]; y < s.height; y += p[3] {
		out = append(out, 0)
		bits, used := 0, 0
		for x := p[0]; x < s.width; x += p[2] {
			for c := range channels[s.colour] {
				bits, used = bits<<s.depth|s.sample(x, y, c), used+s.depth
				for used >= 8 {
					out = append(out, byte(bits>>(used-8)))
					used -= 8
				}
			}
		}
		if used > 0 {
			out = append(out, byte(bits<<(8-used)))
		}
	}
	return out
}

func deflate(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := w.Write(raw)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.Bytes()
}

func appendChunk(out []byte, name string, body []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	start := len(out)
	out = append(append(out, name...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
}

// rgbPNG returns a true-colour PNG of a picture.
func rgbPNG(tb testing.TB, img image.Image, before ...[2]string) []byte {
	tb.Helper()
	size := img.Bounds().Size()
	return pngSpec{
		width: size.X, height: size.Y, depth: 8, colour: 2, before: before,
		sample: func(x, y, c int) int {
			r, g, b, _ := img.At(x, y).RGBA()
			return int([]uint32{r, g, b}[c] >> 8)
		},
	}.encode(tb)
}
