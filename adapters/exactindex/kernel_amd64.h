// The kernels for x86-64. Each function names the instructions that it uses, so
// that the rest of the program runs on any processor of that architecture.

#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline))

int exactindex_supports(int kernel)
{
	__builtin_cpu_init();
	switch (kernel) {
	case EXACTINDEX_AVX512:
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
			__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
	case EXACTINDEX_AVX2:
		return !!__builtin_cpu_supports("avx2");
	}
	return 0;
}

// four returns four numbers of a query.
INLINE int32_t four(const int8_t *query)
{
	int32_t word;
	memcpy(&word, query, sizeof word);
	return word;
}

// AVX-512 with VNNI: a block is one register.

AVX512 INLINE __mmask16 survives_avx512(__m512i products, const float *terms, const float *bound)
{
	__m512 most = _mm512_add_ps(_mm512_sub_ps(
		_mm512_mul_ps(_mm512_set1_ps(bound[0]), _mm512_loadu_ps(terms)),
		_mm512_mul_ps(_mm512_set1_ps(bound[1]), _mm512_loadu_ps(terms + ROWS))), _mm512_set1_ps(bound[2]));
	return _mm512_cmp_ps_mask(_mm512_cvtepi32_ps(products), most, _CMP_GE_OQ);
}

AVX512 INLINE __mmask16 passes_avx512(__m512i products, const float *terms, const float *bound)
{
	__m512 most = _mm512_sub_ps(_mm512_sub_ps(
		_mm512_mul_ps(_mm512_set1_ps(bound[3]), _mm512_loadu_ps(terms)),
		_mm512_mul_ps(_mm512_set1_ps(bound[4]), _mm512_loadu_ps(terms + ROWS))),
		_mm512_mul_ps(_mm512_set1_ps(bound[5]), _mm512_loadu_ps(terms + 2 * ROWS)));
	return _mm512_cmp_ps_mask(_mm512_cvtepi32_ps(products), _mm512_add_ps(most, _mm512_set1_ps(bound[6])), _CMP_GE_OQ);
}

// add_avx512 is VPDPBUSD in place: four products of bytes are added to each lane of a
// sum. As an intrinsic, GCC 12 copies half of the sums around, and some through memory: a
// tenth of the time for 512 numbers.
AVX512 INLINE void add_avx512(__m512i *sum, __m512i codes, int32_t query)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(codes), "v"(_mm512_set1_epi32(query)));
}

// prefetch_t is memory that is needed soon: run_avx512 asks for a line at a time, so many
// bytes after the last. Compilers drop it where stride is the constant 0.
typedef struct { const uint8_t *at; int64_t stride; } prefetch_t;

static const prefetch_t no_prefetch = {0, 0};

// run_avx512 multiplies r blocks, size bytes apart, with n queries, width numbers
// apart, over some groups. The constants r and n are such that all sums stay in
// registers; they take turns, so that no instruction waits for the one before.
AVX512 INLINE void run_avx512(const uint8_t *codes, int64_t size, const int8_t *queries, int64_t width, int groups, const int n, const int r, __m512i *sums, prefetch_t ahead)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	for (int g = 0; g < groups; g++, codes += GROUP_BYTES, queries += 8, ahead.at += ahead.stride) {
		__m512i low[2], high[2];
		if (ahead.stride)
			_mm_prefetch(ahead.at, _MM_HINT_T0);
#pragma GCC unroll 2
		for (int j = 0; j < r; j++) {
			__m512i v = _mm512_loadu_si512(codes + j * size);
			low[j] = _mm512_and_si512(v, nibble);
			high[j] = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
		}
#pragma GCC unroll 16
		for (int i = 0; i < n * r; i++)
			add_avx512(&sums[i], low[i % r], four(queries + i / r * width));
#pragma GCC unroll 16
		for (int i = 0; i < n * r; i++)
			add_avx512(&sums[i], high[i % r], four(queries + i / r * width + 4));
	}
}

// pending_t are blocks that passed the first test and wait for the rest of their codes, which
// has been asked for: it lies in another plane.
enum { MAX_PENDING = 32, PENDING_LINES = 12 };

typedef struct {
	int n;
	struct { int32_t block, query; uint32_t mask; } what[MAX_PENDING];
	__m512i products[MAX_PENDING];
} pending_t;

