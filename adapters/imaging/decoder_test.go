package imaging

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// Every real picture that is not bad decodes, small and whole.
func TestPortraits(t *testing.T) { requireDecoded(t, filepath.Dir(fixture.Portrait(t, "obama.jpg"))) }

func TestSharedPictures(t *testing.T) {
	requireDecoded(t, fixture.Faces(t))
	requireDecoded(t, fixture.Faces(t, "cast"))
}

func requireDecoded(t *testing.T, dir string) {
	t.Helper()
	for _, path := range pictures(t, dir) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, longSide := range []int{0, 640, 96} {
				img, err := newDecoder().Decode(t.Context(), data, longSide)
				require.NoError(t, err)
				requireSound(t, img, longSide)
			}
		})
	}
}

func pictures(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.jpg", "*.png"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		all = append(all, found...)
	}
	require.NotEmpty(t, all)
	return all
}

// requireSound checks what ports.Image and ports.Decoder promise of any result.
func requireSound(tb testing.TB, img *ports.Image, longSide int) {
	tb.Helper()
	require.GreaterOrEqual(tb, img.Width, 1)
	require.GreaterOrEqual(tb, img.Height, 1)
	require.GreaterOrEqual(tb, img.Stride, 3*img.Width)
	require.GreaterOrEqual(tb, len(img.Pix), (img.Height-1)*img.Stride+3*img.Width)
	require.LessOrEqual(tb, img.Width, img.FullWidth)
	require.LessOrEqual(tb, img.Height, img.FullHeight)
	long, full := max(img.Width, img.Height), max(img.FullWidth, img.FullHeight)
	if longSide <= 0 || full <= longSide {
		require.Equal(tb, full, long)
	} else {
		require.GreaterOrEqual(tb, long, longSide)
	}
}

// The bad pictures, each for what it really is.
func TestBadPictures(t *testing.T) {
	reasons := map[string]string{
		"corrupted.png": reasonDamaged, // a byte too many behind the signature
		"einstein.bmp":  reasonFormat,
		"einstein.gif":  reasonFormat,
		"einstein.webp": reasonFormat,
		"empty.png":     reasonFormat, // the text "test"
		"truncated.jpg": reasonDamaged,
		"einstein.jpeg": "",
		"einstein.png":  "",
	}
	files, err := os.ReadDir(fixture.Faces(t, "bad"))
	require.NoError(t, err)
	require.Len(t, files, len(reasons))
	for name, reason := range reasons {
		t.Run(name, func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), fixture.Read(t, "bad", name), 0)
			if reason != "" {
				requireRefused(t, err, ports.ErrInvalid, reason)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []int{256, 256}, []int{img.Width, img.Height})
		})
	}
}

func TestPNGRealPictures(t *testing.T) {
	requirePNG(t, fixture.Portrait(t, "32bit.png"))
	t.Run("labelled", func(t *testing.T) {
		for _, path := range append(pictures(t, fixture.Faces(t, "cast")), fixture.Faces(t, "bad", "einstein.png")) {
			if strings.HasSuffix(path, ".png") {
				requirePNG(t, path)
			}
		}
	})
}

// requirePNG holds a file against image/png.
func requirePNG(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	got, err := newDecoder().Decode(t.Context(), data, 0)
	require.NoError(t, err)
	require.Zero(t, meanDifference(t, got, want), path)
}

func TestUnsupportedFormats(t *testing.T) {
	for _, data := range []string{"x", "GIF89a", "BM", "RIFF\x00\x00\x00\x00WEBP", "%PDF-1.7", "<svg/>", "\xff", "\x89PN", "\x00\x00\x00\x1cftypheic"} {
		_, err := newDecoder().Decode(t.Context(), []byte(data), 0)
		requireRefused(t, err, ports.ErrInvalid, reasonFormat)
	}
	for _, data := range [][]byte{nil, {}} {
		_, err := newDecoder().Decode(t.Context(), data, 0)
		requireRefused(t, err, ports.ErrInvalid, "the provided image is empty")
	}
}

// maxTail bounds what follows the pixels of a file: the end of the compressed
// data, checksums and the chunk that ends a PNG, the end marker of a JPEG.
const maxTail = 32

// A file cut anywhere is refused or shows the whole picture: never a part of it.
func TestTruncatedRealPictures(t *testing.T) {
	for _, name := range []string{"obama2.jpg", "obama_partial_face.jpg", "32bit.png"} {
		t.Run(name, func(t *testing.T) { requireWhole(t, fixture.ReadPortrait(t, name)) })
	}
	t.Run("labelled", func(t *testing.T) {
		for _, name := range []string{"000_5.jpg", "007_B.jpg", "017_0.jpg", "cast/group3.jpg", "cast/amy1.png", "bad/einstein.png"} {
			requireWhole(t, fixture.Read(t, name))
		}
	})
}

// requireWhole checks that a file is refused wherever it is cut but behind its pixels.
func requireWhole(t *testing.T, data []byte) {
	t.Helper()
	for percent := 5; percent < 100; percent += 5 {
		requireDamaged(t, data[:len(data)*percent/100])
	}
	requireDamaged(t, data[:len(data)-maxTail-1])
	requireWholeOrDamaged(t, data, maxTail)
}

