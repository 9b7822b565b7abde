package imaging

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// surplus returns a small PNG whose compressed data goes on behind the last row,
// by so many bytes that say nothing and have no end.
func surplus(t *testing.T, s pngSpec, n int) []byte {
	t.Helper()
	return s.encodeChunks(t, func(out, raw []byte) []byte {
		packed := deflate(t, append(raw, make([]byte, n)...))
		return appendChunk(out, "IDAT", packed[:len(packed)-6]) // the last block and the checksum are missing
	})
}

// What stands behind the last row of a PNG is not unpacked, however much it is.
// That its end is missing would be noticed.
func TestSurplusOfPNGIsLeftAlone(t *testing.T) {
	for _, interlaced := range []bool{false, true} {
		for _, height := range []int{1, 2, 63, 64} {
			s := pngSpec{width: 64, height: height, depth: 8, colour: 2, interlaced: interlaced, sample: noise(8)}
			want, err := newDecoder().Decode(t.Context(), s.encode(t), 0)
			require.NoError(t, err)
			got, err := newDecoder().Decode(t.Context(), surplus(t, s, 64<<20), 0)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

// Damage in the compressed data is noticed where libpng does not read on to the
// checksum, too.
func TestPNGOfOneDamagedChunk(t *testing.T) {
	s := pngSpec{width: 64, height: 64, depth: 8, colour: 2, sample: noise(8)}
	data := s.encodeChunks(t, func(out, raw []byte) []byte { return appendChunk(out, "IDAT", deflate(t, raw)) })
	_, err := newDecoder().Decode(t.Context(), data, 0)
	require.NoError(t, err)
	for _, at := range []int{bytes.Index(data, []byte("IEND")) - chunkLengthSize - 1, bytes.Index(data, []byte("IDAT")) + 1000} {
		broken := bytes.Clone(data)
		broken[at] ^= 1
		_, err = newDecoder().Decode(t.Context(), broken, 0)
		requireRefused(t, err, ports.ErrInvalid, reasonDamaged)
	}
}

// libpng stops at its next read: between two looks of its caller's it may go
// through any number of chunks.
func TestLibpngStops(t *testing.T) {
	oneByteEach := func(out, raw []byte) []byte {
		for _, b := range deflate(t, raw) {
			out = appendChunk(out, "IDAT", []byte{b})
		}
		return out
	}
	data := pngSpec{width: 64, height: 64, depth: 8, colour: 2, sample: noise(8)}.encodeChunks(t, oneByteEach)
	for _, at := range []int{0, 1, 63} {
		p, err := openPNG(data)
		require.NoError(t, err)
		var pin runtime.Pinner
		var stop atomic.Int32
		r, err := p.(*pngFile).open(&pin, &stop)
		require.NoError(t, err)
		row := make([]byte, r.stride)
		for range at {
			require.NoError(t, r.read(t.Context(), row))
		}
		stop.Store(1)
		require.ErrorIs(t, r.read(t.Context(), row), errStopped)
		r.close()
		pin.Unpin()
	}
}

// The end of the context is what stops libpng.
func TestCancelledWithinLibpng(t *testing.T) {
	data := rgbPNG(t, draw("ABC DEF", 8))
	_, err := newDecoder().Decode(newEndingContext(t, 1), data, 0)
	require.ErrorIs(t, err, context.Canceled)
}

// Files of megabytes that say next to nothing are gone through once.
func TestTediousFiles(t *testing.T) {
	const size = 5 << 20
	small := pngSpec{width: 8, height: 8, depth: 8, colour: 2, sample: noise(8)}
	chunks := func(name string, body []byte) func(out, raw []byte) []byte {
		return func(out, raw []byte) []byte {
			many := slices.Repeat(appendChunk(nil, name, body), size/(chunkOverhead+len(body)))
			return appendChunk(append(out, many...), "IDAT", deflate(t, raw))
		}
	}
	jpeg := testdata(t, "420.jpg")
	scan := bytes.Index(jpeg, []byte{0xFF, markerSOS})
	between := func(what []byte) []byte { // in front of the scan
		return slices.Concat(jpeg[:scan], slices.Repeat(what, size/len(what)), jpeg[scan:])
	}
	for name, data := range map[string][]byte{
		"empty image data":    small.encodeChunks(t, chunks("IDAT", nil)),
		"empty unknown":       small.encodeChunks(t, chunks("junk", nil)),
		"broken Exif":         small.encodeChunks(t, chunks("eXIf", []byte("II*\x00\x08\x00\x00\x00\xff\xff"))),
		"comments":            between([]byte{0xFF, 0xFE, 0, 2}),
		"application data":    between([]byte{0xFF, 0xEF, 0, 2}),
		"Exif without an end": between(append([]byte{0xFF, markerAPP1, 0, 18}, "Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff"...)),
		"fill bytes":          between([]byte{0xFF}),
		"restart markers":     between([]byte{0xFF, markerRST0}),
		"garbage":             between([]byte{'x'}),
	} {
		t.Run(name, func(t *testing.T) {
			img, err := newDecoder().Decode(t.Context(), data, 0)
			if err == nil {
				requireSound(t, img, 0)
				return
			}
			requireRefused(t, err, ports.ErrInvalid, reasonDamaged)
		})
	}
}
