package imaging

import (
	"bytes"
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"imago/config"
	"imago/ports"
)

var _ ports.Decoder = (*Decoder)(nil)

// Decoder decodes JPEG and PNG pictures. The format is detected by the first bytes
// alone. It is safe for concurrent use. Between calls it keeps released
// images of up to maxKept bytes, as many as were in use at once, for at most two GC
// cycles.
//
// A reduced copy is smaller by a whole number: 1, 2, 4 or 8 for JPEG, any for
// PNG. Its sides are rounded up, so that the last column and row may stand for
// fewer pixels of the original than the others. Pixel (x, y) of a copy reduced
// by f is centred on pixel (f*x + (f-1)/2, f*y + (f-1)/2) of the upright
// original. The one exception is a JPEG whose Exif orientation turns its right
// or lower edge to the left or top: where that side is not a multiple of f, the
// copy lies up to f-1 original pixels off, less than one of its own.
type Decoder struct {
	maxPixels int
	budget    *semaphore.Weighted
	size      int64 // of the budget, in bytes
	released  pool
}

// New returns a Decoder that refuses pictures of more than limits.Megapixels
// million pixels and whose calls together use at most limits.DecodeMiB MiB, as
// estimated from the headers. A picture that needs more than the whole budget is
// decoded alone. The results are owned by the callers and do not count once Decode has
// returned.
func New(limits config.Limits) *Decoder {
	size := int64(limits.DecodeMiB) << 20
	return &Decoder{
		maxPixels: limits.Megapixels * pixelsPerMegapixel,
		budget:    semaphore.NewWeighted(size),
		size:      size,
	}
}

const pixelsPerMegapixel = 1_000_000

// picture is a file whose header has been read.
type picture interface {
	// size returns the sides in pixels as stored, before orientation.
	size() (width, height int)
	// plan chooses the reduction for a wanted longer side and returns the peak memory
	// of decoding in bytes, the result included.
	plan(longSide int) int64
	// decode decodes as planned.
	decode(ctx context.Context, images *pool) (*ports.Image, error)
}

// Decode implements ports.Decoder. While other calls use up the budget it waits, in
// the order of arrival.
func (d *Decoder) Decode(ctx context.Context, data []byte, longSide int) (*ports.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := open(data)
	if err != nil {
		return nil, err
	}
	if err := d.checkSize(p.size()); err != nil {
		return nil, err
	}
	need := min(p.plan(longSide), d.size)
	if err := d.budget.Acquire(ctx, need); err != nil {
		return nil, err
	}
	defer d.budget.Release(need)
	return p.decode(ctx, &d.released)
}

// Release implements ports.Decoder. The image loses its pixels, so that a later read
// panics instead of seeing another picture.
func (d *Decoder) Release(img *ports.Image) { d.released.put(img) }

// pool reuses the buffers of images.
type pool struct{ pixels sync.Pool } // of *[]byte

// maxKept is the largest buffer that is reused, in bytes: 2,364 pixels squared. A copy
// for a detector input of 640 pixels has at most 1,280 a side.
const maxKept = 16 << 20

func (p *pool) put(img *ports.Image) {
	if img == nil {
		return
	}
	pix := img.Pix
	img.Pix = nil
	if 0 < cap(pix) && cap(pix) <= maxKept {
		p.pixels.Put(&pix)
	}
}

// image returns an image with undefined pixels.
func (p *pool) image(width, height int) *ports.Image {
	n := bytesPerPixel * width * height
	if kept, ok := p.pixels.Get().(*[]byte); ok && cap(*kept) >= n {
		return &ports.Image{
			Pix: (*kept)[:n], Stride: bytesPerPixel * width, Width: width, Height: height, FullWidth: width, FullHeight: height,
		}
	}
	return ports.NewImage(width, height)
}

const (
	jpegMagic = "\xff\xd8"
	pngMagic  = "\x89PNG"
)

// open reads the header of a file. Nothing is allocated in proportion to the
// size that it declares.
func open(data []byte) (picture, error) {
	switch {
	case len(data) == 0:
		return nil, errEmpty
	case bytes.HasPrefix(data, []byte(jpegMagic)):
		return openJPEG(data)
	case bytes.HasPrefix(data, []byte(pngMagic)):
		return openPNG(data)
	}
	return nil, errFormat
}

// maxSide is the longest side in pixels: libjpeg takes no longer ones
// (JPEG_MAX_DIMENSION of jmorecfg.h), and one limit for both formats is simpler.
const maxSide = 65500

// checkSize checks the declared size.
func (d *Decoder) checkSize(width, height int) error {
	switch {
	case width == 0 || height == 0:
		return errNoPixels
	case width > maxSide || height > maxSide:
		return refuseSide(width, height)
	case width*height > d.maxPixels:
		return refusePixels(width, height, d.maxPixels/pixelsPerMegapixel)
	}
	return nil
}
