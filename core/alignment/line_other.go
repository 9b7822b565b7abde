//go:build !amd64

package alignment

func addSamples(sums []sum, pix []byte, stride int, l line) { addSamplesPortable(sums, pix, stride, l) }

func round(out []byte, sums []sum, shift uint) { roundPortable(out, sums, shift) }
