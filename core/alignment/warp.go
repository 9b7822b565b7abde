package alignment

import (
	"math"

	"imago/ports"
)

// Sampler samples pictures through transforms. What lies outside a picture is
// black, as in the pictures that embedding networks were trained on.
//
// Sampling does not alias: a face larger than the result is first reduced by
// whole factors (area average), then sampled bilinearly, twice in each
// direction while more than one pixel still falls on a pixel of the result. The
// image is only read.
//
// A Sampler keeps its memory for the next call: 8 bytes for each pixel that the
// largest result so far covered, after the reduction. Its zero value is ready; it
// is used by one goroutine at a time.
type Sampler struct {
	src  source
	sums []uint32 // of one row of cells
}

// MaxSize is the longest side of a result in pixels, so that a row of sums fits
// the stack.
const MaxSize = 512

// Warp samples the image through t into a chip.
func (s *Sampler) Warp(img *ports.Image, t Transform) *ports.Chip {
	chip := new(ports.Chip)
	s.warp(chip[:], ports.ChipSize, img, t, 1)
	return chip
}

// Crop samples the image through t into all pixels of out, a square picture of at
// most MaxSize pixels a side without padding between its rows. It is sampled twice
// in each direction only where more than cropStep pixels fall on one of its own,
// which detectors do not notice and saves half of the time for small pictures.
func (s *Sampler) Crop(out, img *ports.Image, t Transform) {
	s.warp(out.Pix, out.Width, img, t, cropStep)
}

// cropStep is how far apart, in pixels, bilinear samples may lie: each of them
// weighs two pixels, so that none is left out.
const cropStep = 4. / 3

