/* Row by row decoding of one PNG picture with libpng; libpng.c says how. */
#ifndef IMAGO_LIBPNG_H
#define IMAGO_LIBPNG_H

#include <stddef.h>

enum imago_png_result {
	IMAGO_PNG_OK,
	IMAGO_PNG_DAMAGED,
	IMAGO_PNG_NO_MEMORY,
	IMAGO_PNG_STOPPED
};

/* A picture being decoded: used by one thread at a time, whichever. */
struct imago_png;

/*
 * Starts to decode a PNG file of the given sides. The data and *stop must stay in
 * place until imago_png_close, which is due whatever the result, unless *out is
 * NULL. Gives up soon after *stop becomes other than zero, which another thread
 * may do (atomically).
 * *passes becomes how often all rows have to be read: 1, or 7 if interlaced.
 */
enum imago_png_result imago_png_open(const unsigned char *data, size_t size,
	unsigned int width, unsigned int height, const int *stop, struct imago_png **out, int *passes);

/*
 * Reads the next rows, RGB without padding. Of an interlaced picture each pass
 * fills in what it brings and leaves the rest of the rows as it is.
 */
enum imago_png_result imago_png_read(struct imago_png *png, unsigned char *pixels, unsigned int rows);

void imago_png_close(struct imago_png *png);

#endif
