// What resample.go does to every row of a network's input. A compiler for C works at several
// numbers at a time, which takes a third of the time (BenchmarkLetterbox).

#ifndef IMAGO_ONNX_RESAMPLE_H
#define IMAGO_ONNX_RESAMPLE_H

#include <stdint.h>

// onnx_average writes the weighted sum of count rows of n bytes, stride apart. A row at a
// time is added to the sum, in the order of the rows.
void onnx_average(const uint8_t *rows, int64_t stride, const float *weights, int32_t count, float *sum, int32_t n);

// onnx_gather writes n pixels into three planes: pixel i is the sum of the pixels of src
// from first[i] on, weighted by weights[start[i]] to weights[start[i + 1] - 1], times gain
// plus offset. Pixels of src are three numbers; there is one number more behind the last.
void onnx_gather(const float *src, const int32_t *first, const int32_t *start, const float *weights, int32_t n,
	const float *gain, const float *offset, float *red, float *green, float *blue);

#endif
