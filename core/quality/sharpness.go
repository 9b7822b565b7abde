package quality

import (
	"math"

	"imago/ports"
)

// sharpnessRadius is that of the Gaussian of sharpnessSigma pixels that takes the noise
// out of a chip; what is finer is of no use to the embedder.
const (
	sharpnessSigma  = 1.5
	sharpnessRadius = 5
)

// Sharpness returns the spatial frequency of the denoised face in the direction in which
// it is lowest, in radians a pixel of the chip: 0.35 to 0.55 for a sharp face, whatever
// its contrast and its size in the picture, except that a face enlarged to the chip is
// soft, as it should be. A shaken picture is blurred in one direction only.
//
// The frequency is the RMS of the second derivative over that of the first, the mean
// frequency of maxima of S. O. Rice, "Mathematical Analysis of Random Noise", Bell System
// Technical Journal 24 (1945). The directional derivatives are those of W. T. Freeman and
// E. H. Adelson, "The Design and Use of Steerable Filters", IEEE PAMI 13 (1991).
func Sharpness(chip *ports.Chip) float64 {
	face := denoise(chip)
	var first, second [4]spread
	for y := 1; y < len(face)-1; y++ {
		above, row, below := &face[y-1], &face[y], &face[y+1]
		for x := 1; x < len(row)-1; x++ {
			across, down := (row[x+1]-row[x-1])/2, (below[x]-above[x])/2
			xx, yy := row[x-1]+row[x+1]-2*row[x], above[x]+below[x]-2*row[x]
			xy := (above[x-1] + below[x+1] - above[x+1] - below[x-1]) / 4
			for i, v := range [...]float64{across, down, (across + down) / math.Sqrt2, (across - down) / math.Sqrt2} {
				first[i].add(v)
			}
			for i, v := range [...]float64{xx, yy, (xx+yy)/2 + xy, (xx+yy)/2 - xy} {
				second[i].add(v)
			}
		}
	}
	lowest := math.Inf(1)
	for i := range first {
		if slopes := first[i].variance(); slopes > 0 {
			lowest = min(lowest, math.Sqrt(second[i].variance()/slopes))
		} else {
			return 0
		}
	}
	return lowest
}

// denoise returns the smoothed luminance of the part of a chip that Light is measured in,
// and of the pixels around it.
func denoise(chip *ports.Chip) (out [lightBottom - lightTop + 2][lightRight - lightLeft + 2]float64) {
	var kernel [2*sharpnessRadius + 1]float64
	var sum float64
	for i := range kernel {
		d := float64(i-sharpnessRadius) / sharpnessSigma
		kernel[i] = math.Exp(-d * d / 2)
		sum += kernel[i]
	}
	var rows [len(out) + 2*sharpnessRadius][len(out[0])]float64
	for y := range rows {
		for x := range rows[y] {
			for i, weight := range kernel {
				at := (lightTop-1-sharpnessRadius+y)*ports.ChipSize + lightLeft - 1 - sharpnessRadius + x + i
				rows[y][x] += weight / sum * luminance(chip, at)
			}
		}
	}
	for y := range out {
		for x := range out[y] {
			for i, weight := range kernel {
				out[y][x] += weight / sum * rows[y+i][x]
			}
		}
	}
	return out
}

// A spread adds up values to tell their variance.
type spread struct{ count, sum, squares float64 }

func (s *spread) add(v float64) {
	s.count++
	s.sum += v
	s.squares += v * v
}

func (s *spread) variance() float64 {
	mean := s.sum / s.count
	return max(0, s.squares/s.count-mean*mean)
}
