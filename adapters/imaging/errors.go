package imaging

import (
	"fmt"

	"imago/ports"
)

// The refusals that name no detail of the picture.
var (
	errEmpty    = ports.Refuse(ports.ErrInvalid, ports.ReasonEmpty)
	errFormat   = ports.Refuse(ports.ErrInvalid, ports.ReasonFormat)
	errDamaged  = ports.Refuse(ports.ErrInvalid, ports.ReasonDamaged)
	errNoPixels = ports.Refuse(ports.ErrInvalid, ports.ReasonNoPixels)
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

// noMemory reports that memory for a picture could not be allocated.
func noMemory(who string) error {
	return fmt.Errorf("imaging: %s: cannot allocate memory for the picture: %w", who, ports.ErrUnavailable)
}
