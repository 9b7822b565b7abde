/* Decoding with nothing around the libraries; decode.c says how. */
#ifndef IMAGO_BARE_DECODE_H
#define IMAGO_BARE_DECODE_H

#include <stddef.h>

/*
 * Decodes a JPEG at eighths/8 of its size into RGB rows without padding. Returns
 * 0, or 1 where the picture does not come out at width x height. A damaged file
 * ends the process: it is the yardstick for sound ones.
 */
int bare_jpeg(const unsigned char *data, size_t size, int eighths,
	unsigned char *pixels, unsigned int width, unsigned int height);

/* Decodes a PNG into RGB rows without padding. Returns 0, or 1 where it cannot. */
int bare_png(const unsigned char *data, size_t size,
	unsigned char *pixels, unsigned int width, unsigned int height);

#endif
