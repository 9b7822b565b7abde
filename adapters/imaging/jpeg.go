package imaging

// #cgo CFLAGS: -O2 -Wall -Wextra
// #cgo LDFLAGS: -ljpeg
// #include "libjpeg.h"
import "C"

import (
	"context"
	"errors"
	"sync/atomic"
	"unsafe"

	"imago/ports"
)

// jpegFile is a JPEG file of which the header has been read.
type jpegFile struct {
	data   []byte
	header *jpegHeader
	scale  int // in eighths
	layout layout
}

func openJPEG(data []byte) (picture, error) {
	h, err := readJPEGHeader(data)
	if err != nil {
		return nil, err
	}
	return &jpegFile{data: data, header: h}, nil
}

func (f *jpegFile) size() (width, height int) { return f.header.width, f.header.height }

// fullScale is libjpeg's scale of a whole picture, in eighths: the side of a
// block of coefficients.
const fullScale = 8

func (f *jpegFile) plan(longSide int) int64 {
	h := f.header
	f.scale = jpegScale(max(h.width, h.height), longSide)
	f.layout = layout{
		width: ceilDiv(h.width*f.scale, fullScale), height: ceilDiv(h.height*f.scale, fullScale),
		reduction: 1, orientation: h.orientation,
	}
	need := f.layout.resultBytes() + h.coefficientBytes() + jpegWorkspace(h.width)
	if !f.layout.unchanged() {
		need += int64(f.layout.storedBytes())
	}
	return need
}

// jpegScale returns the smallest scale, in eighths, that leaves the longer side
// at least longSide pixels. Only halvings are used: libjpeg-turbo has vector
// code for them alone, and a reduction by a whole number keeps positions exact.
func jpegScale(longer, longSide int) int {
	if longSide > 0 {
		for scale := 1; scale < fullScale; scale *= 2 {
			if ceilDiv(longer*scale, fullScale) >= longSide {
				return scale
			}
		}
	}
	return fullScale
}

// coefficientBytes returns the memory for the coefficients of the whole picture, two
// bytes each, which libjpeg buffers for files of several scans. Blocks are
// 8 x 8; each component is padded to a whole number of blocks in a minimum
// coded unit (T.81, A.2.4).
func (h *jpegHeader) coefficientBytes() int64 {
	if !h.severalScans {
		return 0
	}
	const blockBytes = 2 * fullScale * fullScale
	var across, down int
	for _, c := range h.components {
		across, down = max(across, c.horizontal), max(down, c.vertical)
	}
	units := int64(ceilDiv(h.width, fullScale*across)) * int64(ceilDiv(h.height, fullScale*down))
	var blocks int64
	for _, c := range h.components {
		blocks += units * int64(c.horizontal*c.vertical)
	}
	return blocks * blockBytes
}

// jpegWorkspace bounds libjpeg's row buffers and tables for a picture of the given
// width.
func jpegWorkspace(width int) int64 {
	const rows, tables = 64, 256 << 10
	return int64(width)*bytesPerPixel*rows + tables
}

// maxScans bounds the scans of a file. Encoders write about ten; each costs a pass over
// the whole picture, however few bytes it has.
const maxScans = 64

func (f *jpegFile) decode(ctx context.Context, images *pool) (*ports.Image, error) {
	img, err := f.render(ctx, images)
	if err != nil {
		return nil, err
	}
	img.FullWidth, img.FullHeight = f.header.orientation.turn(f.size())
	return img, nil
}

// render decodes directly into the result, or through a scratch buffer where it has to
// be rotated.
func (f *jpegFile) render(ctx context.Context, images *pool) (img *ports.Image, err error) {
	if f.layout.unchanged() {
		img = images.image(f.layout.width, f.layout.height)
		return img, f.fill(ctx, img.Pix)
	}
	err = withScratch(f.layout.storedBytes(), func(pix []byte) error {
		if err := f.fill(ctx, pix); err != nil {
			return err
		}
		img, err = f.layout.compose(ctx, images, rowsOf(pix, f.layout.width*bytesPerPixel))
		return err
	})
	return img, err
}

// fill decodes the rows as they are stored.
func (f *jpegFile) fill(ctx context.Context, pix []byte) error {
	var stop atomic.Int32
	defer context.AfterFunc(ctx, func() { stop.Store(1) })()
	err := f.run(pix, &stop)
	if errors.Is(err, errStopped) {
		return ctx.Err()
	}
	return err
}

// errStopped says that decoding was cancelled.
var errStopped = errors.New("imaging: stopped")

// run decodes until stop is set, which libjpeg checks between rows of blocks.
func (f *jpegFile) run(pix []byte, stop *atomic.Int32) error {
	h := f.header
	plan := C.struct_imago_jpeg_plan{
		width: C.uint(h.width), height: C.uint(h.height), components: C.int(len(h.components)),
		scale: C.uint(f.scale), out_width: C.uint(f.layout.width), out_height: C.uint(f.layout.height),
		max_scans:  maxScans,
		max_memory: C.long(h.coefficientBytes() + jpegWorkspace(h.width)),
	}
	switch C.imago_jpeg_decode(
		(*C.uchar)(unsafe.SliceData(f.data)), C.size_t(len(f.data)), &plan,
		(*C.uchar)(unsafe.SliceData(pix)), (*C.int)(unsafe.Pointer(stop)),
	) {
	case C.IMAGO_JPEG_OK:
		return nil
	case C.IMAGO_JPEG_UNSUPPORTED:
		return refuseKind("This kind of")
	case C.IMAGO_JPEG_NO_MEMORY:
		return noMemory("libjpeg")
	case C.IMAGO_JPEG_STOPPED:
		return errStopped
	}
	return errDamaged
}
