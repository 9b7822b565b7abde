package imaging

// #cgo LDFLAGS: -lpng
// #include "libpng.h"
import "C"

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"unsafe"

	"imago/ports"
)

// pngFile is a PNG file whose chunks have been read.
type pngFile struct {
	data   []byte
	header *pngHeader
	layout layout
}

func openPNG(data []byte) (picture, error) {
	h, err := readPNGHeader(data)
	if err != nil {
		return nil, err
	}
	return &pngFile{data: data, header: h}, nil
}

func (f *pngFile) size() (width, height int) { return f.header.width, f.header.height }

// plan needs little memory beside the result, whatever the size of the picture: rows
// are reduced as they are read. Only an interlaced file is decoded whole.
func (f *pngFile) plan(longSide int) int64 {
	h := f.header
	f.layout = layout{
		width: h.width, height: h.height,
		reduction:   pngReduction(max(h.width, h.height), longSide),
		orientation: h.orientation,
	}
	need := f.layout.resultBytes() + pngWorkspace(h.width)
	if h.interlaced {
		need += int64(f.layout.storedBytes())
	}
	if h.needsRepair() {
		need += int64(len(f.data))
	}
	return need
}

// pngReduction returns the largest whole factor by which the longer side can be
// divided, rounding up, and still be at least longSide pixels.
func pngReduction(longer, longSide int) int {
	switch {
	case longSide <= 0 || longer <= longSide:
		return 1
	case longSide == 1:
		return longer
	}
	return (longer - 1) / (longSide - 1)
}

// pngBatch is how many rows are read at once. The context is checked between batches.
const pngBatch = 16

// pngWorkspace bounds the memory beside the picture: the batch, four rows of up to 8
// bytes a pixel in libpng, its inflater and gamma tables.
func pngWorkspace(width int) int64 {
	const rows, rowBytesPerPixel, tables = 4, 8, 512 << 10
	return int64(width)*(bytesPerPixel*pngBatch+rowBytesPerPixel*rows) + tables
}

func (f *pngFile) decode(ctx context.Context, images *pool) (*ports.Image, error) {
	if f.header.needsRepair() {
		f.data = f.header.repaired(f.data)
	}
	var pin runtime.Pinner // libpng keeps pointers between calls
	defer pin.Unpin()
	var stop atomic.Int32
	defer context.AfterFunc(ctx, func() { stop.Store(1) })()
	r, err := f.open(&pin, &stop)
	defer r.close()
	if err == nil {
		var img *ports.Image
		if img, err = r.decode(ctx, images, f.layout); err == nil {
			img.FullWidth, img.FullHeight = f.header.orientation.turn(f.size())
			return img, nil
		}
	}
	if errors.Is(err, errStopped) {
		err = ctx.Err()
	}
	return nil, err
}

// open returns a reader of the rows. Close it after an error, too. It stops soon after
// stop is set.
func (f *pngFile) open(pin *runtime.Pinner, stop *atomic.Int32) (*pngReader, error) {
	pin.Pin(unsafe.SliceData(f.data))
	pin.Pin(stop)
	r := &pngReader{height: f.header.height, stride: f.header.width * bytesPerPixel}
	var passes C.int
	result := C.imago_png_open((*C.uchar)(unsafe.SliceData(f.data)), C.size_t(len(f.data)),
		C.uint(f.header.width), C.uint(f.header.height), (*C.int)(unsafe.Pointer(stop)), &r.png, &passes)
	r.passes = int(passes)
	return r, pngError(result)
}

func pngError(result C.enum_imago_png_result) error {
	switch result {
	case C.IMAGO_PNG_OK:
		return nil
	case C.IMAGO_PNG_STOPPED:
		return errStopped
	case C.IMAGO_PNG_NO_MEMORY:
		return noMemory("libpng")
	}
	return errDamaged
}

// pngReader reads the rows of an opened picture.
type pngReader struct {
	png            *C.struct_imago_png
	height, stride int
	passes         int // of interlacing: how often all rows have to be read
}

func (r *pngReader) close() { C.imago_png_close(r.png) }

func (r *pngReader) decode(ctx context.Context, images *pool, l layout) (img *ports.Image, err error) {
	if r.passes == 1 {
		return l.compose(ctx, images, r.rows(ctx))
	}
	err = withScratch(l.storedBytes(), func(pix []byte) error {
		for range r.passes {
			if err := r.readAll(ctx, pix); err != nil {
				return err
			}
		}
		img, err = l.compose(ctx, images, rowsOf(pix, r.stride))
		return err
	})
	return img, err
}

// rows returns a function that yields one row after the other.
func (r *pngReader) rows(ctx context.Context) func() ([]byte, error) {
	buffer := make([]byte, min(pngBatch, r.height)*r.stride)
	var batch []byte
	left := r.height
	return func() ([]byte, error) {
		if len(batch) == 0 {
			n := min(pngBatch, left)
			batch, left = buffer[:n*r.stride], left-n
			if err := r.read(ctx, batch); err != nil {
				return nil, err
			}
		}
		row := batch[:r.stride]
		batch = batch[r.stride:]
		return row, nil
	}
}

// readAll reads all rows once.
func (r *pngReader) readAll(ctx context.Context, pix []byte) error {
	for len(pix) > 0 {
		n := min(len(pix), pngBatch*r.stride)
		if err := r.read(ctx, pix[:n]); err != nil {
			return err
		}
		pix = pix[n:]
	}
	return nil
}

// read fills a whole number of rows.
func (r *pngReader) read(ctx context.Context, rows []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return pngError(C.imago_png_read(r.png, (*C.uchar)(unsafe.SliceData(rows)), C.uint(len(rows)/r.stride)))
}