// warp fills size x size pixels of out, twice sampled where steps between them are
// longer than maxStep pixels.
func (s *Sampler) warp(out []byte, size int, img *ports.Image, t Transform, maxStep float64) {
	inv := t.Inverse()
	f := max(1, int(inv.Scale()))
	s.prepare(img, inv, size, f)
	// Pixel (x, y) of the source is centred on image position
	// (originX + f*x + (f-1)/2, …).
	half := float64(f-1) / 2
	inv.A, inv.B = inv.A/float64(f), inv.B/float64(f)
	inv.TX = (inv.TX - half - float64(s.src.originX)) / float64(f)
	inv.TY = (inv.TY - half - float64(s.src.originY)) / float64(f)
	taps := 1
	if inv.Scale() > maxStep {
		taps = 2
	}
	s.src.sample(out, size, inv, taps)
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

// prepare makes the source for a result: the cells of f x f pixels of the image
// in its footprint, averaged.
func (s *Sampler) prepare(img *ports.Image, inv Transform, size, f int) {
	x0, y0, x1, y1 := footprint(inv, float64(size), f)
	r := &s.src
	r.originX, r.originY = x0, y0
	r.width, r.height = (x1-x0+f-1)/f, (y1-y0+f-1)/f
	if n := r.width * r.height; cap(r.pix) < n {
		r.pix = make([]uint64, n)
	} else {
		r.pix = r.pix[:n]
	}
	if f == 1 {
		r.take(img)
		return
	}
	if n := 3 * r.width; cap(s.sums) < n {
		s.sums = make([]uint32, n)
	}
	r.reduce(img, f, s.sums[:3*r.width])
}

// source is a picture to sample from, black where its image has no pixels. Each
// pixel is a word that holds red, green and blue in lanes: weighted sums of all
// three cost one multiplication and one addition, a third of what they cost one
// by one (BenchmarkWarp).
type source struct {
	pix              []uint64
	width, height    int
	originX, originY int // in pixels of the image
}

// Lanes are 21 bits wide, which holds 8 bits of colour times weights that add up
// to one in 13 bits, and half of the last place for rounding.
const (
	lane       = 21
	weightBits = 13
)

func pack(r, g, b uint64) uint64 { return r | g<<lane | b<<(2*lane) }

// take copies pixels as they are.
func (s *source) take(img *ports.Image) {
	from, to := max(0, -s.originX), min(s.width, img.Width-s.originX)
	for y := range s.height {
		row, iy := s.pix[y*s.width:][:s.width], s.originY+y
		if iy < 0 || iy >= img.Height || from >= to {
			clear(row)
			continue
		}
		clear(row[:from])
		clear(row[to:])
		row = row[from:to]
		pix := img.Pix[iy*img.Stride+3*(s.originX+from):][:3*len(row)]
		for i := range row {
			p := pix[3*i : 3*i+3 : 3*i+3]
			row[i] = pack(uint64(p[0]), uint64(p[1]), uint64(p[2]))
		}
	}
}

// reduce averages cells of f x f pixels.
func (s *source) reduce(img *ports.Image, f int, sums []uint32) {
	area := uint32(f * f)
	for y := range s.height {
		clear(sums)
		top := s.originY + y*f
		for iy := max(0, top); iy < min(top+f, img.Height); iy++ {
			addRow(sums, img.Pix[iy*img.Stride:][:3*img.Width], s.originX, f)
		}
		row := s.pix[y*s.width:][:s.width]
		for i := range row {
			c := sums[3*i : 3*i+3 : 3*i+3]
			row[i] = pack(uint64((c[0]+area/2)/area), uint64((c[1]+area/2)/area), uint64((c[2]+area/2)/area))
		}
	}
}

// addRow adds a row of pixels to the cells of f pixels they fall in, the first of
// which begins at x.
func addRow(sums []uint32, row []byte, x, f int) {
	for ; len(sums) >= 3; sums, x = sums[3:], x+f {
		from, to := max(0, 3*x), min(3*(x+f), len(row))
		if from >= to {
			continue
		}
		var r, g, b uint32
		for p := row[from:to]; len(p) >= 3; p = p[3:] {
			r, g, b = r+uint32(p[0]), g+uint32(p[1]), b+uint32(p[2])
		}
		sums[0] += r
		sums[1] += g
		sums[2] += b
	}
}

// Positions are fixed-point numbers with fraction bits: exact enough for
// pictures of any size that decoders accept, and several times faster than
// floating point (BenchmarkWarp).
const (
	fraction = 16
	unit     = 1 << fraction
)

// sample fills out, taps x taps bilinear samples a pixel (1 or 2).
func (s *source) sample(out []byte, size int, inv Transform, taps int) {
	var sums [MaxSize]uint64
	half := pack(1, 1, 1) << (weightBits - 1)
	shift := uint(16 - weightBits + 2*(taps-1))
	for v := range size {
		row := sums[:size]
		for i := range row {
			row[i] = half
		}
		for i := range taps * taps {
			start := inv.Apply(ports.Point{X: subpixel(0, i%taps, taps), Y: subpixel(v, i/taps, taps)})
			// One step to the right in the result moves (A, B) in the source.
			s.addLine(row, fixed(start.X), fixed(start.Y), fixed(inv.A), fixed(inv.B), shift)
		}
		to := out[3*v*size:][:3*size]
		for i, sum := range row {
			p := to[3*i : 3*i+3 : 3*i+3]
			p[0], p[1], p[2] = byte(sum>>weightBits), byte(sum>>(lane+weightBits)), byte(sum>>(2*lane+weightBits))
		}
	}
}

func fixed(v float64) int { return int(math.Floor(v*unit + 0.5)) }

// subpixel returns the position of the i-th of n samples spread over pixel p.
func subpixel(p, i, n int) float64 { return float64(p) + (float64(i)+0.5)/float64(n) - 0.5 }

// addLine adds to sums the bilinear samples along a line that starts at the
// fixed-point position (x, y) and advances by (dx, dy). The weights of a sample,
// products of two fractions of 8 bits, lose shift bits; they add up to one
// exactly. The footprint has the line inside the source.
func (s *source) addLine(sums []uint64, x, y, dx, dy int, shift uint) {
	shift &= 63 // spares the compiler a comparison
	for i := range sums {
		fx, fy := uint64(x>>(fraction-8)&255), uint64(y>>(fraction-8)&255)
		w11 := fx * fy >> shift
		w01, w10 := fx<<8>>shift-w11, fy<<8>>shift-w11
		w00 := 1<<16>>shift - w11 - w01 - w10
		at := y>>fraction*s.width + x>>fraction
		above, below := s.pix[at:at+2:at+2], s.pix[at+s.width:at+s.width+2:at+s.width+2]
		sums[i] += above[0]*w00 + above[1]*w01 + below[0]*w10 + below[1]*w11
		x, y = x+dx, y+dy
	}
}
