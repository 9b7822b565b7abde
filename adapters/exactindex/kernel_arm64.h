// The kernels for 64-bit ARM. NEON is always there; its dot product instruction (SDOT) is
// an extension that the operating system tells about.

#include <arm_neon.h>
#include <string.h>

#define DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#define INLINE static inline __attribute__((always_inline))

#if defined(__linux__)
#include <sys/auxv.h>
enum { CAPABILITY_ASIMDDP = 1 << 20 }; // HWCAP_ASIMDDP of the kernel's interface

static int has_dotprod(void) { return !!(getauxval(AT_HWCAP) & CAPABILITY_ASIMDDP); }
#elif defined(__APPLE__)
static int has_dotprod(void) { return 1; }
#else
static int has_dotprod(void) { return 0; }
#endif

int exactindex_supports(int kernel)
{
	return kernel == EXACTINDEX_NEON || (kernel == EXACTINDEX_DOTPROD && has_dotprod());
}

// A block is four registers of four rows.
typedef struct { int32x4_t part[4]; } sums_t;

static sums_t zero_neon(void)
{
	const int32x4_t zero = vdupq_n_s32(0);
	return (sums_t){{zero, zero, zero, zero}};
}

// test_neon applies the first test, or the full one. Each lane of the answer is all ones
// where the row passes.
INLINE uint32x4_t test_neon(int32x4_t products, const float *terms, const float *bound, int first)
{
	float32x4_t most;
	if (first)
		most = vsubq_f32(vsubq_f32(
			vmulq_f32(vdupq_n_f32(bound[3]), vld1q_f32(terms)),
			vmulq_f32(vdupq_n_f32(bound[4]), vld1q_f32(terms + ROWS))),
			vmulq_f32(vdupq_n_f32(bound[5]), vld1q_f32(terms + 2 * ROWS)));
	else
		most = vsubq_f32(
			vmulq_f32(vdupq_n_f32(bound[0]), vld1q_f32(terms)),
			vmulq_f32(vdupq_n_f32(bound[1]), vld1q_f32(terms + ROWS)));
	return vcgeq_f32(vcvtq_f32_s32(products), vaddq_f32(most, vdupq_n_f32(bound[first ? 6 : 2])));
}

// mask_neon returns a bit for each row of a block that passes a test.
static uint32_t mask_neon(const sums_t *sums, const float *terms, const float *bound, int first)
{
	static const uint32_t bits[4] = {1, 2, 4, 8};
	uint32_t mask = 0;
	for (int i = 0; i < 4; i++) {
		uint32x4_t passes = test_neon(sums->part[i], terms + 4 * i, bound, first);
		mask |= vaddvq_u32(vandq_u32(passes, vld1q_u32(bits))) << (4 * i);
	}
	return mask;
}

typedef void run_t(const uint8_t *codes, const int8_t *query, int groups, sums_t *sums);

// finish_neon tests a block of which the prefix was summed, finishes it if that is not
// ruled out, and emits what survives.
INLINE void finish_neon(const exactindex_scan_t *s, int block, int query, sums_t *sums, run_t *run)
{
	const float *bound = s->bounds + query * 8;
	uint32_t mask = 0xffff;
	if (s->first_test) {
		mask = mask_neon(sums, first_terms_of(s, block), bound, 1);
		if (mask == 0)
			return;
		s->passed[query]++;
	}
	run(rest_codes(s, block), query_of(s, query) + s->prefix * 8, s->groups - s->prefix, sums);
	mask &= mask_neon(sums, terms_of(s, block), bound, 0);
	if (mask) {
		int32_t lanes[ROWS];
		for (int i = 0; i < 4; i++)
			vst1q_s32(lanes + 4 * i, sums->part[i]);
		emit(s, query, block, mask, lanes);
	}
}

// With the dot product, the four numbers of a query that belong to a step are one
// lane of a register that holds two steps.

DOTPROD INLINE void step_dotprod(const uint8_t *codes, int8x8_t query, sums_t *sums)
{
	const uint8x16_t nibble = vdupq_n_u8(15);
	for (int i = 0; i < 4; i++) {
		uint8x16_t v = vld1q_u8(codes + 16 * i);
		sums->part[i] = vdotq_lane_s32(sums->part[i], vreinterpretq_s8_u8(vandq_u8(v, nibble)), query, 0);
		sums->part[i] = vdotq_lane_s32(sums->part[i], vreinterpretq_s8_u8(vshrq_n_u8(v, 4)), query, 1);
	}
}

