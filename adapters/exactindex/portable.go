package exactindex

// scan is one call of a kernel: some blocks of a chunk against some queries.
type scan struct {
	shape
	firstTest bool // whether to make the first test
	codes     []byte
	terms     []float32
	blocks    int
	queries   []int8  // one behind the other
	bounds    []bound // one per query
	found
}

// found is the result of a kernel: for each query the rows that survive, with their
// sums u.d, chunkRows of them at most, and how many blocks passed the first test.
type found struct {
	rows     []uint16
	products []int32
	counts   []int32
	passed   []int32
}

func newFound(queries int) found {
	return found{
		rows:     make([]uint16, queries*chunkRows),
		products: make([]int32, queries*chunkRows),
		counts:   make([]int32, queries),
		passed:   make([]int32, queries),
	}
}

// portable is the definition of a scan: the kernels in C find the same, only faster.
// It also serves processors for which there is none.
func (s *scan) portable() {
	for i := range s.bounds {
		s.counts[i], s.passed[i] = 0, 0
		for block := range s.blocks {
			s.portableBlock(i, block)
		}
	}
}

func (s *scan) portableBlock(i, block int) {
	sums := s.sums(i, block, 0, s.prefix)
	passes := !s.firstTest
	for row := block * blockRows; s.firstTest && row < (block+1)*blockRows; row++ {
		t := [...]float32{s.terms[termAt(row, 2)], s.terms[termAt(row, 3)], s.terms[termAt(row, 4)]}
		if s.bounds[i].passes(sums[row%blockRows], t[0], t[1], t[2]) {
			passes = true
		} else {
			sums[row%blockRows] = failed
		}
	}
	if !passes {
		return
	}
	if s.firstTest {
		s.passed[i]++
	}
	rest := s.sums(i, block, s.prefix, s.groups)
	for lane, sum := range sums {
		if sum != failed {
			s.portableRow(i, block*blockRows+lane, sum+rest[lane])
		}
	}
}

// failed marks a row that the first test has ruled out; no sum is as small.
const failed = -1 << 31

func (s *scan) portableRow(i, row int, product int32) {
	if s.bounds[i].survives(product, s.terms[termAt(row, 0)], s.terms[termAt(row, 1)]) {
		at := i*chunkRows + int(s.counts[i])
		s.rows[at], s.products[at] = uint16(row), product
		s.counts[i]++
	}
}

// sums returns u.d of the rows of a block over some groups.
func (s *scan) sums(i, block, from, to int) (sums [blockRows]int32) {
	for g := from; g < to; g++ {
		d := s.queries[i*s.width()+g*groupDims:][:groupDims]
		codes := s.codes[s.groupAt(block, g):][:groupBytes]
		for at, b := range codes {
			sums[at/4] += int32(b&15)*int32(d[at%4]) + int32(b>>4)*int32(d[4+at%4])
		}
	}
	return sums
}

// lanes is how many partial sums a score has.
const lanes = 16

// dot returns the score of two vectors. The order of summation is part of what the
// index promises, so that equal vectors score the same wherever they lie, on
// every processor: lane i adds the products of the numbers i, i+16, i+32 and so on; then
// lane i is added to lane i+8, those to i+4, i+2, i+1. No product is fused with
// a sum.
func dot(a, b []float32) float32 {
	var sums [lanes]float32
	b = b[:len(a)]
	for len(a) >= lanes && len(b) >= lanes {
		for i := range sums {
			sums[i] += float32(a[i] * b[i])
		}
		a, b = a[lanes:], b[lanes:]
	}
	for i := range a {
		sums[i] += float32(a[i] * b[i])
	}
	for half := lanes / 2; half > 0; half /= 2 {
		for i := range half {
			sums[i] += sums[i+half]
		}
	}
	return sums[0]
}
