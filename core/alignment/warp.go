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
	inv := t.Inverse()
	src := source{pix: img.Pix, stride: img.Stride, width: img.Width, height: img.Height}
	if f := int(inv.Scale()); f >= 2 {
		src = reduce(img, inv, f)
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
	return sample(&src, inv, taps)
}

// source is a picture to sample from.
type source struct {
	pix              []byte
	stride           int
	width, height    int
	originX, originY int // of a reduced region, in pixels of the image
}

// reduce averages f x f cells of the part of the image that the chip covers.
func reduce(img *ports.Image, inv Transform, f int) source {
	x0, y0, x1, y1 := footprint(inv, f)
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

// footprint returns the box of image pixels that the chip covers, with a
// margin for interpolation and whole cells of f pixels.
func footprint(inv Transform, f int) (x0, y0, x1, y1 int) {
	const last = ports.ChipSize
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	for _, c := range []ports.Point{{X: -1, Y: -1}, {X: last, Y: -1}, {X: -1, Y: last}, {X: last, Y: last}} {
		p := inv.Apply(c)
		minX, maxX = math.Min(minX, p.X), math.Max(maxX, p.X)
		minY, maxY = math.Min(minY, p.Y), math.Max(maxY, p.Y)
	}
	return clampInt(minX) - 2*f, clampInt(minY) - 2*f, clampInt(maxX) + 2*f, clampInt(maxY) + 2*f
}

// clampInt keeps far-out coordinates within what integer arithmetic bears.
func clampInt(v float64) int { return int(math.Max(-1<<30, math.Min(1<<30, v))) }

// sample fills a chip from src, taps x taps bilinear samples a pixel.
func sample(src *source, inv Transform, taps int) *ports.Chip {
	chip := new(ports.Chip)
	weight := 1 / float64(taps*taps)
	for v := range ports.ChipSize {
		for u := range ports.ChipSize {
			var r, g, b float64
			for sv := range taps {
				for su := range taps {
					p := inv.Apply(ports.Point{X: subpixel(u, su, taps), Y: subpixel(v, sv, taps)})
					r, g, b = src.add(p, r, g, b)
				}
			}
			i := 3 * (v*ports.ChipSize + u)
			chip[i] = byte(r*weight + 0.5)
			chip[i+1] = byte(g*weight + 0.5)
			chip[i+2] = byte(b*weight + 0.5)
		}
	}
	return chip
}

// subpixel returns the position of the i-th of n samples spread over pixel p.
func subpixel(p, i, n int) float64 { return float64(p) + (float64(i)+0.5)/float64(n) - 0.5 }

// add adds the bilinear sample at p to the sums r, g and b.
func (s *source) add(p ports.Point, r, g, b float64) (float64, float64, float64) {
	x, y := math.Floor(p.X), math.Floor(p.Y)
	if x < -1 || y < -1 || x >= float64(s.width) || y >= float64(s.height) {
		return r, g, b
	}
	fx, fy := p.X-x, p.Y-y
	ix, iy := int(x), int(y)
	for dy, wy := range [2]float64{1 - fy, fy} {
		for dx, wx := range [2]float64{1 - fx, fx} {
			if px, py := ix+dx, iy+dy; px >= 0 && py >= 0 && px < s.width && py < s.height {
				w, i := wx*wy, py*s.stride+3*px
				r += w * float64(s.pix[i])
				g += w * float64(s.pix[i+1])
				b += w * float64(s.pix[i+2])
			}
		}
	}
	return r, g, b
}
