package imaging

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// fuzzPixels is the most pixels a picture may have in these tests.
const fuzzPixels = pixelsPerMegapixel

// fuzzDecoder takes small pictures only, so that each costs little.
func fuzzDecoder() *Decoder {
	limits := config.Default().Server.Limits
	limits.Megapixels = fuzzPixels / pixelsPerMegapixel
	return New(limits)
}

// FuzzJPEG: any bytes behind the start of a JPEG give a sound picture or a
// refusal that says why, the same at every size and every time; package
// image/jpeg, where it can read the file too, sees a picture of the same size.
func FuzzJPEG(f *testing.F) {
	for name, data := range jpegSeeds(f) {
		f.Add(data, uint16(len(name)))
		f.Add(data, uint16(0))
	}
	d := fuzzDecoder()
	f.Fuzz(func(t *testing.T, data []byte, longSide uint16) {
		if !bytes.HasPrefix(data, []byte(jpegMagic)) {
			data = append([]byte(jpegMagic), data...)
		}
		img := decodeTwice(t, d, data, int(longSide))
		if img == nil {
			return
		}
		header, err := readJPEGHeader(data)
		require.NoError(t, err)
		wantWidth, wantHeight := header.orientation.turn(header.width, header.height)
		require.Equal(t, image.Pt(wantWidth, wantHeight), image.Pt(img.FullWidth, img.FullHeight))
		if other, err := jpeg.DecodeConfig(bytes.NewReader(data)); err == nil {
			require.Equal(t, image.Pt(other.Width, other.Height), image.Pt(header.width, header.height))
		}
	})
}

func jpegSeeds(f *testing.F) map[string][]byte {
	files, err := filepath.Glob(filepath.Join("testdata", "*.jpg"))
	require.NoError(f, err)
	require.NotEmpty(f, files)
	seeds := map[string][]byte{}
	for _, path := range files {
		seeds[path], err = os.ReadFile(path)
		require.NoError(f, err)
	}
	plain := testdata(f, "420-odd.jpg")
	end := len(plain) - 2
	seeds["exif"] = withSegment(plain, markerAPP1, append([]byte(exifPrefix), exifBody(binary.BigEndian, 6)...))
	seeds["long exif"] = withSegment(plain, markerAPP1, append([]byte(exifPrefix), exifOf(binary.LittleEndian, 4, 1, []byte{6, 0, 0, 0})...))
	seeds["no end"] = plain[:end]
	seeds["half an end"] = plain[:end+1]
	seeds["fill bytes"] = append(bytes.Clone(plain[:end]), 0xFF, 0xFF, 0xFF, markerEOI)
	seeds["zeros for an end"] = append(bytes.Clone(plain[:end]), make([]byte, 64)...)
	for _, kind := range []string{"progressive-420.jpg", "noninterleaved.jpg"} {
		data := testdata(f, kind)
		seeds["no end of "+kind] = data[:len(data)-2]
		seeds["last scan missing of "+kind] = data[:bytes.LastIndex(data, []byte{0xFF, markerSOS})]
	}
	return seeds
}

// FuzzPNG: the same for PNG. Where package image/png can read a file whose
// colours are not to be converted, the pixels are the same, too.
func FuzzPNG(f *testing.F) {
	for _, data := range pngSeeds(f) {
		f.Add(data, uint16(0), false)
		f.Add(data, uint16(4), true)
	}
	d := fuzzDecoder()
	f.Fuzz(func(t *testing.T, data []byte, longSide uint16, mend bool) {
		if mend {
			data = mendChunks(data)
		}
		if !bytes.HasPrefix(data, []byte(pngMagic)) {
			data = append([]byte(pngSignature), data...)
		}
		img := decodeTwice(t, d, data, int(longSide))
		if img == nil {
			return
		}
		header, err := readPNGHeader(data)
		require.NoError(t, err)
		wantWidth, wantHeight := header.orientation.turn(header.width, header.height)
		require.Equal(t, image.Pt(wantWidth, wantHeight), image.Pt(img.FullWidth, img.FullHeight))
		if other, err := png.Decode(bytes.NewReader(data)); err == nil {
			requireSamePNG(t, d, data, header, other)
		}
	})
}