// finish_avx512 finishes the pending blocks in order.
AVX512 static __attribute__((noinline)) void finish_avx512(const exactindex_scan_t *s, pending_t *pending)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	int32_t lanes[ROWS];
	for (int i = 0; i < pending->n; i++) {
		const int block = pending->what[i].block, query = pending->what[i].query;
		const uint8_t *codes = rest_codes(s, block);
		const int8_t *numbers = query_of(s, query) + s->prefix * 8;
		__m512i low = pending->products[i], high = _mm512_setzero_si512();
		for (int g = s->prefix; g < s->groups; g++, codes += GROUP_BYTES, numbers += 8) {
			__m512i v = _mm512_loadu_si512(codes);
			add_avx512(&low, _mm512_and_si512(v, nibble), four(numbers));
			add_avx512(&high, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble), four(numbers + 4));
		}
		low = _mm512_add_epi32(low, high);
		uint32_t mask = pending->what[i].mask & survives_avx512(low, terms_of(s, block), s->bounds + query * 8);
		_mm512_storeu_si512(lanes, low);
		emit(s, query, block, mask, lanes);
	}
	pending->n = 0;
}

// collect_avx512 emits the rows of a block that survive, or queues the block as pending.
AVX512 static __attribute__((noinline)) void collect_avx512(const exactindex_scan_t *s, pending_t *pending, int block, int query, uint32_t mask, const __m512i *products)
{
	if (!s->first_test) {
		emit(s, query, block, mask, (const int32_t *)products);
		return;
	}
	s->passed[query]++;
	const uint8_t *codes = rest_codes(s, block);
	for (int g = 0; g < s->groups - s->prefix && g < PENDING_LINES; g++)
		_mm_prefetch(codes + g * GROUP_BYTES, _MM_HINT_T0);
	pending->what[pending->n].block = block;
	pending->what[pending->n].query = query;
	pending->what[pending->n].mask = mask;
	pending->products[pending->n] = *products;
	if (++pending->n == MAX_PENDING)
		finish_avx512(s, pending);
}

// test_avx512 applies the first test, or the only one, to the sums of a tile.
AVX512 INLINE void test_avx512(const exactindex_scan_t *s, pending_t *pending, int block, int first, const int n, const int r, const int first_test, const __m512i *sums)
{
	const float *terms = first_test ? first_terms_of(s, block) : terms_of(s, block);
	const float *bounds = s->bounds + first * 8;
	uint32_t masks[16], any = 0;
#pragma GCC unroll 16
	for (int i = 0; i < n * r; i++) {
		const float *t = terms + i % r * (first_test ? FIRST_TERMS : TERMS) * ROWS;
		masks[i] = first_test ? passes_avx512(sums[i], t, bounds + i / r * 8) : survives_avx512(sums[i], t, bounds + i / r * 8);
		any |= masks[i];
	}
	if (__builtin_expect(any == 0, 1))
		return;
	__m512i spilled[16];
#pragma GCC unroll 16
	for (int i = 0; i < n * r; i++)
		spilled[i] = sums[i];
	for (int i = 0; i < n * r; i++)
		if (masks[i])
			collect_avx512(s, pending, block + i % r, first + i / r, masks[i], &spilled[i]);
}

// tile_avx512 compares r blocks with n queries.
AVX512 INLINE void tile_avx512(const exactindex_scan_t *s, pending_t *pending, int block, int first, const int n, const int r, const int first_test, prefetch_t ahead)
{
	const int64_t width = (int64_t)s->groups * 8;
	__m512i sums[16];
#pragma GCC unroll 16
	for (int i = 0; i < n * r; i++)
		sums[i] = _mm512_setzero_si512();
	run_avx512(prefix_codes(s, block), (int64_t)s->prefix * GROUP_BYTES, query_of(s, first), width, s->prefix, n, r, sums, ahead);
	if (!first_test && s->prefix < s->groups)
		run_avx512(rest_codes(s, block), (int64_t)(s->groups - s->prefix) * GROUP_BYTES, query_of(s, first) + s->prefix * 8, width, s->groups - s->prefix, n, r, sums, no_prefetch);
	test_avx512(s, pending, block, first, n, r, first_test, sums);
}