func TestTruncatedSmallPictures(t *testing.T) {
	files := map[string][]byte{
		"PNG":            rgbPNG(t, draw("ABC DEF", 8)),
		"interlaced PNG": pngSpec{width: 9, height: 9, depth: 16, colour: 6, interlaced: true, sample: noise(16)}.encode(t),
		"odd interlaced": pngSpec{width: 1, height: 8, depth: 8, colour: 2, interlaced: true, sample: noise(8)}.encode(t),
	}
	for _, name := range jpegKinds {
		files[name] = testdata(t, name+".jpg")
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			for n := len(pngMagic); n < len(data)-maxTail; n++ {
				requireDamaged(t, data[:n])
			}
			requireWholeOrDamaged(t, data, maxTail)
		})
	}
}

// requireWholeOrDamaged cuts up to most bytes off a file. Without the last two it
// lacks half a marker or half a checksum, and no pixels.
func requireWholeOrDamaged(t *testing.T, data []byte, most int) {
	t.Helper()
	for _, longSide := range []int{0, 32} {
		want, err := newDecoder().Decode(t.Context(), data, longSide)
		require.NoError(t, err)
		for cut := range most {
			img, err := newDecoder().Decode(t.Context(), data[:len(data)-cut], longSide)
			if cut > 2 && err != nil {
				requireRefused(t, err, ports.ErrInvalid, reasonDamaged)
				continue
			}
			require.NoError(t, err, "%d bytes less", cut)
			require.Equal(t, want, img, "%d bytes less", cut)
		}
	}
}

// Real files that are complete but for their tails, or whose headers lie about
// what costs no pixels.
func TestSharedCases(t *testing.T) {
	for _, name := range []string{"no_eoi.jpg", "no_iend.png", "window_08.png"} {
		t.Run(name, func(t *testing.T) {
			data := fixture.Cases(t, name)
			for _, longSide := range []int{0, 640, 96} {
				img, err := newDecoder().Decode(t.Context(), data, longSide)
				require.NoError(t, err)
				requireSound(t, img, longSide)
			}
			requireDamaged(t, data[:len(data)*99/100])
		})
	}
	t.Run("exif_long6.jpg", func(t *testing.T) {
		data := fixture.Cases(t, "exif_long6.jpg")
		const exif = 2 + 2 + 0x22 // marker and segment
		stored, err := newDecoder().Decode(t.Context(), append([]byte(jpegMagic), data[exif+len(jpegMagic)-2:]...), 0)
		require.NoError(t, err)
		requireTurned(t, newDecoder(), data, stored, 6)
	})
}

func requireDamaged(t *testing.T, data []byte) {
	t.Helper()
	for _, longSide := range []int{0, 32} {
		_, err := newDecoder().Decode(t.Context(), data, longSide)
		requireRefused(t, err, ports.ErrInvalid, reasonDamaged)
	}
}

// The result is the caller's and the data is left alone.
func TestNothingIsShared(t *testing.T) {
	for _, data := range [][]byte{testdata(t, "420.jpg"), rgbPNG(t, draw("ABC DEF", 8))} {
		d, before := newDecoder(), bytes.Clone(data)
		first, err := d.Decode(t.Context(), data, 0)
		require.NoError(t, err)
		want := bytes.Clone(first.Pix)
		require.Equal(t, before, data)
		clear(data)
		require.Equal(t, want, first.Pix)
		second, err := d.Decode(t.Context(), before, 0)
		require.NoError(t, err)
		clear(second.Pix)
		require.Equal(t, want, first.Pix)
	}
}

// Released memory is used again, and shows through nowhere: every kind of picture
// decodes to the same over the pixels of another one. Whoever still holds the released
// image sees no pixels.
func TestReleasedMemoryIsUsedAgain(t *testing.T) {
	other := draw(strings.Repeat(strings.Repeat("ABC", 40)+" ", 60), 8)
	dirt := fixture.JPEG(t, other, 90)
	paths := append(pictures(t, "testdata"), fixture.Portrait(t, "obama2.jpg"), fixture.Portrait(t, "32bit.png"))
	used := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, longSide := range []int{0, 96} {
			want, err := newDecoder().Decode(t.Context(), data, longSide)
			if err != nil {
				continue
			}
			d := newDecoder()
			first, err := d.Decode(t.Context(), dirt, 0)
			require.NoError(t, err)
			memory := first.Pix
			for i := range memory {
				memory[i] ^= 0xff
			}
			d.Release(first)
			d.Release(first)
			d.Release(nil)
			require.Empty(t, first.Pix)
			got, err := d.Decode(t.Context(), data, longSide)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s at %d", path, longSide)
			if &got.Pix[0] == &memory[0] {
				used++
			}
		}
	}
	require.Positive(t, used)
}

// The formats agree on what they show.
func TestFormatsAgree(t *testing.T) {
	picture := draw("ABC DEF", 32)
	fromJPEG, err := newDecoder().Decode(t.Context(), fixture.JPEG(t, picture, 100), 0)
	require.NoError(t, err)
	require.Less(t, meanDifference(t, fromJPEG, picture), 3.0)
	fromPNG, err := newDecoder().Decode(t.Context(), rgbPNG(t, picture), 0)
	require.NoError(t, err)
	require.Zero(t, meanDifference(t, fromPNG, picture))
	require.Equal(t, image.Pt(96, 64), image.Pt(fromPNG.Width, fromPNG.Height))
}