func pngSeeds(f *testing.F) (seeds [][]byte) {
	exif := exifBody(binary.BigEndian, 6)
	depths := map[byte][]int{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
	for colour, list := range depths {
		for _, depth := range list {
			for _, interlaced := range []bool{false, true} {
				s := pngSpec{width: 11, height: 9, depth: depth, colour: colour, interlaced: interlaced, sample: noise(depth)}
				if depth < 16 {
					s.before = [][2]string{{"eXIf", string(exif)}, {"gAMA", "\x00\x01\x86\xa0"}}
				}
				if colour == 3 {
					s.palette, s.transparency = testPalette(1<<depth), []byte{0, 100}
				}
				seeds = append(seeds, s.encode(f))
			}
		}
	}
	text := fmt.Sprintf("\nexif\n%8d\n%x\n", len(exif), exif)
	seeds = append(seeds, rgbPNG(f, draw("AB", 3), [2]string{"tEXt", "Raw profile type exif\x00" + text}),
		rgbPNG(f, draw("AB", 3), [2]string{"zTXt", "Raw profile type APP1\x00\x00" + string(deflate(f, []byte(text)))}))
	plain := rgbPNG(f, draw("AB", 3))
	const tail = 2*chunkOverhead - chunkLengthSize // IEND and the checksums of the data
	for cut := range tail {
		seeds = append(seeds, plain[:len(plain)-cut])
	}
	// A window of 256 bytes where 32 kB are used.
	at := bytes.Index(plain, []byte("IDAT")) + chunkNameSize
	return append(seeds, slices.Concat(plain[:at], []byte{0x08, 0x1d}, plain[at+2:]))
}

// mendChunks makes the checksums of all chunks right, so that damage gets past
// them.
func mendChunks(data []byte) []byte {
	out := []byte(pngSignature)
	rest := bytes.TrimPrefix(data, out)
	for {
		c, left, ok := nextChunk(rest)
		if !ok {
			return append(out, rest...)
		}
		out, rest = appendChunk(out, c.name(), c.body()), left
	}
}

// requireSamePNG compares an upright picture that nothing is laid under and
// whose samples mean sRGB with what package image/png sees. What libpng makes
// of 16 bits is rounded, what image/png makes of them is cut off.
func requireSamePNG(t *testing.T, d *Decoder, data []byte, header *pngHeader, want image.Image) {
	require.Equal(t, image.Pt(header.width, header.height), want.Bounds().Size())
	opaque, known := want.(interface{ Opaque() bool })
	if header.orientation != upright || bytes.Contains(data, []byte("gAMA")) || bytes.Contains(data, []byte("tRNS")) || !known || !opaque.Opaque() {
		return
	}
	img, err := d.Decode(t.Context(), data, 0)
	require.NoError(t, err)
	for y := range img.Height {
		for x := range img.Width {
			r, g, b, _ := want.At(x, y).RGBA()
			p := pixel(img, x, y)
			if abs(int(p.R)-int(r>>8)) > 1 || abs(int(p.G)-int(g>>8)) > 1 || abs(int(p.B)-int(b>>8)) > 1 {
				require.Failf(t, "pixels differ", "at (%d, %d): %v, image/png %v", x, y, p, want.At(x, y))
			}
		}
	}
}

// decodeTwice decodes a file whole, reduced, and reduced again, and checks that
// all three give the same answer and the latter two to the same pixels. It
// returns the reduced picture, nil for a refusal.
func decodeTwice(t *testing.T, d *Decoder, data []byte, longSide int) *ports.Image {
	before := bytes.Clone(data)
	img, err := d.Decode(t.Context(), data, longSide)
	whole, wholeErr := d.Decode(t.Context(), data, 0)
	require.Equal(t, before, data, "the data is only read")
	if err != nil {
		requireReason(t, err)
		require.EqualError(t, wholeErr, err.Error(), "what is refused does not depend on the size")
		return nil
	}
	require.NoError(t, wholeErr, "what is refused does not depend on the size")
	requireSound(t, img, longSide)
	requireSound(t, whole, 0)
	require.LessOrEqual(t, img.FullWidth*img.FullHeight, fuzzPixels)
	require.Equal(t, image.Pt(whole.Width, whole.Height), image.Pt(img.FullWidth, img.FullHeight))
	for i := range whole.Pix {
		whole.Pix[i] ^= 0xff
	}
	d.Release(whole)
	again, err := d.Decode(t.Context(), data, longSide)
	require.NoError(t, err)
	require.True(t, bytes.Equal(img.Pix, again.Pix), "no memory that nobody has written to is shown")
	return img
}

// requireReason checks that a refusal says one thing that is wrong.
func requireReason(t *testing.T, err error) {
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Len(t, refusal.Reasons, 1)
	require.Contains(t, []error{ports.ErrInvalid, ports.ErrTooLarge}, refusal.Kind)
}

// FuzzOrientation: any bytes in the place of Exif give the orientation that a
// plain reading of them gives, and no picture is refused for its Exif, whatever
// it is: it is turned, and that is all.
func FuzzOrientation(f *testing.F) {
	for value := range uint16(10) {
		f.Add(exifBody(binary.BigEndian, value))
		f.Add(append([]byte(exifPrefix), exifBody(binary.LittleEndian, value)...))
	}
	for kind := range uint16(15) {
		f.Add(exifOf(binary.BigEndian, kind, 1, []byte{0, 0, 0, 6, 0, 0, 0, 1}))
		f.Add(exifOf(binary.LittleEndian, kind, 1, []byte{6, 0, 0, 0}))
		f.Add(exifOf(binary.LittleEndian, kind, 3, []byte{8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}))
	}
	d := fuzzDecoder()
	photo := testdata(f, "420-odd.jpg")
	plain, err := d.Decode(f.Context(), photo, 0)
	require.NoError(f, err)
	const beforeExif = len(pngSignature) + chunkOverhead + ihdrSize
	drawing := rgbPNG(f, draw("AB", 3))
	drawn, err := d.Decode(f.Context(), drawing, 0)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, exif []byte) {
		require.Equal(t, readOrientation(exif), parseOrientation(exif))
		want := max(readOrientation(exif), upright)

		body := exif
		if !bytes.HasPrefix(exif, []byte(exifPrefix)) {
			body = append([]byte(exifPrefix), exif...)
		}
		if len(body)+2 <= 0xFFFF {
			requireTurned(t, d, withSegment(photo, markerAPP1, body), plain, max(readOrientation(body), upright))
		}
		png := appendChunk(bytes.Clone(drawing[:beforeExif]), "eXIf", exif)
		requireTurned(t, d, append(png, drawing[beforeExif:]...), drawn, want)
	})
}

