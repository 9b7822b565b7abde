// The kernels of package exactindex: what is done to every row of a chunk. The Go
// file portable.go says the same in Go and is what each kernel is tested
// against, bit by bit; layout.go describes the memory.

#ifndef IMAGO_EXACTINDEX_KERNEL_H
#define IMAGO_EXACTINDEX_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

enum { EXACTINDEX_PORTABLE, EXACTINDEX_AVX512, EXACTINDEX_AVX2, EXACTINDEX_DOTPROD, EXACTINDEX_NEON };

// exactindex_best returns the fastest kernel that this processor and its operating
// system support, EXACTINDEX_PORTABLE if there is none in C.
int exactindex_best(void);

// exactindex_supports tells whether a kernel may be called here.
int exactindex_supports(int kernel);

// A scan goes over whole blocks of a chunk.
typedef struct {
	const uint8_t *codes;  // blocks of prefix * 64 bytes, then blocks of the other groups
	const float *terms;    // blocks of 2 * 16 numbers, then, if there is a first test, of 3 * 16
	int32_t blocks;        // even
	int32_t groups;        // of 8 numbers each, all of a row
	int32_t prefix;        // of these, those that the first test looks at
	bool first_test;       // whether there is a first test
	const int8_t *queries; // count times groups * 8 numbers
	const float *bounds;   // count times 8 numbers
	int32_t count;         // of queries
	uint16_t *rows;        // count times capacity: the rows that survive
	int32_t *products;     // count times capacity: their integer products
	int32_t *found;        // count: how many survive
	int32_t *passed;       // count: how many blocks passed the first test
	int32_t capacity;      // rows that the chunk has room for: where its planes begin
} exactindex_scan_t;

void exactindex_scan(int kernel, const uint8_t *codes, const float *terms, int32_t blocks, int32_t groups, int32_t prefix, bool first_test,
	const int8_t *queries, const float *bounds, int32_t count,
	uint16_t *rows, int32_t *products, int32_t *found, int32_t *passed, int32_t capacity);

// exactindex_dots multiplies a query of n numbers with vectors that lie together, in the
// order of summation that dot in portable.go defines.
void exactindex_dots(int kernel, const float *query, const float *vectors, int32_t n, int32_t count, float *scores);

#endif
