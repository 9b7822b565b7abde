package alignment

import (
	"math"

	"imago/ports"
)

// Warp samples the image through t into a chip. What lies outside the image is
// black, as in the pictures that embedding networks were trained on.
//
// Sampling does not alias: a face larger than the chip is first reduced by
// whole factors (area average), then sampled bilinearly, twice in each
// direction while more than one pixel still falls on a chip pixel. The image
// is only read.
func Warp(img *ports.Image, t Transform) *ports.Chip {
	chip := new(ports.Chip)
	warp(chip[:], ports.ChipSize, img, t)
	return chip
}

// Crop samples the image through t into a square picture of size x size pixels
// (1 to 512) under the same rules as Warp. The result is its own original.
func Crop(img *ports.Image, t Transform, size int) *ports.Image {
	out := ports.NewImage(size, size)
	warp(out.Pix, size, img, t)
	return out
}

// warp fills size x size pixels of out.
func warp(out []byte, size int, img *ports.Image, t Transform) {
	inv := t.Inverse()
	src := source{pix: img.Pix, stride: img.Stride, width: img.Width, height: img.Height}
	if f := int(inv.Scale()); f >= 2 {
		src = reduce(img, inv, size, f)
		// Pixel (x, y) of the reduced picture is centred on image position
		// (originX + f*x + (f-1)/2, …).
		half := float64(f-1) / 2
		inv.A, inv.B = inv.A/float64(f), inv.B/float64(f)
		inv.TX = (inv.TX - half - float64(src.originX)) / float64(f)
		inv.TY = (inv.TY - half - float64(src.originY)) / float64(f)
	}
	taps := 1
	if inv.Scale() > 1 {
		taps = 2
	}
	sample(out, size, &src, inv, taps)
}

// source is a picture to sample from.
type source struct {
	pix              []byte
	stride           int
	width, height    int
	originX, originY int // of a reduced region, in pixels of the image
}

// reduce averages f x f cells of the part of the image that the result covers.
func reduce(img *ports.Image, inv Transform, size, f int) source {
	x0, y0, x1, y1 := footprint(inv, float64(size), f)
	x0, y0 = max(x0, 0), max(y0, 0)
	x1, y1 = min(x1, img.Width), min(y1, img.Height)
	r := source{originX: x0, originY: y0}
	if x0 >= x1 || y0 >= y1 {
		return r
	}
	r.width, r.height = (x1-x0+f-1)/f, (y1-y0+f-1)/f
	r.stride = 3 * r.width
	r.pix = make([]byte, r.stride*r.height)
	sums := make([]int, r.stride)
	for y := range r.height {
		clear(sums)
		top := y0 + y*f
		for sy := top; sy < min(top+f, img.Height); sy++ {
			addRow(sums, img.Pix[sy*img.Stride:], x0, min(x0+r.width*f, img.Width), f)
		}
		row := r.pix[y*r.stride:]
		for i, s := range sums {
			row[i] = byte((s + f*f/2) / (f * f))
		}
	}
	return r
}

// addRow adds the pixels x0 to x1 of a row to the cells of f pixels they fall in.
func addRow(sums []int, row []byte, x0, x1, f int) {
	cell := 0
	for x := x0; x < x1; x += f {
		var r, g, b int
		for i := 3 * x; i < 3*min(x+f, x1); i += 3 {
			r, g, b = r+int(row[i]), g+int(row[i+1]), b+int(row[i+2])
		}
		sums[cell] += r
		sums[cell+1] += g
		sums[cell+2] += b
		cell += 3
	}
}

// footprint returns the box of image pixels that the result covers, with a
// margin for interpolation and whole cells of f pixels.
func footprint(inv Transform, size float64, f int) (x0, y0, x1, y1 int) {
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	for _, c := range []ports.Point{{X: -1, Y: -1}, {X: size, Y: -1}, {X: -1, Y: size}, {X: size, Y: size}} {
		p := inv.Apply(c)
		minX, maxX = math.Min(minX, p.X), math.Max(maxX, p.X)
		minY, maxY = math.Min(minY, p.Y), math.Max(maxY, p.Y)
	}
	return clampInt(minX) - 2*f, clampInt(minY) - 2*f, clampInt(maxX) + 2*f, clampInt(maxY) + 2*f
}

