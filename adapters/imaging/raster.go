package imaging

import (
	"context"
	"fmt"
	"syscall"

	"imago/ports"
)

// bytesPerPixel is that of ports.Image: red, green, blue.
const bytesPerPixel = 3

// layout is the transformation of a decoder's rows into the result: width x height
// pixels as stored, averaged in cells of reduction x reduction pixels, rotated upright.
type layout struct {
	width, height int
	reduction     int
	orientation   orientation
}

// unchanged reports whether the stored rows are already the result.
func (l layout) unchanged() bool { return l.reduction == 1 && l.orientation == upright }

// reduced returns the sides after reduction, before rotation.
func (l layout) reduced() (width, height int) {
	return ceilDiv(l.width, l.reduction), ceilDiv(l.height, l.reduction)
}

// storedBytes returns the size of the stored rows.
func (l layout) storedBytes() int { return l.width * l.height * bytesPerPixel }

// resultBytes returns the size of the result.
func (l layout) resultBytes() int64 {
	width, height := l.reduced()
	return int64(width) * int64(height) * bytesPerPixel
}

// compose makes the result from the stored rows, which next returns one by one from
// the top.
func (l layout) compose(ctx context.Context, images *pool, next func() ([]byte, error)) (*ports.Image, error) {
	width, height := l.reduced()
	img := images.image(l.orientation.turn(width, height))
	to := newPlacement(img, l.orientation)
	c := newCells(l)
	for y := range height {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := c.reduce(y, next)
		if err != nil {
			return nil, err
		}
		to.put(y, row)
	}
	return img, nil
}

// rowsOf iterates over the rows of a picture in memory.
func rowsOf(pix []byte, stride int) func() ([]byte, error) {
	return func() (row []byte, err error) {
		row, pix = pix[:stride], pix[stride:]
		return row, nil
	}
}

// withScratch calls use with a buffer that is returned to the system afterwards. On the
// Go heap up to 192 MB would stay until a later collection.
func withScratch(size int, use func(pix []byte) error) error {
	pix, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return noMemory(fmt.Sprintf("mmap: %v", err))
	}
	defer func() { _ = syscall.Munmap(pix) }()
	return use(pix)
}

// placement writes stored rows to their place in the upright picture.
type placement struct {
	pix         []byte
	origin      int // offset of the first stored pixel
	column, row int // distance to the next stored column and row
}

func newPlacement(img *ports.Image, o orientation) placement {
	p := placement{pix: img.Pix, column: bytesPerPixel, row: img.Stride}
	width, height := img.Width, img.Height
	if o.swaps() {
		p.column, p.row = p.row, p.column
		width, height = height, width
	}
	if o.fromRight() {
		p.origin += (width - 1) * p.column
		p.column = -p.column
	}
	if o.fromBottom() {
		p.origin += (height - 1) * p.row
		p.row = -p.row
	}
	return p
}

// put writes stored row y.
func (p placement) put(y int, row []byte) {
	at := p.origin + y*p.row
	if p.column == bytesPerPixel {
		copy(p.pix[at:], row)
		return
	}
	for ; len(row) >= bytesPerPixel; row = row[bytesPerPixel:] {
		d := p.pix[at : at+bytesPerPixel]
		d[0], d[1], d[2] = row[0], row[1], row[2]
		at += p.column
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
