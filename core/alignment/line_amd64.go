package alignment

// addSamples adds the bilinear samples along a line, which lies inside a picture whose
// rows are stride bytes apart, up to 32,767, to sums. It may read two bytes behind the
// last pixel, and leaves anything in the last lane of the sums. With round it takes
// less than a third of the portable time (BenchmarkLine).
func addSamples(sums []sum, pix []byte, stride int, l line) {
	fours := len(sums) / 4
	if fours > 0 {
		addFours(&sums[0], fours, &pix[0], stride, l.x, l.y, l.dx, l.dy)
	}
	done := int32(4 * fours)
	l.x, l.y = l.x+done*l.dx, l.y+done*l.dy
	addSamplesPortable(sums[done:], pix, stride, l)
}

// addFours is addSamples for four samples at a time, at least once.
//
//go:noescape
func addFours(sums *sum, fours int, pix *byte, stride int, x, y, dx, dy int32)

// round fills a row of pixels of three bytes with sums that lose shift bits, up to 24,
// rounded to the nearest.
func round(out []byte, sums []sum, shift uint) {
	fours := len(sums) / 4
	if fours > 0 {
		roundFours(&out[:3*len(sums)][0], &sums[0], fours, shift)
	}
	roundPortable(out[12*fours:], sums[4*fours:], shift)
}

// roundFours is round for four pixels at a time, at least once.
//
//go:noescape
func roundFours(out *byte, sums *sum, fours int, shift uint)
