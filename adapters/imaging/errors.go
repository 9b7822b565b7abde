package imaging

import (
	"fmt"

	"imago/ports"
)

// The reasons that say nothing about the particular picture. They are part of the
// API: clients may compare them word for word.
const (
	ReasonEmpty    = "the provided image is empty"
	ReasonFormat   = "unsupported image format: only JPEG and PNG are supported"
	ReasonDamaged  = "the provided image is damaged or incomplete"
	ReasonNoPixels = "the provided image has no pixels"
)

// The refusals with these reasons.
var (
	errEmpty    = ports.Refuse(ports.ErrInvalid, ReasonEmpty)
	errFormat   = ports.Refuse(ports.ErrInvalid, ReasonFormat)
	errDamaged  = ports.Refuse(ports.ErrInvalid, ReasonDamaged)
	errNoPixels = ports.Refuse(ports.ErrInvalid, ReasonNoPixels)
)

// refuseKind refuses a JPEG of a kind that is not decoded: "CMYK", for example.
func refuseKind(kind string) error {
	return ports.Refuse(ports.ErrInvalid,
		kind+" JPEG is not supported: save the picture as an ordinary RGB JPEG (baseline or progressive, 8 bits) or PNG")
}

func refuseSide(width, height int) error {
	return ports.Refuse(ports.ErrTooLarge,
		fmt.Sprintf("image is %dx%d pixels: at most %d pixels on a side are supported", width, height, maxSide))
}

func refusePixels(width, height, megapixels int) error {
	return ports.Refuse(ports.ErrTooLarge,
		fmt.Sprintf("image is %dx%d pixels: at most %d megapixels are supported", width, height, megapixels))
}

// noMemory reports that the system gave no memory for a picture.
func noMemory(who string) error {
	return fmt.Errorf("imaging: %s: no memory for the picture: %w", who, ports.ErrUnavailable)
}
