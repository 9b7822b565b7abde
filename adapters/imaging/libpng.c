/*
 * libpng reports errors by calling back and expects not to be returned to, so
 * every call stands under a setjmp here and nothing of it reaches Go.
 *
 * This is libpng's classic interface. Its simplified one needs the whole
 * picture in memory, cannot be interrupted, and mixes up the pixels of
 * interlaced 16-bit files since the correction of CVE-2025-65018 (version
 * 1.6.51, Debian 1.6.39-2+deb12u1; pnggroup/libpng issue 853).
 */
#include "libpng.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

struct imago_png {
	png_structp png;
	png_infop info;
	const unsigned char *next;
	size_t left;
	size_t row_bytes;
	const int *stop;
	enum imago_png_result result;
	jmp_buf escape;
};

/*
 * Whether the last row has been given out. What libpng still looks for behind
 * it, the end of the compressed data and the next chunk, holds no pixels.
 */
static int has_all_rows(const struct imago_png *d)
{
	return d->row_bytes > 0 && (png_get_current_pass_number(d->png) == 7 ||
		png_get_current_row_number(d->png) == png_get_image_height(d->png, d->info));
}

static void leave(struct imago_png *d, enum imago_png_result result)
{
	d->result = result;
	longjmp(d->escape, 1);
}

static void on_error(png_structp png, png_const_charp message)
{
	struct imago_png *d = png_get_error_ptr(png);

	/* libpng tells errors apart by their text alone. */
	leave(d, strstr(message, "emory") ? IMAGO_PNG_NO_MEMORY : IMAGO_PNG_DAMAGED);
}

static void on_warning(png_structp png, png_const_charp message)
{
	(void)png, (void)message; /* a library does not write to standard error */
}

/*
 * Behind the last row libpng would unpack the rest of the compressed data and
 * throw it away: gigabytes, from a few MB. Nothing of it is read. Beyond that
 * libpng reads little at a time, so that the work on a picture ends soon after
 * it is told to.
 */
static void on_read(png_structp png, png_bytep out, size_t size)
{
	struct imago_png *d = png_get_io_ptr(png);

	if (has_all_rows(d))
		leave(d, IMAGO_PNG_OK);
	if (__atomic_load_n(d->stop, __ATOMIC_RELAXED))
		leave(d, IMAGO_PNG_STOPPED);
	if (size > d->left)
		png_error(png, "end of data");
	memcpy(out, d->next, size);
	d->next += size;
	d->left -= size;
}

/*
 * Chunks that say nothing about the pixels are passed over unread: libpng would
 * unpack and keep compressed text, 8 MB from a few kB and many times over.
 * Colour profiles are not applied either.
 */
static void skip_metadata(png_structp png)
{
	static const png_byte wanted[] = "gAMA\0sRGB";

	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, wanted, 2);
}

/* Asks for eight bits of sRGB a channel, whatever the file has. */
static void set_output(png_structp png)
{
	/*
	 * What is transparent is laid over white, the background on which
	 * viewers and the rules for identity photographs show a face.
	 */
	static const png_color_16 white = {0, 255, 255, 255, 255};

	png_set_expand(png);
	png_set_scale_16(png);
	png_set_gray_to_rgb(png);
	/* Files without gamma are sRGB; others are converted. */
	png_set_alpha_mode_fixed(png, PNG_ALPHA_PNG, PNG_DEFAULT_sRGB);
	png_set_background_fixed(png, &white, PNG_BACKGROUND_GAMMA_SCREEN, 0, 0);
}

/*
 * How much compressed data is unpacked between two reads: a thousand times as
 * much at most (deflate's limit), which bounds the work that is lost.
 */
#define READ_SIZE 2048

static void start(struct imago_png *d, unsigned int width, unsigned int height, int *passes)
{
	d->info = png_create_info_struct(d->png);
	if (d->info == NULL)
		png_error(d->png, "out of memory");
	png_set_read_fn(d->png, d, on_read);
	png_set_user_limits(d->png, width, height);
	png_set_benign_errors(d->png, 1);
	/* Some writers state a smaller window than they use. */
	png_set_option(d->png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
	png_set_compression_buffer_size(d->png, READ_SIZE);
	skip_metadata(d->png);
	png_read_info(d->png, d->info);
	set_output(d->png);
	*passes = png_set_interlace_handling(d->png);
	png_read_update_info(d->png, d->info);
	d->row_bytes = png_get_rowbytes(d->png, d->info);
	if (png_get_image_width(d->png, d->info) != width ||
	    png_get_image_height(d->png, d->info) != height || d->row_bytes != (size_t)3 * width)
		png_error(d->png, "not as announced");
}

enum imago_png_result imago_png_open(const unsigned char *data, size_t size,
	unsigned int width, unsigned int height, const int *stop, struct imago_png **out, int *passes)
{
	struct imago_png *d = calloc(1, sizeof *d);

	*out = d;
	if (d == NULL)
		return IMAGO_PNG_NO_MEMORY;
	d->next = data;
	d->left = size;
	d->stop = stop;
	if (setjmp(d->escape) != 0)
		return d->result;
	d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, on_error, on_warning);
	if (d->png == NULL)
		return IMAGO_PNG_NO_MEMORY;
	start(d, width, height, passes);
	return IMAGO_PNG_OK;
}

enum imago_png_result imago_png_read(struct imago_png *d, unsigned char *pixels, unsigned int rows)
{
	unsigned int i;

	if (setjmp(d->escape) != 0)
		return d->result;
	for (i = 0; i < rows; i++)
		png_read_row(d->png, pixels + i * d->row_bytes, NULL);
	return IMAGO_PNG_OK;
}

void imago_png_close(struct imago_png *d)
{
	if (d == NULL)
		return;
	png_destroy_read_struct(&d->png, &d->info, NULL);
	free(d);
}
