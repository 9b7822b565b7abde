#include "resample.h"

// No product may be fused with a sum, so that all processors make the same input. GCC sees
// to it with -std=c11, other compilers with this.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

void onnx_average(const uint8_t *rows, int64_t stride, const float *weights, int32_t count, float *restrict sum, int32_t n)
{
	const float first = weights[0];
	for (int32_t i = 0; i < n; i++)
		sum[i] = first * (float)rows[i];
	for (int32_t r = 1; r < count; r++) {
		const uint8_t *row = rows + r * stride;
		const float w = weights[r];
		for (int32_t i = 0; i < n; i++)
			sum[i] += w * (float)row[i];
	}
}

// A pixel and the number behind it, wherever they lie, go through one register together.
typedef float __attribute__((vector_size(16), aligned(4), may_alias)) pixel_t;

void onnx_gather(const float *src, const int32_t *first, const int32_t *start, const float *weights, int32_t n,
	const float *gain, const float *offset, float *restrict red, float *restrict green, float *restrict blue)
{
	const pixel_t g = {gain[0], gain[1], gain[2], 0}, o = {offset[0], offset[1], offset[2], 0};
	for (int32_t i = 0; i < n; i++) {
		const float *from = src + 3 * (int64_t)first[i], *w = weights + start[i];
		pixel_t sum = w[0] * *(const pixel_t *)from;
		for (int32_t k = start[i + 1] - start[i] - 1; k > 0; k--) {
			from += 3, w++;
			sum += w[0] * *(const pixel_t *)from;
		}
		sum = g * sum + o;
		red[i] = sum[0];
		green[i] = sum[1];
		blue[i] = sum[2];
	}
}
