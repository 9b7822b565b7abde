package ports

import "context"

// Point is a position in pixels: x to the right, y down, (0, 0) the centre of
// the top left pixel.
type Point struct{ X, Y float64 }

// Box is an axis-parallel rectangle in pixels. It may extend beyond the picture's edge
// where a face does.
type Box struct{ X0, Y0, X1, Y1 float64 }

// Width returns the horizontal extent in pixels.
func (b Box) Width() float64 { return b.X1 - b.X0 }

// Height returns the vertical extent in pixels.
func (b Box) Height() float64 { return b.Y1 - b.Y0 }

// Area returns the area in square pixels, 0 for an empty box.
func (b Box) Area() float64 { return max(0, b.Width()) * max(0, b.Height()) }

// The order of Landmarks. Left and right are as seen in the image, so the left
// eye is the eye nearer the left edge of an upright picture.
const (
	LeftEye = iota
	RightEye
	Nose
	LeftMouth
	RightMouth
	LandmarkCount
)

// Landmarks are the five points that alignment needs, in the order of the
// constants above.
type Landmarks [LandmarkCount]Point

// Face is one detected face, in pixels of the image that was searched.
type Face struct {
	Box       Box
	Score     float64 // the detector's confidence, 0 to 1
	Landmarks Landmarks
}

// Detector finds faces. Implementations are safe for concurrent use.
type Detector interface {
	// Detect returns the faces of an image, best score first, without
	// overlapping duplicates; none is an empty result, not an error.
	// Coordinates are pixels of img whatever the size of the network's input. The
	// image is scaled down so that its longer side is at most longSide pixels
	// (never scaled up; 0 means as it is); a network with a fixed input size
	// ignores longSide. The image is only read and not retained.
	//
	// Errors: ErrInvalid for an image without pixels; ErrUnavailable after
	// shutdown or when inference fails; the context's error soon after the
	// context ends.
	Detect(ctx context.Context, img *Image, longSide int) ([]Face, error)
}

// ChipSize is the width and height in pixels of an aligned face chip.
const ChipSize = 112

// Chip is an aligned face: ChipSize rows of ChipSize pixels, red, green, blue,
// eight bits each, without padding.
type Chip [ChipSize * ChipSize * 3]byte

// ChipAlignment names how faces are aligned in chips: by a similarity transform onto the
// template of ArcFace; see core/alignment. The preprocessing of every Space begins with it.
const ChipAlignment = "arcface-112"

// Embedder turns aligned faces into vectors. Implementations are safe for
// concurrent use.
type Embedder interface {
	// Embed returns one vector per chip, in order: Space().Dimension finite
	// numbers, of Euclidean length 1 within 1e-5. No chips give no vectors.
	// The same chip gives the same vector up to 1e-4 in cosine whatever else
	// is in the batch. Chips are only read; the caller owns the result.
	//
	// Errors: ErrUnavailable after shutdown or when inference fails, which a zero
	// vector or one that is not finite counts as; the context's error soon after the
	// context ends.
	Embed(ctx context.Context, chips []*Chip) ([][]float32, error)

	// Space returns the embedding space of the vectors. It never changes.
	Space() Space
}