// requireTurned checks that a file shows a picture turned.
func requireTurned(t *testing.T, d *Decoder, data []byte, plain *ports.Image, o orientation) {
	img, err := d.Decode(t.Context(), data, 0)
	require.NoError(t, err)
	width, height := o.turn(plain.Width, plain.Height)
	require.Equal(t, image.Pt(width, height), image.Pt(img.Width, img.Height))
	for y := range plain.Height {
		for x := range plain.Width {
			atX, atY := x, y
			if o.fromRight() {
				atX = plain.Width - 1 - x
			}
			if o.fromBottom() {
				atY = plain.Height - 1 - y
			}
			if o.swaps() {
				atX, atY = atY, atX
			}
			if pixel(plain, x, y) != pixel(img, atX, atY) {
				require.Failf(t, "pixels differ", "at (%d, %d) under orientation %d", x, y, o)
			}
		}
	}
}

// readOrientation reads an Exif structure as the specification lays it out, 0
// where it says nothing.
func readOrientation(exif []byte) orientation {
	var head struct {
		Order  [2]byte
		Magic  uint16
		Offset uint32
	}
	tiff := bytes.TrimPrefix(exif, []byte(exifPrefix))
	orders := map[string]binary.ByteOrder{"II": binary.LittleEndian, "MM": binary.BigEndian}
	for mark, order := range orders {
		r := bytes.NewReader(tiff)
		if binary.Read(r, order, &head) != nil || string(head.Order[:]) != mark || head.Magic != 42 {
			continue
		}
		if _, err := r.Seek(int64(head.Offset), io.SeekStart); err != nil {
			return 0
		}
		var count uint16
		if binary.Read(r, order, &count) != nil {
			return 0
		}
		for range count {
			var e struct {
				Tag, Type uint16
				Count     uint32
				Value     [4]byte
			}
			if binary.Read(r, order, &e) != nil {
				return 0
			}
			if e.Tag == 0x0112 && e.Count > 0 {
				if v := readNumber(tiff, order, e.Type, e.Count, e.Value[:]); slices.Contains([]float64{1, 2, 3, 4, 5, 6, 7, 8}, v) {
					return orientation(v)
				}
			}
		}
	}
	return 0
}

// readNumber reads the first of a number of values of one of TIFF's types, which
// stand in the entry or where it points.
func readNumber(tiff []byte, order binary.ByteOrder, kind uint16, count uint32, value []byte) float64 {
	into := map[uint16]any{
		1: new(uint8), 3: new(uint16), 4: new(uint32), 5: new([2]uint32), 6: new(int8), 8: new(int16), 9: new(int32),
		10: new([2]int32), 11: new(float32), 12: new(float64), 13: new(uint32),
	}[kind]
	if into == nil {
		return 0
	}
	if all := uint64(count) * uint64(binary.Size(into)); all > 4 {
		at := uint64(order.Uint32(value))
		if at > uint64(len(tiff)) || all > uint64(len(tiff))-at {
			return 0
		}
		value = tiff[at:]
	}
	if _, err := binary.Decode(value, order, into); err != nil {
		return 0
	}
	switch v := reflect.ValueOf(into).Elem(); {
	case v.Kind() == reflect.Array:
		number := reflect.TypeFor[float64]()
		return v.Index(0).Convert(number).Float() / v.Index(1).Convert(number).Float()
	default:
		return v.Convert(reflect.TypeFor[float64]()).Float()
	}
}
