package ports

import (
	"context"
	"math"
)

// Image is a decoded picture: upright (EXIF orientation applied), eight bits a
// channel, red, green, blue, without alpha. Rows run from top to bottom.
//
// An Image may be a reduced copy of the original by a whole number f: its pixel
// (x, y) then stands for the f x f pixels of the original from (f*x, f*y) on,
// fewer at the right and bottom edge. FullWidth and FullHeight are the size of
// the upright original in pixels, so that rules about the original, such as its smallest
// acceptable face, can be checked on a reduced copy.
type Image struct {
	// Pix holds the pixels; pixel (x, y) starts at y*Stride + 3*x.
	Pix []byte
	// Stride is the distance in bytes between two rows, at least 3*Width.
	Stride int
	// Width and Height are the size of this copy in pixels, both at least 1.
	Width, Height int
	// FullWidth and FullHeight are the size of the upright original.
	FullWidth, FullHeight int
}

// NewImage returns a black picture of the given size that is its own original.
func NewImage(width, height int) *Image {
	return &Image{
		Pix:    make([]byte, 3*width*height),
		Stride: 3 * width,
		Width:  width, Height: height,
		FullWidth: width, FullHeight: height,
	}
}

// Reduction returns the whole number by which this copy is reduced: 1 for a
// picture at full size, 4 for one decoded at a quarter.
func (m *Image) Reduction() float64 {
	// Sides are rounded up, so the quotient is less than the number.
	if m.Width >= m.Height {
		return math.Ceil(float64(m.FullWidth) / float64(m.Width))
	}
	return math.Ceil(float64(m.FullHeight) / float64(m.Height))
}

// The reasons of a Decoder's Refusals that name no detail of the picture. They are part of
// the API: clients may compare them.
const (
	ReasonEmpty    = "the provided image is empty"
	ReasonFormat   = "unsupported image format: only JPEG and PNG are supported"
	ReasonDamaged  = "the provided image is damaged or incomplete"
	ReasonNoPixels = "the provided image has no pixels"
)

// Decoder turns the bytes of a picture into pixels. Implementations are safe
// for concurrent use and bound the memory that all calls together may take.
type Decoder interface {
	// Decode decodes a JPEG or PNG picture upright. The result is the smallest
	// copy that the implementation can make cheaply whose longer side is at
	// least longSide pixels, or the picture at full size when longSide is 0 or
	// the picture is no larger. The data is not retained; the caller owns the
	// result.
	//
	// Errors: a Refusal of kind ErrInvalid when the data is not a complete,
	// sound JPEG or PNG; a Refusal of kind ErrTooLarge when it declares more
	// pixels than configured (found before any pixel memory is allocated);
	// ErrUnavailable when memory for it cannot be allocated; the context's error
	// when it ends first.
	Decode(ctx context.Context, data []byte, longSide int) (*Image, error)
	// Release returns the buffer of a result of Decode to the pool: the image must not
	// be used any more. An image that is not released is left to the garbage collector.
	// A nil image is ignored.
	Release(img *Image)
}
