package alignment

import (
	"encoding/binary"
	"math"
)

// A sum adds up samples of red, green and blue; its last lane has no meaning.
type sum [4]uint32

// A line is where to sample: from (x, y) of a source in steps of (dx, dy). All are
// fixed-point numbers with fraction bits, exact enough for sources of up to 32,767
// pixels a side.
type line struct{ x, y, dx, dy int32 }

const (
	fraction = 16
	unit     = 1 << fraction
)

func fixed(v float64) int32 { return int32(math.Floor(v*unit + 0.5)) }

// weightBits is how many bits the four weights of a sample add up to, exactly.
const weightBits = 14

// addLine adds the bilinear samples along a line to sums. The line lies inside the
// source, or addLine panics.
func (s *source) addLine(sums []sum, l line) {
	if len(sums) == 0 {
		return
	}
	// A line with both ends inside is inside.
	last := int64(len(sums) - 1)
	s.check(int64(l.x), int64(l.y))
	s.check(int64(l.x)+last*int64(l.dx), int64(l.y)+last*int64(l.dy))
	addSamples(sums, s.pix, s.stride, l)
}

// check panics unless the four pixels around a position are in the source.
func (s *source) check(x, y int64) {
	if x < 0 || y < 0 || x>>fraction+1 >= int64(s.width) || y>>fraction+1 >= int64(s.height) {
		panic("alignment: a line is not inside its source")
	}
}

// addSamplesPortable is addSamples for any processor, and defines its result. One
// multiplication weighs two pixels: of the product of left + right<<24 and
// rightWeight + leftWeight<<24 the middle is their weighted sum.
func addSamplesPortable(sums []sum, pix []byte, stride int, l line) {
	const pair, middle = 0xff0000ff, 0xff_ffff
	for i := range sums {
		fx, fy := uint64(l.x>>(fraction-8)&255), uint64(l.y>>(fraction-8)&255)
		w11 := fx * fy >> (16 - weightBits)
		w01, w10 := fx<<(weightBits-8)-w11, fy<<(weightBits-8)-w11
		w00 := 1<<weightBits - w11 - w01 - w10
		upper, lower := w01|w00<<24, w11|w10<<24
		at := int(l.y>>fraction)*stride + 3*int(l.x>>fraction)
		above, below := binary.LittleEndian.Uint64(pix[at:]), binary.LittleEndian.Uint64(pix[at+stride:])
		c := &sums[i]
		c[0] += uint32((above&pair*upper+below&pair*lower)>>24) & middle
		c[1] += uint32((above>>8&pair*upper+below>>8&pair*lower)>>24) & middle
		c[2] += uint32((above>>16&pair*upper+below>>16&pair*lower)>>24) & middle
		l.x, l.y = l.x+l.dx, l.y+l.dy
	}
}

// roundPortable is round for any processor.
func roundPortable(out []byte, sums []sum, shift uint) {
	shift &= 31 // lets the compiler omit bounds checks
	half := uint32(1) << shift >> 1
	for i := range sums {
		c, p := &sums[i], out[3*i:3*i+3:3*i+3]
		p[0], p[1], p[2] = byte((c[0]+half)>>shift), byte((c[1]+half)>>shift), byte((c[2]+half)>>shift)
	}
}
