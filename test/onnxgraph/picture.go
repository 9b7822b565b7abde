package onnxgraph

import "imago/ports"

// Square is a red square in a picture: what the detectors of this package find.
type Square struct {
	X, Y int // of the top left pixel
	Side int // in pixels
	Red  byte
}

// Face returns where a detector should find the square, without a score, in the
// convention of ports.Point: edges lie half a pixel outside the pixels' centres.
func (s Square) Face() ports.Face {
	x, y, side := float64(s.X)-0.5, float64(s.Y)-0.5, float64(s.Side)
	face := ports.Face{Box: ports.Box{X0: x, Y0: y, X1: x + side, Y1: y + side}}
	for i := range face.Landmarks {
		face.Landmarks[i] = ports.Point{
			X: x + side/2 + side*float64(Pattern[2*i]),
			Y: y + side/2 + side*float64(Pattern[2*i+1]),
		}
	}
	return face
}

// Picture returns a black picture with squares.
func Picture(width, height int, squares ...Square) *ports.Image {
	img := ports.NewImage(width, height)
	for _, s := range squares {
		for y := s.Y; y < s.Y+s.Side; y++ {
			for x := s.X; x < s.X+s.Side; x++ {
				img.Pix[y*img.Stride+3*x] = s.Red
			}
		}
	}
	return img
}

// Whiten turns the bottom right corner of a picture white, which makes a faulty
// detector show its fault. The corner is large enough to stay white when the
// picture is scaled down to an eighth.
func Whiten(img *ports.Image) *ports.Image {
	const corner = 24
	for y := max(0, img.Height-corner); y < img.Height; y++ {
		row := img.Pix[y*img.Stride:][:3*img.Width]
		for i := max(0, len(row)-3*corner); i < len(row); i++ {
			row[i] = 255
		}
	}
	return img
}

// WhiteChip returns a chip that makes a faulty embedder show its fault.
func WhiteChip() *ports.Chip {
	chip := new(ports.Chip)
	for i := range chip {
		chip[i] = 255
	}
	return chip
}
