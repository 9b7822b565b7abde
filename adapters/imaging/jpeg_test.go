package imaging

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// jpegKinds are the committed pictures that are decoded.
var jpegKinds = []string{
	"420", "420-odd", "422-odd", "440-odd", "411-odd", "444-odd", "gray", "rgb", "restart", "noninterleaved",
	"progressive-420", "progressive-444", "progressive-gray", "scans-60",
}

// Every kind of JPEG against image/jpeg, which like us repeats chroma samples.
func TestJPEGKinds(t *testing.T) {
	for _, name := range jpegKinds {
		t.Run(name, func(t *testing.T) {
			data := testdata(t, name+".jpg")
			want, err := jpeg.Decode(bytes.NewReader(data))
			require.NoError(t, err)
			got, err := newDecoder().Decode(t.Context(), data, 0)
			require.NoError(t, err)
			require.Less(t, meanDifference(t, got, want), 0.7)
		})
	}
}

func TestJPEGRealPictures(t *testing.T) {
	for _, name := range []string{"obama.jpg", "obama2.jpg", "biden.jpg"} {
		t.Run(name, func(t *testing.T) { requireJPEG(t, fixture.ReadPortrait(t, name)) })
	}
	t.Run("labelled", func(t *testing.T) {
		for _, name := range []string{"000_5.jpg", "007_B.jpg", "017_0.jpg", "cast/group1.jpg", "bad/einstein.jpeg"} {
			requireJPEG(t, fixture.Read(t, name))
		}
	})
}

// requireJPEG holds a file against image/jpeg.
func requireJPEG(t *testing.T, data []byte) {
	t.Helper()
	want, err := jpeg.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	got, err := newDecoder().Decode(t.Context(), data, 0)
	require.NoError(t, err)
	require.Less(t, meanDifference(t, got, want), 0.7)
}

func TestJPEGScale(t *testing.T) {
	data := fixture.JPEG(t, image.NewGray(image.Rect(0, 0, 333, 1001)), 50)
	tests := []struct{ longSide, width, height int }{
		{0, 333, 1001}, {-1, 333, 1001}, {5000, 333, 1001}, {1001, 333, 1001}, {502, 333, 1001},
		{501, 167, 501}, {252, 167, 501}, {251, 84, 251}, {126, 42, 126}, {1, 42, 126},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.longSide), func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), data, test.longSide)
			require.NoError(t, err)
			require.Equal(t, []int{test.width, test.height, 333, 1001, 3 * test.width},
				[]int{img.Width, img.Height, img.FullWidth, img.FullHeight, img.Stride})
			require.Len(t, img.Pix, img.Stride*img.Height)
		})
	}
}

// A reduced copy of a real picture is its full one averaged.
func TestJPEGReducedIsAverage(t *testing.T) {
	data := fixture.ReadPortrait(t, "obama3.jpg") // 1434 x 2333
	full, err := newDecoder().Decode(t.Context(), data, 0)
	require.NoError(t, err)
	for _, factor := range []int{2, 4, 8} {
		reduced, err := newDecoder().Decode(t.Context(), data, 2333/factor)
		require.NoError(t, err)
		l := layout{width: full.Width, height: full.Height, reduction: factor, orientation: upright}
		want, err := l.compose(t.Context(), new(pool), rowsOf(full.Pix, full.Stride))
		require.NoError(t, err)
		require.Equal(t, want.Width, reduced.Width)
		require.Equal(t, want.Height, reduced.Height)
		sum := 0
		for i := range want.Pix {
			sum += abs(int(want.Pix[i]) - int(reduced.Pix[i]))
		}
		require.Less(t, float64(sum)/float64(len(want.Pix)), 1.0, "reduced by %d", factor)
	}
}

