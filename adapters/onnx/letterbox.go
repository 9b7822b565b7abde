package onnx

import (
	"math"

	"imago/config"
	"imago/ports"
)

// maxSide is the longest side of a dynamic input in pixels, the largest that can be
// configured. It bounds the memory of a call that asks for no reduction.
const maxSide = 4096

// letterbox is the placement of a picture in a network's input: scaled down to
// width x height in the top left corner, padded with black to the right and below.
type letterbox struct {
	srcWidth, srcHeight   int // the picture
	width, height         int // the scaled picture
	gridWidth, gridHeight int // the network's input
}

// place chooses the letterbox for a picture. A fixed input size wins over
// longSide; a picture is never enlarged.
func place(in config.ModelInput, img *ports.Image, longSide int) letterbox {
	limit := in.Size
	if limit == 0 {
		limit = maxSide
		if longSide > 0 {
			limit = min(longSide, maxSide)
		}
	}
	scale := min(1, float64(limit)/float64(max(img.Width, img.Height)))
	box := letterbox{
		srcWidth: img.Width, srcHeight: img.Height,
		width: scaled(img.Width, scale), height: scaled(img.Height, scale),
	}
	if in.Size > 0 {
		box.gridWidth, box.gridHeight = in.Size, in.Size
	} else {
		box.gridWidth, box.gridHeight = roundUp(box.width, in.Stride), roundUp(box.height, in.Stride)
	}
	return box
}

func scaled(side int, scale float64) int {
	return max(1, int(math.Round(float64(side)*scale)))
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// point maps a position in the network's input to one in the picture.
//
// Detectors trained the usual way scale the annotations of a picture by the
// same factor as the picture, so they answer positions measured from the outer
// corner of the top left pixel. (Measured on YuNet: comparing 480 with 160
// pixels, its answers lie 0.1 pixels of the network's input from that
// convention and 0.4 from counting pixel centres.) ports.Point counts from the
// centre of that pixel: half a pixel less.
func (l letterbox) point(x, y float64) ports.Point {
	return ports.Point{
		X: x*float64(l.srcWidth)/float64(l.width) - 0.5,
		Y: y*float64(l.srcHeight)/float64(l.height) - 0.5,
	}
}

// face maps a face from the network's input to the picture.
func (l letterbox) face(f ports.Face) ports.Face {
	from, to := l.point(f.Box.X0, f.Box.Y0), l.point(f.Box.X1, f.Box.Y1)
	f.Box = ports.Box{X0: from.X, Y0: from.Y, X1: to.X, Y1: to.Y}
	for i, p := range f.Landmarks {
		f.Landmarks[i] = l.point(p.X, p.Y)
	}
	return f
}