DOTPROD static void run_dotprod(const uint8_t *codes, const int8_t *query, int groups, sums_t *sums)
{
	for (int g = 0; g < groups; g++)
		step_dotprod(codes + g * GROUP_BYTES, vld1_s8(query + g * 8), sums);
}

// four_dotprod does the prefix of four queries: each code is unpacked once.
DOTPROD static void four_dotprod(const uint8_t *codes, const int8_t *queries, int64_t width, int groups, sums_t *sums)
{
	sums_t a = zero_neon(), b = a, c = a, d = a;
	for (int g = 0; g < groups; g++, codes += GROUP_BYTES, queries += 8) {
		step_dotprod(codes, vld1_s8(queries), &a);
		step_dotprod(codes, vld1_s8(queries + width), &b);
		step_dotprod(codes, vld1_s8(queries + 2 * width), &c);
		step_dotprod(codes, vld1_s8(queries + 3 * width), &d);
	}
	sums[0] = a;
	sums[1] = b;
	sums[2] = c;
	sums[3] = d;
}

DOTPROD static void scan_dotprod(const exactindex_scan_t *s)
{
	for (int block = 0; block < s->blocks; block++) {
		int q = 0;
		for (; q + 4 <= s->count; q += 4) {
			sums_t sums[4];
			four_dotprod(prefix_codes(s, block), query_of(s, q), (int64_t)s->groups * 8, s->prefix, sums);
			for (int i = 0; i < 4; i++)
				finish_neon(s, block, q + i, &sums[i], run_dotprod);
		}
		for (; q < s->count; q++) {
			sums_t sums = zero_neon();
			run_dotprod(prefix_codes(s, block), query_of(s, q), s->prefix, &sums);
			finish_neon(s, block, q, &sums, run_dotprod);
		}
	}
}

// Without it, eight products of 8 bits become 16 bits, of which neighbours are added
// into 16 bits (at most 2*2*15*127 = 7620 together) and then into 32.

static void run_neon(const uint8_t *codes, const int8_t *query, int groups, sums_t *sums)
{
	for (int g = 0; g < groups; g++, codes += GROUP_BYTES, query += 8) {
		int32_t low, high;
		memcpy(&low, query, 4);
		memcpy(&high, query + 4, 4);
		int8x8_t q0 = vreinterpret_s8_s32(vdup_n_s32(low)), q1 = vreinterpret_s8_s32(vdup_n_s32(high));
		for (int i = 0; i < 4; i++) {
			uint8x16_t v = vld1q_u8(codes + 16 * i);
			int8x16_t a = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))), b = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
			int16x8_t front = vmlal_s8(vmull_s8(vget_low_s8(a), q0), vget_low_s8(b), q1);
			int16x8_t back = vmlal_s8(vmull_s8(vget_high_s8(a), q0), vget_high_s8(b), q1);
			sums->part[i] = vpadalq_s16(sums->part[i], vpaddq_s16(front, back));
		}
	}
}

static void scan_neon(const exactindex_scan_t *s)
{
	for (int block = 0; block < s->blocks; block++)
		for (int q = 0; q < s->count; q++) {
			sums_t sums = zero_neon();
			run_neon(prefix_codes(s, block), query_of(s, q), s->prefix, &sums);
			finish_neon(s, block, q, &sums, run_neon);
		}
}

static void dots_neon(const float *query, const float *vectors, int32_t n, int32_t count, float *scores)
{
	for (int i = 0; i < count; i++) {
		const float *v = vectors + (int64_t)i * n;
		float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
		int k = 0;
		for (; k + 16 <= n; k += 16)
			for (int j = 0; j < 4; j++)
				sums[j] = vaddq_f32(sums[j], vmulq_f32(vld1q_f32(query + k + 4 * j), vld1q_f32(v + k + 4 * j)));
		if (k < n) {
			float a[16] = {0}, b[16] = {0};
			memcpy(a, query + k, (size_t)(n - k) * 4);
			memcpy(b, v + k, (size_t)(n - k) * 4);
			for (int j = 0; j < 4; j++)
				sums[j] = vaddq_f32(sums[j], vmulq_f32(vld1q_f32(a + 4 * j), vld1q_f32(b + 4 * j)));
		}
		float32x4_t s4 = vaddq_f32(vaddq_f32(sums[0], sums[2]), vaddq_f32(sums[1], sums[3]));
		float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
		scores[i] = vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
	}
}
