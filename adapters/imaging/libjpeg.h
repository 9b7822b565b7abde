/* Decoding of one JPEG picture with libjpeg; libjpeg.c says how. */
#ifndef IMAGO_LIBJPEG_H
#define IMAGO_LIBJPEG_H

#include <stddef.h>

enum imago_jpeg_result {
	IMAGO_JPEG_OK,
	IMAGO_JPEG_DAMAGED,
	IMAGO_JPEG_UNSUPPORTED,
	IMAGO_JPEG_NO_MEMORY,
	IMAGO_JPEG_STOPPED
};

struct imago_jpeg_plan {
	/* What the caller's own reading of the header found. */
	unsigned int width, height;
	int components;
	/* The picture is decoded at scale/8 of its size. */
	unsigned int scale;
	/* The sides that this gives, in pixels. */
	unsigned int out_width, out_height;
	/* More scans than this are taken for an attack. */
	int max_scans;
	/* The most that the whole-picture coefficients may take, in bytes. */
	long max_memory;
};

/*
 * Decodes a JPEG file into out_height rows of out_width RGB pixels without
 * padding. Gives up soon after *stop becomes other than zero, which another
 * thread may do (atomically). Everything that was allocated is freed on return.
 */
enum imago_jpeg_result imago_jpeg_decode(const unsigned char *data, size_t size,
	const struct imago_jpeg_plan *plan, unsigned char *pixels, const int *stop);

#endif
