package exactindex

import (
	"sync"
	"unsafe"
)

const (
	// chunkRows is how many rows share a piece of memory and a lock. A kernel
	// works on one chunk at a time: 3 µs for one query of 128 numbers, 80 µs
	// for 32 of 512. In between a scan can be cancelled and rows can change.
	chunkRows = 1024
	// blockRows is how many rows lie interleaved: the 32-bit lanes of a 512-bit
	// register.
	blockRows = 16
	// groupDims is how many numbers of 16 rows make 64 bytes of codes.
	groupDims  = 8
	groupBytes = blockRows * groupDims / 2
	// fullTerms and firstTerms are how many floats of a row the two tests need.
	fullTerms  = 2
	firstTerms = 3
	blocks     = chunkRows / blockRows
)

// shape is how the rows of a dimension are laid out.
type shape struct {
	dimension int
	groups    int    // of eight numbers; the last is filled up with zeros
	prefix    int    // of these, the ones that the first test looks at
	blank     []byte // the numbers of a row that is not in use
}

// firstTestFrom is the dimension from which the scan of a row is worth
// abandoning early, and prefixPart says where, in sixteenths. For vectors of random
// direction in 512 dimensions and a threshold of 0.4, a test behind 13/16 lets
// 0.1 % of the rows pass and saves nearly all of the other 3/16; behind 12/16 it lets
// 3.4 % pass, and with them 42 % of the blocks. At 128 dimensions it never pays.
const (
	firstTestFrom = 256
	prefixPart    = 13
)

func shapeOf(dimension int) shape {
	groups := (dimension + groupDims - 1) / groupDims
	s := shape{dimension: dimension, groups: groups, prefix: groups}
	if dimension >= firstTestFrom {
		s.prefix = groups * prefixPart / 16
	}
	s.blank = make([]byte, s.width())
	return s
}

// hasFirstTest reports whether the codes lie in two planes, with a test in between.
func (s shape) hasFirstTest() bool { return s.prefix < s.groups }

// width is the length of a coded query.
func (s shape) width() int { return s.groups * groupDims }

// terms is how many floats a row has beside its codes.
func (s shape) terms() int {
	if s.hasFirstTest() {
		return fullTerms + firstTerms
	}
	return fullTerms
}

// chunk is chunkRows rows. The memory of the codes has one plane, or two, of
// blocks; in a block, byte 64g+4r+j has number 8g+j of row r in its low half and
// number 8g+4+j in its high half. The terms likewise: a plane of blocks of 16
// alphas and 16 betas, and a plane of the three terms of the first test.
//
// The lock covers everything but the vectors and items of visible rows: these do not
// change.
type chunk[T Item] struct {
	mu        sync.RWMutex
	codes     []byte
	terms     []float32
	vectors   []float32
	items     []T
	addedIn   []uint64 // the first version that contains a row
	removedIn []uint64 // the first version that does not contain it any more
	filled    int      // rows below have been used
	// In most chunks all rows are visible: these two spare a search the look at addedIn and
	// removedIn.
	newest uint64 // the version in which the last row was added
	dead   int    // rows that were removed and are not erased yet

	number int // of the chunk

	// free is used by the writer only: rows below filled that can be reused.
	free []uint16
}

// never is removedIn of a row that was not removed.
const never = ^uint64(0)

func newChunk[T Item](s shape, number int, memory *slabs) *chunk[T] {
	terms := memory.terms.take(chunkRows*s.terms(), number)
	for row := range chunkRows {
		for i := range s.terms() {
			terms[termAt(row, i)] = neverSurvives[i]
		}
	}
	return &chunk[T]{
		number:    number,
		codes:     memory.codes.take(blocks*s.groups*groupBytes, number),
		terms:     terms,
		vectors:   memory.vectors.take(chunkRows*s.dimension, number),
		items:     make([]T, chunkRows),
		addedIn:   make([]uint64, chunkRows),
		removedIn: make([]uint64, chunkRows),
	}
}

// overhead is how many bytes a chunk needs beside its vectors.
func (c *chunk[T]) overhead() int {
	var item T
	return len(c.codes) + 4*len(c.terms) + chunkRows*int(unsafe.Sizeof(item)) + 8*(len(c.addedIn)+len(c.removedIn))
}

// vector returns the memory of a row.
func (c *chunk[T]) vector(s shape, row int) []float32 {
	return c.vectors[row*s.dimension : (row+1)*s.dimension : (row+1)*s.dimension]
}

// allVisible reports whether a version contains all rows that are in use.
func (c *chunk[T]) allVisible(version uint64) bool { return c.dead == 0 && c.newest <= version }

// scanned is how many blocks a scan looks at: kernels take two at a time.
func (c *chunk[T]) scanned() int { return (c.filled + 2*blockRows - 1) / (2 * blockRows) * 2 }

// write fills a row.
func (c *chunk[T]) write(s shape, row int, vector []float32, code *code) {
	copy(c.vector(s, row), vector)
	at := row % blockRows * 4
	for g := range s.groups {
		bytes := c.codes[s.groupAt(row/blockRows, g)+at:][:4]
		numbers := code.numbers[g*groupDims:][:groupDims]
		for j := range bytes {
			bytes[j] = numbers[j] | numbers[4+j]<<4
		}
	}
	for i := range s.terms() {
		c.terms[termAt(row, i)] = code.terms[i]
	}
}

// copyRow fills a row with what another has.
func (c *chunk[T]) copyRow(s shape, row int, from *chunk[T], old int) {
	copy(c.vector(s, row), from.vector(s, old))
	for g := range s.groups {
		to := s.groupAt(row/blockRows, g) + row%blockRows*4
		at := s.groupAt(old/blockRows, g) + old%blockRows*4
		copy(c.codes[to:to+4], from.codes[at:])
	}
	for i := range s.terms() {
		c.terms[termAt(row, i)] = from.terms[termAt(old, i)]
	}
}

// groupAt returns where a group of a block begins.
func (s shape) groupAt(block, group int) int {
	if group < s.prefix {
		return (block*s.prefix + group) * groupBytes
	}
	return (blocks*s.prefix + block*(s.groups-s.prefix) + group - s.prefix) * groupBytes
}

// termAt returns where a term of a row is.
func termAt(row, term int) int {
	block, lane := row/blockRows, row%blockRows
	if term < fullTerms {
		return (block*fullTerms+term)*blockRows + lane
	}
	return (blocks*fullTerms+block*firstTerms+term-fullTerms)*blockRows + lane
}
