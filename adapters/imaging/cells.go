package imaging

// cells reduces a picture by a whole factor with a box filter. Values are averaged as they are stored, gamma-encoded, as libjpeg's
// reduced transforms do, so that both formats look the same to a detector.
//
// The grid of cells starts in the corner that is the top left of the upright picture;
// cells at the two far edges may be smaller.
type cells struct {
	size   int
	left   int // position of the first cell, 0 or less
	top    int
	width  int // of the stored picture
	height int
	sums   []uint64 // a cell of 4096 x 4096 pixels and more exceeds 32 bits
	out    []byte
}

func newCells(l layout) *cells {
	columns, rows := l.reduced()
	c := &cells{
		size: l.reduction, width: l.width, height: l.height,
		sums: make([]uint64, columns*bytesPerPixel),
		out:  make([]byte, columns*bytesPerPixel),
	}
	if l.orientation.fromRight() {
		c.left = l.width - columns*l.reduction
	}
	if l.orientation.fromBottom() {
		c.top = l.height - rows*l.reduction
	}
	return c
}

// reduce returns row y of the reduced picture, valid until the next call.
func (c *cells) reduce(y int, next func() ([]byte, error)) ([]byte, error) {
	if c.size == 1 {
		return next()
	}
	first, last := c.rows(y)
	for range last - first {
		row, err := next()
		if err != nil {
			return nil, err
		}
		c.add(row)
	}
	return c.average(last - first), nil
}

// rows returns the range of stored rows in row y of the cells.
func (c *cells) rows(y int) (first, last int) {
	start := c.top + y*c.size
	return max(start, 0), min(start+c.size, c.height)
}

// columns returns the range of stored columns in column x of the cells.
func (c *cells) columns(x int) (first, last int) {
	start := c.left + x*c.size
	return max(start, 0), min(start+c.size, c.width)
}

// add adds one stored row.
func (c *cells) add(row []byte) {
	for x := range len(c.sums) / bytesPerPixel {
		first, last := c.columns(x)
		var r, g, b uint64
		for p := row[first*bytesPerPixel : last*bytesPerPixel]; len(p) >= bytesPerPixel; p = p[bytesPerPixel:] {
			r += uint64(p[0])
			g += uint64(p[1])
			b += uint64(p[2])
		}
		s := c.sums[x*bytesPerPixel:][:bytesPerPixel]
		s[0] += r
		s[1] += g
		s[2] += b
	}
}

// average returns the rounded averages of the rows added since the last call.
func (c *cells) average(rows int) []byte {
	for x := range len(c.out) / bytesPerPixel {
		first, last := c.columns(x)
		n := uint64(rows) * uint64(last-first)
		for i := x * bytesPerPixel; i < (x+1)*bytesPerPixel; i++ {
			c.out[i] = byte((c.sums[i] + n/2) / n)
		}
	}
	clear(c.sums)
	return c.out
}
