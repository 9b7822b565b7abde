package quality

import (
	"math"

	"imago/ports"
)

// Light is how a face is lit. It is measured between the brows and the chin, which lie
// in any picture of a face.
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
	var sum, squares float64
	for y := lightTop; y < lightBottom; y++ {
		for x := lightLeft; x < lightRight; x++ {
			l := luminance(chip, y*ports.ChipSize+x)
			sum += l
			squares += l * l
		}
	}
	const count = (lightRight - lightLeft) * (lightBottom - lightTop)
	mean := sum / count
	return Light{Brightness: mean, Contrast: math.Sqrt(max(0, squares/count-mean*mean))}
}

// usualContrast is one that sharp pictures in good light exceed.
const usualContrast = 20

// fading returns the factor by which edges would be stronger (in the measure of
// Sharpness, a square) at the usual contrast; 1 for a face that has that. So a picture
// taken in little light is blurred only if its edges are soft for its contrast.
func (l Light) fading() float64 {
	if l.Contrast >= usualContrast || l.Contrast == 0 {
		return 1
	}
	return (usualContrast / l.Contrast) * (usualContrast / l.Contrast)
}

// luminance is that of a chip's pixel after Rec. 601 (ITU-R BT.601).
func luminance(chip *ports.Chip, pixel int) float64 {
	p := chip[3*pixel : 3*pixel+3]
	return 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
}