// blocks_avx512 takes two blocks at a time. While eights of queries work at those, the next
// two are asked for: waiting for them took a tenth of the time for 512 numbers.
AVX512 INLINE void blocks_avx512(const exactindex_scan_t *s, pending_t *pending, const int first_test)
{
	const int64_t stride = s->count < 8 ? 0 : 2 * GROUP_BYTES / (s->count / 8);
	for (int block = 0; block < s->blocks; block += 2) {
		int q = 0;
		prefetch_t ahead = {prefix_codes(s, block + 2), stride};
		for (; q + 8 <= s->count; q += 8, ahead.at += stride * s->prefix)
			tile_avx512(s, pending, block, q, 8, 2, first_test, ahead);
		for (; q + 2 <= s->count; q += 2)
			tile_avx512(s, pending, block, q, 2, 2, first_test, no_prefetch);
		if (q < s->count) {
			tile_avx512(s, pending, block, q, 1, 1, first_test, no_prefetch);
			tile_avx512(s, pending, block + 1, q, 1, 1, first_test, no_prefetch);
		}
	}
}

AVX512 static void scan_avx512(const exactindex_scan_t *s)
{
	pending_t pending;
	pending.n = 0;
	if (s->first_test) {
		blocks_avx512(s, &pending, 1);
		finish_avx512(s, &pending);
	} else {
		blocks_avx512(s, &pending, 0);
	}
}

AVX512 static void dots_avx512(const float *query, const float *vectors, int32_t n, int32_t count, float *scores)
{
	for (int i = 0; i < count; i++) {
		const float *v = vectors + (int64_t)i * n;
		__m512 sum = _mm512_setzero_ps();
		int k = 0;
		for (; k + 16 <= n; k += 16) {
			sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(query + k), _mm512_loadu_ps(v + k)));
		}
		if (k < n) {
			__mmask16 rest = (__mmask16)((1u << (n - k)) - 1);
			sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_maskz_loadu_ps(rest, query + k), _mm512_maskz_loadu_ps(rest, v + k)));
		}
		__m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sum), 1)));
		__m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
		s4 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
		scores[i] = _mm_cvtss_f32(_mm_add_ss(s4, _mm_shuffle_ps(s4, s4, 1)));
	}
}

// AVX2: a block is two registers. VPMADDUBSW adds pairs of products into 16 bits;
// each is at most 2*15*127 = 3810, so eight of them fit before they are widened.

typedef struct { __m256i half[2]; } pair_t;

AVX2 INLINE uint32_t compare_avx2(pair_t p, __m256 most0, __m256 most1)
{
	return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_cvtepi32_ps(p.half[0]), most0, _CMP_GE_OQ)) |
		(uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_cvtepi32_ps(p.half[1]), most1, _CMP_GE_OQ)) << 8;
}

AVX2 INLINE __m256 survival_avx2(const float *terms, const float *bound)
{
	return _mm256_add_ps(_mm256_sub_ps(
		_mm256_mul_ps(_mm256_set1_ps(bound[0]), _mm256_loadu_ps(terms)),
		_mm256_mul_ps(_mm256_set1_ps(bound[1]), _mm256_loadu_ps(terms + ROWS))), _mm256_set1_ps(bound[2]));
}

AVX2 INLINE __m256 passing_avx2(const float *terms, const float *bound)
{
	__m256 most = _mm256_sub_ps(_mm256_sub_ps(
		_mm256_mul_ps(_mm256_set1_ps(bound[3]), _mm256_loadu_ps(terms)),
		_mm256_mul_ps(_mm256_set1_ps(bound[4]), _mm256_loadu_ps(terms + ROWS))),
		_mm256_mul_ps(_mm256_set1_ps(bound[5]), _mm256_loadu_ps(terms + 2 * ROWS)));
	return _mm256_add_ps(most, _mm256_set1_ps(bound[6]));
}

// widen_avx2 adds sums of 16 bits to the sums of 32 bits.
AVX2 INLINE __m256i widen_avx2(__m256i sum, __m256i narrow)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
}

