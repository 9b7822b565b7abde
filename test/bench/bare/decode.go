package bare

// #cgo CFLAGS: -O2 -Wall -Wextra
// #cgo LDFLAGS: -ljpeg -lpng
// #include "decode.h"
import "C"

import (
	"bytes"
	"errors"
	"unsafe"
)

// Picture is a sound JPEG or PNG file and the memory for its pixels. It is used by
// one goroutine at a time.
type Picture struct {
	data          []byte
	eighths       int // of a JPEG; 0 for a PNG
	width, height int
	pixels        []byte
}

// NewPicture prepares the decoding of a file to RGB. A JPEG is decoded at
// eighths/8 of its size, a PNG whole; width and height are those of the result,
// before any orientation.
func NewPicture(data []byte, eighths, width, height int) *Picture {
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		eighths = 0
	}
	return &Picture{data: data, eighths: eighths, width: width, height: height, pixels: make([]byte, 3*width*height)}
}

// Decode decodes the picture once.
func (p *Picture) Decode() error {
	data, pixels := (*C.uchar)(unsafe.SliceData(p.data)), (*C.uchar)(unsafe.SliceData(p.pixels))
	var wrong C.int
	if p.eighths == 0 {
		wrong = C.bare_png(data, C.size_t(len(p.data)), pixels, C.uint(p.width), C.uint(p.height))
	} else {
		wrong = C.bare_jpeg(data, C.size_t(len(p.data)), C.int(p.eighths), pixels, C.uint(p.width), C.uint(p.height))
	}
	if wrong != 0 {
		return errors.New("bare: the picture cannot be decoded, or not to this size")
	}
	return nil
}
