package imaging

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// FuzzDecode: any bytes give a sound picture or a refusal that says why.
func FuzzDecode(f *testing.F) {
	seedDecode(f)
	limits := config.Default().Server.Limits
	limits.Megapixels = 1
	d := New(limits)
	f.Fuzz(func(t *testing.T, data []byte, longSide uint16) {
		img, err := d.Decode(t.Context(), data, int(longSide))
		if err == nil {
			requireSound(t, img, int(longSide))
			return
		}
		var refusal *ports.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Len(t, refusal.Reasons, 1)
		require.Contains(t, []error{ports.ErrInvalid, ports.ErrTooLarge}, refusal.Kind)
	})
}

func seedDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.jpg"))
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, path := range files {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data, uint16(0))
		f.Add(data, uint16(20))
	}
	exif := exifBody(binary.BigEndian, 6)
	f.Add(withSegment(testdata(f, "420.jpg"), markerAPP1, append([]byte(exifPrefix), exif...)), uint16(30))
	depths := map[byte][]int{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
	for colour, list := range depths {
		for _, depth := range list {
			for _, interlaced := range []bool{false, true} {
				s := pngSpec{width: 11, height: 9, depth: depth, colour: colour, interlaced: interlaced, sample: noise(depth)}
				s.before = [][2]string{{"eXIf", string(exif)}, {"gAMA", "\x00\x01\x86\xa0"}}
				if colour == 3 {
					s.palette, s.transparency = testPalette(1<<depth), []byte{0, 100}
				}
				f.Add(s.encode(f), uint16(depth))
			}
		}
	}
}

// FuzzOrientation: any bytes give one of the eight orientations.
func FuzzOrientation(f *testing.F) {
	for value := range uint16(10) {
		f.Add(exifBody(binary.BigEndian, value))
		f.Add(append([]byte(exifPrefix), exifBody(binary.LittleEndian, value)...))
	}
	f.Fuzz(func(t *testing.T, exif []byte) {
		o := parseOrientation(exif)
		require.GreaterOrEqual(t, o, upright)
		require.LessOrEqual(t, o, orientation(8))
	})
}
