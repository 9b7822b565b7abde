package alignment

import (
	"image"
	"math"
	"slices"

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
// A Sampler reuses its memory in the next call: 3 bytes for each pixel that the
// largest result so far covered, after the reduction. Its zero value is ready to use. It
// is not safe for concurrent use.
type Sampler struct {
	pix  []byte
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

// cropStep is the largest distance in pixels between bilinear samples: each of them
// weighs two pixels, so that none is left out.
const cropStep = 4. / 3

// warp fills size x size pixels of out, twice sampled where steps between them are
// longer than maxStep pixels.
func (s *Sampler) warp(out []byte, size int, img *ports.Image, t Transform, maxStep float64) {
	inv := t.Inverse()
	f := max(1, int(inv.Scale()))
	box := footprint(inv, float64(size), f)
	if box.Intersect(image.Rect(0, 0, img.Width, img.Height)).Empty() {
		clear(out)
		return
	}
	src := s.source(img, box, f)
	// Pixel (x, y) of the source is centred on image position
	// (originX + f*x + (f-1)/2, …).
	half := float64(f-1) / 2
	inv.A, inv.B = inv.A/float64(f), inv.B/float64(f)
	inv.TX = (inv.TX - half - float64(src.originX)) / float64(f)
	inv.TY = (inv.TY - half - float64(src.originY)) / float64(f)
	taps := 1
	if inv.Scale() > maxStep {
		taps = 2
	}
	src.sample(out, size, inv, taps)
}

// footprint returns the box of image pixels that the result covers, with a
// margin for interpolation and whole cells of f pixels.
func footprint(inv Transform, size float64, f int) image.Rectangle {
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	for _, c := range []ports.Point{{X: -1, Y: -1}, {X: size, Y: -1}, {X: -1, Y: size}, {X: size, Y: size}} {
		p := inv.Apply(c)
		minX, maxX = math.Min(minX, p.X), math.Max(maxX, p.X)
		minY, maxY = math.Min(minY, p.Y), math.Max(maxY, p.Y)
	}
	return image.Rect(clampInt(minX)-2*f, clampInt(minY)-2*f, clampInt(maxX)+2*f, clampInt(maxY)+2*f)
}

// clampInt keeps coordinates far outside the image from overflowing integer arithmetic.
func clampInt(v float64) int { return int(math.Max(-1<<30, math.Min(1<<30, v))) }

// source returns the source for a result: the cells of f x f pixels of the image in its
// footprint, averaged. Single pixels are not copied unless part of the footprint is
// outside the image.
func (s *Sampler) source(img *ports.Image, box image.Rectangle, f int) source {
	x0, y0 := box.Min.X, box.Min.Y
	if f == 1 && box.In(image.Rect(0, 0, img.Width-slack, img.Height)) && img.Stride <= maxStride {
		return source{img.Pix[y0*img.Stride+3*x0:], img.Stride, box.Dx(), box.Dy(), x0, y0}
	}
	width, height := (box.Dx()+f-1)/f, (box.Dy()+f-1)/f
	n := 3 * (width*height + slack)
	s.pix = slices.Grow(s.pix[:0], n)[:n]
	r := source{s.pix, 3 * width, width, height, x0, y0}
	if f == 1 {
		r.copyPixels(img)
		return r
	}
	s.sums = slices.Grow(s.sums[:0], 3*width)[:3*width]
	r.reduce(img, f, s.sums)
	return r
}

// source is a picture to sample from, black outside its image. Its last pixel is
// followed by slack more, which may be read.
type source struct {
	pix              []byte // red, green, blue
	stride           int    // bytes from a row to the next, up to maxStride
	width, height    int
	originX, originY int // in pixels of the image
}

const (
	slack     = 1
	maxStride = math.MaxInt16
)

// copyPixels copies pixels as they are.
func (s *source) copyPixels(img *ports.Image) {
	from, to := max(0, -s.originX), min(s.width, img.Width-s.originX)
	for y := range s.height {
		row, iy := s.row(y), s.originY+y
		if iy < 0 || iy >= img.Height || from >= to {
			clear(row)
			continue
		}
		clear(row[:3*from])
		copy(row[3*from:3*to], img.Pix[iy*img.Stride+3*(s.originX+from):])
		clear(row[3*to:])
	}
}

// row returns the pixels of row y.
func (s *source) row(y int) []byte { return s.pix[y*s.stride:][:3*s.width] }

// reduce averages cells of f x f pixels.
func (s *source) reduce(img *ports.Image, f int, sums []uint32) {
	area := uint32(f * f)
	for y := range s.height {
		clear(sums)
		top := s.originY + y*f
		for iy := max(0, top); iy < min(top+f, img.Height); iy++ {
			addRow(sums, img.Pix[iy*img.Stride:][:3*img.Width], s.originX, f)
		}
		row := s.row(y)
		for i, sum := range sums {
			row[i] = byte((sum + area/2) / area)
		}
	}
}

// addRow adds a row of pixels to their cells of f pixels, the first of which begins at x.
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

// sample fills out, taps x taps bilinear samples a pixel (1 or 2).
func (s *source) sample(out []byte, size int, inv Transform, taps int) {
	var sums [MaxSize]sum
	shift := uint(weightBits + 2*(taps-1))
	for v := range size {
		row := sums[:size]
		clear(row)
		for i := range taps * taps {
			start := inv.Apply(ports.Point{X: subpixel(0, i%taps, taps), Y: subpixel(v, i/taps, taps)})
			// One step to the right in the result moves (A, B) in the source.
			s.addLine(row, line{fixed(start.X), fixed(start.Y), fixed(inv.A), fixed(inv.B)})
		}
		round(out[3*v*size:][:3*size], row, shift)
	}
}

// subpixel returns the position of the i-th of n samples spread over pixel p.
func subpixel(p, i, n int) float64 { return float64(p) + (float64(i)+0.5)/float64(n) - 0.5 }