func TestJPEGRefusedKinds(t *testing.T) {
	frame := func(marker byte, bits byte) []byte {
		data := bytes.Clone(testdata(t, "420.jpg"))
		at := bytes.Index(data, []byte{0xFF, markerSOF0})
		data[at+1], data[at+4] = marker, bits
		return data
	}
	tests := map[string]struct {
		data []byte
		kind string
	}{
		"CMYK":                    {testdata(t, "cmyk.jpg"), "CMYK"},
		"arithmetic coding":       {testdata(t, "arithmetic.jpg"), "Arithmetic-coded"},
		"arithmetic, progressive": {frame(0xCA, 8), "Arithmetic-coded"},
		"12 bits":                 {frame(markerSOF1, 12), "12-bit"},
		"lossless":                {frame(markerSOF3, 8), "Lossless"},
		"hierarchical":            {frame(markerSOF5, 8), "Hierarchical"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newDecoder().Decode(t.Context(), test.data, 0)
			requireRefused(t, err, ports.ErrInvalid, test.kind+
				" JPEG is not supported: save the picture as an ordinary RGB JPEG (baseline or progressive, 8 bits) or PNG")
		})
	}
}

// What cameras and editors leave in their files is no reason to refuse them.
func TestJPEGToleratedOddities(t *testing.T) {
	plain := testdata(t, "420.jpg")
	want, err := newDecoder().Decode(t.Context(), plain, 0)
	require.NoError(t, err)
	at := bytes.Index(plain, []byte{0xFF, markerDHT})
	insert := func(junk string) []byte {
		return append(append(bytes.Clone(plain[:at]), junk...), plain[at:]...)
	}
	end := len(plain) - 2
	const jfifEnd = 2 + 18
	change := func(at int, to byte) []byte {
		data := bytes.Clone(plain)
		data[at] = to
		return data
	}
	tests := map[string][]byte{
		"bytes behind the end":      append(bytes.Clone(plain), "a second picture"...),
		"bytes before the end":      append(append(bytes.Clone(plain[:end]), 0, 0, 0), plain[end:]...),
		"no end":                    plain[:end],
		"half an end":               plain[:end+1],
		"fill bytes before the end": append(bytes.Clone(plain[:end]), 0xFF, 0xFF, 0xFF, markerEOI),
		"fill bytes and no end":     append(bytes.Clone(plain[:end]), 0xFF, 0xFF, 0xFF),
		"bytes between segments":    insert("\x00\x00\x00"),
		"stuffing between segments": insert("\xff\x00\xff\x00"),
		"fill bytes":                insert("\xff\xff\xff"),
		"comment":                   withSegment(plain, 0xFE, []byte("drawn by hand")),
		"broken colour profile":     withSegment(plain, 0xE2, []byte("ICC_PROFILE\x00\x05\x02junk")),
		"broken Exif":               withSegment(plain, markerAPP1, []byte(exifPrefix+"II")),
		"JFIF of the future":        change(11, 2),
		"odd spectral selection":    change(bytes.Index(plain, []byte{0xFF, markerSOS})+12, 0),
		// libjpeg looks at it only where there is no JFIF segment.
		"unknown Adobe transform": withSegment(append([]byte(jpegMagic), plain[jfifEnd:]...), 0xEE,
			[]byte("Adobe\x00\x64\x00\x00\x00\x00\x07")),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := newDecoder().Decode(t.Context(), data, 0)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestJPEGDamaged(t *testing.T) {
	plain := testdata(t, "420.jpg")
	sof := bytes.Index(plain, []byte{0xFF, markerSOF0})
	sos := bytes.Index(plain, []byte{0xFF, markerSOS})
	change := func(at int, to ...byte) []byte {
		data := bytes.Clone(plain)
		copy(data[at:], to)
		return data
	}
	colours, blurred := testdata(t, "noninterleaved.jpg"), testdata(t, "progressive-420.jpg")
	lastScan := bytes.LastIndex(colours, []byte{0xFF, markerSOS})
	restart := bytes.Clone(testdata(t, "restart.jpg"))
	restart[bytes.LastIndex(restart, []byte{0xFF, 0xD1})+1] = 0xD6
	tests := map[string][]byte{
		"start only":             plain[:2],
		"no frame":               append(bytes.Clone(plain[:sof]), plain[sos:]...),
		"two frames":             append(bytes.Clone(plain[:sos]), plain[sof:]...),
		"no scan":                append(bytes.Clone(plain[:sos]), 0xFF, markerEOI),
		"second start":           append([]byte(jpegMagic), plain...),
		"no components":          change(sof+9, 0),
		"too few components":     change(sof+9, 1),
		"sampling factor 0":      change(sof+11, 0x02),
		"sampling factor 5":      change(sof+11, 0x52),
		"9 bits":                 change(sof+4, 9),
		"segment length 1":       change(sof+2, 0, 1),
		"missing table":          change(sof+12, 3),
		"data cut, end in place": append(bytes.Clone(plain[:sos+60]), 0xFF, markerEOI),
		"restart out of order":   restart,
		"other bytes for an end": append(bytes.Clone(plain[:len(plain)-2]), make([]byte, 64)...),
		"too many scans":         testdata(t, "scans-70.jpg"),
		"zeros for the rest":     append(bytes.Clone(plain[:sos+60]), make([]byte, 4096)...),
		"no end, but zeros":      append(bytes.Clone(plain[:len(plain)-2]), make([]byte, 4096)...),
		"a colour not sent":      append(bytes.Clone(colours[:lastScan]), 0xFF, markerEOI),
		"a colour not sent, cut": colours[:lastScan],
		"last bits not sent":     blurred[:bytes.LastIndex(blurred, []byte{0xFF, markerSOS})],
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newDecoder().Decode(t.Context(), data, 0)
			requireRefused(t, err, ports.ErrInvalid, reasonDamaged)
		})
	}
}