// run_avx2 multiplies one block with n queries, width numbers apart, over some
// groups.
AVX2 INLINE void run_avx2(const uint8_t *codes, const int8_t *queries, int64_t width, int groups, const int n, pair_t *sums)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	for (int g = 0; g < groups; g += 4) {
		__m256i narrow[2][2];
#pragma GCC unroll 2
		for (int i = 0; i < n; i++)
			narrow[i][0] = narrow[i][1] = _mm256_setzero_si256();
		for (int h = g; h < g + 4 && h < groups; h++) {
			__m256i a = _mm256_loadu_si256((const __m256i *)(codes + (int64_t)h * GROUP_BYTES));
			__m256i b = _mm256_loadu_si256((const __m256i *)(codes + (int64_t)h * GROUP_BYTES + 32));
			__m256i a0 = _mm256_and_si256(a, nibble), a1 = _mm256_and_si256(_mm256_srli_epi16(a, 4), nibble);
			__m256i b0 = _mm256_and_si256(b, nibble), b1 = _mm256_and_si256(_mm256_srli_epi16(b, 4), nibble);
#pragma GCC unroll 2
			for (int i = 0; i < n; i++) {
				__m256i low = _mm256_set1_epi32(four(queries + i * width + h * 8));
				__m256i high = _mm256_set1_epi32(four(queries + i * width + h * 8 + 4));
				narrow[i][0] = _mm256_add_epi16(narrow[i][0], _mm256_add_epi16(_mm256_maddubs_epi16(a0, low), _mm256_maddubs_epi16(a1, high)));
				narrow[i][1] = _mm256_add_epi16(narrow[i][1], _mm256_add_epi16(_mm256_maddubs_epi16(b0, low), _mm256_maddubs_epi16(b1, high)));
			}
		}
#pragma GCC unroll 2
		for (int i = 0; i < n; i++) {
			sums[i].half[0] = widen_avx2(sums[i].half[0], narrow[i][0]);
			sums[i].half[1] = widen_avx2(sums[i].half[1], narrow[i][1]);
		}
	}
}

// test_avx2 applies the tests to one block and one query.
AVX2 INLINE void test_avx2(const exactindex_scan_t *s, int block, int query, pair_t products)
{
	const float *bound = s->bounds + query * 8, *terms = terms_of(s, block);
	uint32_t mask = 0xffff;
	if (s->first_test) {
		const float *first = first_terms_of(s, block);
		mask = compare_avx2(products, passing_avx2(first, bound), passing_avx2(first + 8, bound));
		if (__builtin_expect(mask == 0, 1))
			return;
		s->passed[query]++;
		run_avx2(rest_codes(s, block), query_of(s, query) + s->prefix * 8, 0, s->groups - s->prefix, 1, &products);
	}
	mask &= compare_avx2(products, survival_avx2(terms, bound), survival_avx2(terms + 8, bound));
	if (__builtin_expect(mask != 0, 0)) {
		int32_t lanes[ROWS];
		_mm256_storeu_si256((__m256i *)lanes, products.half[0]);
		_mm256_storeu_si256((__m256i *)(lanes + 8), products.half[1]);
		emit(s, query, block, mask, lanes);
	}
}

// tile_avx2 compares one block with n queries.
AVX2 INLINE void tile_avx2(const exactindex_scan_t *s, int block, int first, const int n)
{
	const int64_t width = (int64_t)s->groups * 8;
	pair_t sums[2];
#pragma GCC unroll 2
	for (int i = 0; i < n; i++)
		sums[i].half[0] = sums[i].half[1] = _mm256_setzero_si256();
	run_avx2(prefix_codes(s, block), query_of(s, first), width, s->prefix, n, sums);
	if (!s->first_test && s->prefix < s->groups)
		run_avx2(rest_codes(s, block), query_of(s, first) + s->prefix * 8, width, s->groups - s->prefix, n, sums);
#pragma GCC unroll 2
	for (int i = 0; i < n; i++)
		test_avx2(s, block, first + i, sums[i]);
}

AVX2 static void scan_avx2(const exactindex_scan_t *s)
{
	for (int block = 0; block < s->blocks; block++) {
		int q = 0;
		for (; q + 2 <= s->count; q += 2)
			tile_avx2(s, block, q, 2);
		if (q < s->count)
			tile_avx2(s, block, q, 1);
	}
}

AVX2 static void dots_avx2(const float *query, const float *vectors, int32_t n, int32_t count, float *scores)
{
	for (int i = 0; i < count; i++) {
		const float *v = vectors + (int64_t)i * n;
		__m256 low = _mm256_setzero_ps(), high = low;
		int k = 0;
		for (; k + 16 <= n; k += 16) {
			low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(query + k), _mm256_loadu_ps(v + k)));
			high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_loadu_ps(query + k + 8), _mm256_loadu_ps(v + k + 8)));
		}
		if (k < n) {
			float a[16] = {0}, b[16] = {0};
			memcpy(a, query + k, (size_t)(n - k) * 4);
			memcpy(b, v + k, (size_t)(n - k) * 4);
			low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
			high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_loadu_ps(a + 8), _mm256_loadu_ps(b + 8)));
		}
		__m256 s8 = _mm256_add_ps(low, high);
		__m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
		s4 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
		scores[i] = _mm_cvtss_f32(_mm_add_ss(s4, _mm_shuffle_ps(s4, s4, 1)));
	}
}
