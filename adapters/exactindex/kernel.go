package exactindex

/*
#cgo CFLAGS: -std=c11 -O3
#cgo noescape exactindex_scan
#cgo nocallback exactindex_scan
#cgo noescape exactindex_dots
#cgo nocallback exactindex_dots
#include "kernel.h"
*/
import "C"

// kernel names an implementation of scan and dots. The C compiler is there anyway
// (SQLite needs it), its intrinsics say what the assembly would, and a call takes
// 40 ns of the 3 µs at least that a chunk takes. A call cannot be pre-empted, so
// each is for one chunk.
type kernel C.int

// The kernels.
const (
	portable kernel = C.EXACTINDEX_PORTABLE
	avx512   kernel = C.EXACTINDEX_AVX512  // x86-64 with AVX-512 VNNI
	avx2     kernel = C.EXACTINDEX_AVX2    // x86-64 with AVX2
	dotprod  kernel = C.EXACTINDEX_DOTPROD // arm64 with the dot product extension
	neon     kernel = C.EXACTINDEX_NEON    // any arm64
)

func (k kernel) String() string {
	return [...]string{"portable", "AVX-512 VNNI", "AVX2", "NEON dot product", "NEON"}[k]
}

// bestKernel returns the fastest that this processor supports.
func bestKernel() kernel { return kernel(C.exactindex_best()) }

// supported reports whether a kernel can be used here.
func (k kernel) supported() bool { return k == portable || C.exactindex_supports(C.int(k)) != 0 }

// scan compares blocks of a chunk with queries.
func (k kernel) scan(s *scan) {
	if k == portable {
		s.portable()
		return
	}
	if s.blocks == 0 {
		clear(s.counts)
		clear(s.passed)
		return
	}
	C.exactindex_scan(C.int(k), (*C.uint8_t)(&s.codes[0]), (*C.float)(&s.terms[0]), C.int32_t(s.blocks),
		C.int32_t(s.groups), C.int32_t(s.prefix), C.bool(s.firstTest),
		(*C.int8_t)(&s.queries[0]), (*C.float)(&s.bounds[0][0]), C.int32_t(len(s.bounds)),
		(*C.uint16_t)(&s.rows[0]), (*C.int32_t)(&s.products[0]), (*C.int32_t)(&s.counts[0]), (*C.int32_t)(&s.passed[0]), chunkRows)
}

// dots writes the scores of vectors that lie together, one for each place in scores.
func (k kernel) dots(query, vectors, scores []float32) {
	if len(scores) == 0 {
		return
	}
	if k == portable {
		for i := range scores {
			scores[i] = dot(query, vectors[i*len(query):][:len(query)])
		}
		return
	}
	C.exactindex_dots(C.int(k), (*C.float)(&query[0]), (*C.float)(&vectors[0]), C.int32_t(len(query)),
		C.int32_t(len(scores)), (*C.float)(&scores[0]))
}
