#include "kernel.h"

// No product may be fused with a sum, so that all processors compute the same. GCC sees to
// it with -std=c11, other compilers with this.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

// What the kernels have in common. A block is 16 rows; its first 64 bytes hold
// the codes of the numbers 0 to 7 of all of them, and so on: byte 4r+j has
// number j of row r in its low half and number 4+j in its high half. So one
// instruction that multiplies bytes and adds fours of them (VPDPBUSD, SDOT) gives a
// partial sum of 16 (or 4) rows, each in a lane of its own, and nothing is ever
// summed across lanes.

enum { ROWS = 16, GROUP_BYTES = 64, TERMS = 2, FIRST_TERMS = 3 };

// A chunk of one prefix and one rest is laid out in planes, so that a scan that
// reads the prefix only reads memory that lies together.
static inline const uint8_t *prefix_codes(const exactindex_scan_t *s, int block)
{
	return s->codes + (int64_t)block * s->prefix * GROUP_BYTES;
}

static inline const uint8_t *rest_codes(const exactindex_scan_t *s, int block)
{
	return s->codes + ((int64_t)(s->capacity / ROWS) * s->prefix + (int64_t)block * (s->groups - s->prefix)) * GROUP_BYTES;
}

static inline const float *terms_of(const exactindex_scan_t *s, int block)
{
	return s->terms + (int64_t)block * TERMS * ROWS;
}

static inline const float *first_terms_of(const exactindex_scan_t *s, int block)
{
	return s->terms + ((int64_t)(s->capacity / ROWS) * TERMS + (int64_t)block * FIRST_TERMS) * ROWS;
}

static inline const int8_t *query_of(const exactindex_scan_t *s, int query)
{
	return s->queries + (int64_t)query * s->groups * 8;
}

// emit writes down the rows of a block that survive.
static inline void emit(const exactindex_scan_t *s, int query, int block, uint32_t mask, const int32_t *products)
{
	int32_t n = s->found[query];
	uint16_t *rows = s->rows + (int64_t)query * s->capacity;
	int32_t *kept = s->products + (int64_t)query * s->capacity;
	for (; mask; mask &= mask - 1) {
		int lane = __builtin_ctz(mask);
		rows[n] = (uint16_t)(block * ROWS + lane);
		kept[n++] = products[lane];
	}
	s->found[query] = n;
}

#if defined(__x86_64__)
#include "kernel_amd64.h"
#elif defined(__aarch64__)
#include "kernel_arm64.h"
#else
int exactindex_supports(int kernel) { return 0; }
#endif

int exactindex_best(void)
{
	for (int kernel = EXACTINDEX_AVX512; kernel <= EXACTINDEX_NEON; kernel++)
		if (exactindex_supports(kernel))
			return kernel;
	return EXACTINDEX_PORTABLE;
}

void exactindex_scan(int kernel, const uint8_t *codes, const float *terms, int32_t blocks, int32_t groups, int32_t prefix, bool first_test,
	const int8_t *queries, const float *bounds, int32_t count,
	uint16_t *rows, int32_t *products, int32_t *found, int32_t *passed, int32_t capacity)
{
	const exactindex_scan_t s = {codes, terms, blocks, groups, prefix, first_test, queries, bounds, count, rows, products, found, passed, capacity};
	for (int i = 0; i < count; i++)
		found[i] = passed[i] = 0;
	switch (kernel) {
#if defined(__x86_64__)
	case EXACTINDEX_AVX512: scan_avx512(&s); break;
	case EXACTINDEX_AVX2: scan_avx2(&s); break;
#elif defined(__aarch64__)
	case EXACTINDEX_DOTPROD: scan_dotprod(&s); break;
	case EXACTINDEX_NEON: scan_neon(&s); break;
#endif
	}
}

void exactindex_dots(int kernel, const float *query, const float *vectors, int32_t n, int32_t count, float *scores)
{
	switch (kernel) {
#if defined(__x86_64__)
	case EXACTINDEX_AVX512: dots_avx512(query, vectors, n, count, scores); break;
	case EXACTINDEX_AVX2: dots_avx2(query, vectors, n, count, scores); break;
#elif defined(__aarch64__)
	case EXACTINDEX_DOTPROD:
	case EXACTINDEX_NEON: dots_neon(query, vectors, n, count, scores); break;
#endif
	}
}
