package alignment

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// noise returns a source of random pixels that ends where its memory does, as a row
// may have to.
func noise(r *rand.Rand, width, height, padding int) *source {
	stride := 3*width + padding
	s := &source{pix: make([]byte, (height-1)*stride+3*(width+slack)), stride: stride, width: width, height: height}
	s.pix = slices.Clip(s.pix)
	for i := range s.pix {
		s.pix[i] = byte(r.Uint32())
	}
	return s
}

// inside returns a line of n samples between two positions of a source.
func inside(s *source, n int, x0, y0, x1, y1 float64) line {
	side := func(pixels int, v float64) float64 { return v * (float64(pixels-1) - 1./unit) }
	steps := float64(max(1, n-1))
	at := line{x: fixed(side(s.width, x0)), y: fixed(side(s.height, y0))}
	at.dx = int32((side(s.width, x1)*unit - float64(at.x)) / steps)
	at.dy = int32((side(s.height, y1)*unit - float64(at.y)) / steps)
	return at
}

// reference samples in floating point, with the weights of whole 256ths of a pixel
// that positions are cut to.
func reference(s *source, l line, colour int) float64 {
	cut := func(v int32) (whole int, part float64) { return int(v >> fraction), float64(v>>8&255) / 256 }
	x, fx := cut(l.x)
	y, fy := cut(l.y)
	at := func(x, y int) float64 { return float64(s.pix[y*s.stride+3*x+colour]) }
	return (1-fy)*((1-fx)*at(x, y)+fx*at(x+1, y)) + fy*((1-fx)*at(x, y+1)+fx*at(x+1, y+1))
}

// This processor's samples are the portable ones bit by bit, and those are the
// bilinear ones to what the weights are rounded to; whatever the line, its length and
// the bytes between rows.
func TestSamplesAreBilinear(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		n := r.IntN(40)
		s := noise(r, 2+r.IntN(40), 2+r.IntN(40), r.IntN(9))
		l := inside(s, n, r.Float64(), r.Float64(), r.Float64(), r.Float64())
		if round%7 == 0 { // whole positions, and the farthest corner
			l = inside(s, n, 0, 0, 1, 1)
		}
		requireSamples(t, s, l, n)
	}
}

func requireSamples(t *testing.T, s *source, l line, n int) {
	t.Helper()
	got, want := make([]sum, n), make([]sum, n)
	for i := range got {
		got[i] = sum{1, 2, 3, 4}
		want[i] = got[i]
	}
	s.addLine(got, l)
	addSamplesPortable(want, s.pix, s.stride, l)
	for i := range want {
		require.Equal(t, want[i][:3], got[i][:3], "sample %d of %d", i, n)
		at := line{x: l.x + int32(i)*l.dx, y: l.y + int32(i)*l.dy}
		for c := range 3 {
			require.InDelta(t, reference(s, at, c), float64(want[i][c]-uint32(c+1))/(1<<weightBits), 255.*3/(1<<weightBits))
		}
	}
}

// Sums are rounded to the nearest alike, and nothing is written behind a row.
func TestRoundIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		n, shift := r.IntN(40), uint(weightBits+2*r.IntN(2))
		sums := make([]sum, n)
		for i := range sums {
			for c := range 3 {
				sums[i][c] = r.Uint32N(255<<shift + 1)
			}
			sums[i][3] = r.Uint32()
		}
		got, want := make([]byte, 3*n+8), make([]byte, 3*n+8)
		round(got[:3*n], sums, shift)
		roundPortable(want[:3*n], sums, shift)
		require.Equal(t, want, got)
		for i := range sums {
			for c := range 3 {
				require.EqualValues(t, math.Floor(float64(sums[i][c])/float64(uint(1)<<shift)+0.5), want[3*i+c])
			}
		}
	}
}

// A line that leaves its source is refused before any memory beyond it is read.
func TestLineOutsideIsRefused(t *testing.T) {
	s := noise(rand.New(rand.NewPCG(5, 6)), 10, 8, 0)
	for _, l := range []line{
		{x: -1}, {y: -1}, {x: 9 * unit}, {y: 7 * unit}, {dx: 3 * unit}, {dy: 2*unit + unit/3 + 1}, {dx: -1}, {dy: -1},
		{x: math.MaxInt32}, {y: math.MinInt32}, {dx: math.MaxInt32, dy: math.MaxInt32},
	} {
		require.Panics(t, func() { s.addLine(make([]sum, 4), l) }, l)
	}
	require.NotPanics(t, func() { s.addLine(make([]sum, 4), line{dx: 3*unit - 1, dy: 2 * unit}) })
	require.NotPanics(t, func() { s.addLine(nil, line{x: -1}) })
}

// FuzzSamples holds this processor's samples against the portable ones.
func FuzzSamples(f *testing.F) {
	f.Add(uint64(1), uint8(12), uint8(20), uint8(30), uint8(3), int32(70000), int32(1), int32(65536), int32(-3))
	f.Fuzz(func(t *testing.T, seed uint64, n, width, height, padding uint8, x, y, dx, dy int32) {
		s := noise(rand.New(rand.NewPCG(seed, 0)), 2+int(width), 2+int(height), int(padding))
		l := line{x, y, dx, dy}
		if !lies(s, l, int(n)) {
			require.Panics(t, func() { s.addLine(make([]sum, n), l) })
			return
		}
		requireSamples(t, s, l, int(n))
	})
}

// lies tells whether each of n samples of a line has its four pixels in the source.
func lies(s *source, l line, n int) bool {
	for i := range int64(n) {
		x, y := (int64(l.x)+i*int64(l.dx))>>fraction, (int64(l.y)+i*int64(l.dy))>>fraction
		if x < 0 || y < 0 || x+1 >= int64(s.width) || y+1 >= int64(s.height) {
			return false
		}
	}
	return true
}

// BenchmarkLine measures a row of a crop: 224 samples and their rounding.
func BenchmarkLine(b *testing.B) {
	s := noise(rand.New(rand.NewPCG(7, 8)), 400, 400, 0)
	sums, out := make([]sum, 224), make([]byte, 3*224)
	l := inside(s, len(sums), 0.1, 0.3, 0.8, 0.5)
	b.Run("this processor", func(b *testing.B) {
		for b.Loop() {
			clear(sums)
			s.addLine(sums, l)
			round(out, sums, weightBits)
		}
	})
	b.Run("portable", func(b *testing.B) {
		for b.Loop() {
			clear(sums)
			addSamplesPortable(sums, s.pix, s.stride, l)
			roundPortable(out, sums, weightBits)
		}
	})
}