// clampInt keeps far-out coordinates within what integer arithmetic bears.
func clampInt(v float64) int { return int(math.Max(-1<<30, math.Min(1<<30, v))) }

// Positions are fixed-point numbers with fraction bits: exact enough for
// pictures of any size that decoders accept, and several times faster than
// floating point (BenchmarkWarp).
const (
	fraction = 16
	unit     = 1 << fraction
)

// maxSize is the largest side of a result, so that a row of sums fits the stack.
const maxSize = 512

// sample fills out from src, taps x taps bilinear samples a pixel (1 or 2).
func sample(out []byte, size int, src *source, inv Transform, taps int) {
	// A sum holds taps*taps samples scaled by 2^16: at most 2^26.
	var sums [3 * maxSize]uint32
	shift := 16 + 2*(taps-1)
	for v := range size {
		row := sums[:3*size]
		clear(row)
		for i := range taps * taps {
			start := inv.Apply(ports.Point{X: subpixel(0, i%taps, taps), Y: subpixel(v, i/taps, taps)})
			// One step to the right in the result moves (A, B) in the source.
			src.addLine(row, fixed(start.X), fixed(start.Y), fixed(inv.A), fixed(inv.B))
		}
		for i, sum := range row {
			out[3*v*size+i] = byte((sum + 1<<(shift-1)) >> shift)
		}
	}
}

func fixed(v float64) int { return int(math.Floor(v*unit + 0.5)) }

// subpixel returns the position of the i-th of n samples spread over pixel p.
func subpixel(p, i, n int) float64 { return float64(p) + (float64(i)+0.5)/float64(n) - 0.5 }

// addLine adds to sums, three a pixel, the bilinear samples along a line that
// starts at the fixed-point position (x, y) and advances by (dx, dy).
func (s *source) addLine(sums []uint32, x, y, dx, dy int) {
	for ; len(sums) >= 3; sums, x, y = sums[3:], x+dx, y+dy {
		ix, iy := x>>fraction, y>>fraction
		fx, fy := uint32(x>>(fraction-8)&255), uint32(y>>(fraction-8)&255)
		if uint(ix) >= uint(max(s.width-1, 0)) || uint(iy) >= uint(max(s.height-1, 0)) {
			s.addEdge(sums, ix, iy, fx, fy)
			continue
		}
		i := iy*s.stride + 3*ix
		above, below := s.pix[i:i+6:i+6], s.pix[i+s.stride:i+s.stride+6:i+s.stride+6]
		w11 := fx * fy
		w10, w01 := fy<<8-w11, fx<<8-w11
		w00 := 1<<16 - fx<<8 - w10
		sums[0] += uint32(above[0])*w00 + uint32(above[3])*w01 + uint32(below[0])*w10 + uint32(below[3])*w11
		sums[1] += uint32(above[1])*w00 + uint32(above[4])*w01 + uint32(below[1])*w10 + uint32(below[4])*w11
		sums[2] += uint32(above[2])*w00 + uint32(above[5])*w01 + uint32(below[2])*w10 + uint32(below[5])*w11
	}
}

// addEdge adds one sample of which some of the four pixels are outside and
// count as black.
func (s *source) addEdge(sums []uint32, ix, iy int, fx, fy uint32) {
	if ix < -1 || iy < -1 || ix >= s.width || iy >= s.height {
		return
	}
	for dy, wy := range [2]uint32{256 - fy, fy} {
		for dx, wx := range [2]uint32{256 - fx, fx} {
			if px, py := ix+dx, iy+dy; px >= 0 && py >= 0 && px < s.width && py < s.height {
				for c := range 3 {
					sums[c] += wx * wy * uint32(s.pix[py*s.stride+3*px+c])
				}
			}
		}
	}
}