// A picture that has to be turned is held twice for a moment.
func TestJPEGPlanOfTurnedPicture(t *testing.T) {
	plain := testdata(t, "420.jpg") // 64 x 48
	exif := append([]byte(exifPrefix), exifBody(binary.BigEndian, 6)...)
	straight, err := openJPEG(plain)
	require.NoError(t, err)
	turned, err := openJPEG(withSegment(plain, markerAPP1, exif))
	require.NoError(t, err)
	require.EqualValues(t, 3*64*48, turned.plan(0)-straight.plan(0))
	require.EqualValues(t, 3*32*24, turned.plan(32)-straight.plan(32))
}

// A sampling ratio that libjpeg does not do is found by libjpeg alone.
func TestJPEGUnsupportedSampling(t *testing.T) {
	data := bytes.Clone(testdata(t, "444-odd.jpg"))
	sof := bytes.Index(data, []byte{0xFF, markerSOF0})
	data[sof+11], data[sof+14] = 0x31, 0x21
	_, err := newDecoder().Decode(t.Context(), data, 0)
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.ErrorIs(t, err, ports.ErrInvalid)
}

// libjpeg itself stops when told, in every phase, before a row is written.
func TestJPEGStops(t *testing.T) {
	for _, name := range []string{"420", "progressive-444"} {
		p, err := openJPEG(testdata(t, name+".jpg"))
		require.NoError(t, err)
		f := p.(*jpegFile)
		f.plan(0)
		pix := make([]byte, f.layout.storedBytes())
		var stop atomic.Int32
		stop.Store(1)
		require.ErrorIs(t, f.run(pix, &stop), errStopped)
		require.Equal(t, make([]byte, len(pix)), pix)

		stop.Store(0)
		require.NoError(t, f.run(pix, &stop))
		require.NotEqual(t, make([]byte, len(pix)), pix)
	}
}

// Two bytes for every sample, padded to whole blocks and units, if there are
// several scans.
func TestJPEGCoefficientMemory(t *testing.T) {
	tests := map[string]int64{
		"420":              0,
		"progressive-gray": 9 * 6 * 128,
		"progressive-444":  9 * 6 * 128 * 3,
		"progressive-420":  5 * 3 * 6 * 128,
		"noninterleaved":   5 * 3 * 6 * 128,
	}
	for name, want := range tests {
		h, err := readJPEGHeader(testdata(t, name+".jpg"))
		require.NoError(t, err)
		require.Equal(t, want, h.coefficientBytes(), name)
	}
}
