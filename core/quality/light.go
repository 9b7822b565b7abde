package quality

import (
	"math"

	"imago/ports"
)

// Light describes how a face is lit. It is measured between the brows and the chin, which
// every picture of a face shows.
type Light struct {
	// Brightness is the mean luminance, 0 to 255.
	Brightness float64
	// Contrast is the standard deviation of the luminance.
	Contrast float64
}

// The part of a chip that Light is measured in.
const (
	lightLeft, lightRight = 32, 80
	lightTop, lightBottom = 36, 96
)

// MeasureLight measures a chip.
func MeasureLight(chip *ports.Chip) Light {
	var values spread
	for y := lightTop; y < lightBottom; y++ {
		for x := lightLeft; x < lightRight; x++ {
			values.add(luminance(chip, y*ports.ChipSize+x))
		}
	}
	return Light{Brightness: values.sum / values.count, Contrast: math.Sqrt(values.variance())}
}

// luminance returns the luminance of a chip's pixel by Rec. 601 (ITU-R BT.601).
func luminance(chip *ports.Chip, pixel int) float64 {
	p := chip[3*pixel : 3*pixel+3]
	return 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
}
