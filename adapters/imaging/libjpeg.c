/*
 * libjpeg reports errors by calling back and expects not to be returned to, so
 * every call stands under a setjmp here and nothing of it reaches Go.
 */
#include "libjpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* How many rows are asked for at once; libjpeg delivers at most 32 of them. */
#define ROWS 16

struct decoder {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf escape;
	enum imago_jpeg_result result;
	const struct imago_jpeg_plan *plan;
	const int *stop;
	int ended; /* the data ended before its end-of-image marker */
};

static __attribute__((noreturn)) void leave(struct decoder *d, enum imago_jpeg_result result)
{
	d->result = result;
	longjmp(d->escape, 1);
}

static void on_error(j_common_ptr info)
{
	struct decoder *d = info->client_data;

	switch (info->err->msg_code) {
	case JERR_OUT_OF_MEMORY:
	case JERR_NO_BACKING_STORE:
		leave(d, IMAGO_JPEG_NO_MEMORY);
	case JERR_ARITH_NOTIMPL:
	case JERR_BAD_PRECISION:
	case JERR_CCIR601_NOTIMPL:
	case JERR_CONVERSION_NOTIMPL:
	case JERR_FRACT_SAMPLE_NOTIMPL:
	case JERR_NOTIMPL:
	case JERR_SOF_UNSUPPORTED:
		leave(d, IMAGO_JPEG_UNSUPPORTED);
	default:
		leave(d, IMAGO_JPEG_DAMAGED);
	}
}

/*
 * A warning means that libjpeg goes on with made-up data: grey areas where the
 * file is cut short or broken. That is refused, with the exception of oddities
 * that cost no pixels and that real cameras and editors produce.
 *
 * At the end of the data libjpeg makes up an end-of-image marker. Where that
 * costs pixels, JWRN_HIT_MARKER follows. Data that is no picture and has no end
 * is what a download leaves that was broken off: zeros decode, too.
 */
static void on_message(j_common_ptr info, int level)
{
	struct decoder *d = info->client_data;

	if (level >= 0)
		return; /* trace */
	switch (info->err->msg_code) {
	case JWRN_JPEG_EOF:
		d->ended = 1;
		return;
	case JWRN_EXTRANEOUS_DATA:
		if (d->ended)
			break;
		return;
	case JWRN_ADOBE_XFORM:
	case JWRN_JFIF_MAJOR:
	case JWRN_NOT_SEQUENTIAL:
		return;
	}
	leave(d, IMAGO_JPEG_DAMAGED);
}

static void on_output(j_common_ptr info)
{
	(void)info; /* a library does not write to standard error */
}

/* libjpeg calls this before each row of blocks, read or written. */
static void on_progress(j_common_ptr info)
{
	struct decoder *d = info->client_data;

	if (__atomic_load_n(d->stop, __ATOMIC_RELAXED))
		leave(d, IMAGO_JPEG_STOPPED);
	if (d->jpeg.input_scan_number > d->plan->max_scans)
		leave(d, IMAGO_JPEG_DAMAGED);
}

/*
 * Whether every component came in a scan and, in a progressive file without an
 * end, every coefficient to its last bit: a missing scan only shows as blur. A
 * file with its end in place is as fine as it was meant to be. Files of one scan
 * have all that from the start.
 */
static int has_all_scans(const struct decoder *d)
{
	const struct jpeg_decompress_struct *jpeg = &d->jpeg;
	int i, j;

	for (i = 0; i < jpeg->num_components; i++) {
		if (jpeg->comp_info[i].quant_table == NULL)
			return 0;
		for (j = 0; d->ended && jpeg->progressive_mode && j < DCTSIZE2; j++)
			if (jpeg->coef_bits[i][j] != 0)
				return 0;
	}
	return 1;
}

static void start(struct decoder *d, const unsigned char *data, size_t size)
{
	struct jpeg_decompress_struct *jpeg = &d->jpeg;
	const struct imago_jpeg_plan *plan = d->plan;

	jpeg->mem->max_memory_to_use = plan->max_memory;
	d->progress.progress_monitor = on_progress;
	jpeg->progress = &d->progress;
	jpeg_mem_src(jpeg, data, size);
	jpeg_read_header(jpeg, TRUE);
	if (jpeg->image_width != plan->width || jpeg->image_height != plan->height ||
	    jpeg->num_components != plan->components || jpeg->arith_code)
		leave(d, IMAGO_JPEG_DAMAGED);

	jpeg->out_color_space = JCS_RGB;
	jpeg->scale_num = plan->scale;
	jpeg->scale_denom = 8;
	jpeg->do_fancy_upsampling = FALSE;
	jpeg->do_block_smoothing = FALSE; /* guesses at what a cut file lacks */
	jpeg_start_decompress(jpeg);
	if (!has_all_scans(d))
		leave(d, IMAGO_JPEG_DAMAGED);
	if (jpeg->output_width != plan->out_width || jpeg->output_height != plan->out_height ||
	    jpeg->output_components != 3)
		leave(d, IMAGO_JPEG_DAMAGED);
}

static void read_rows(struct decoder *d, unsigned char *pixels)
{
	struct jpeg_decompress_struct *jpeg = &d->jpeg;
	size_t stride = (size_t)3 * jpeg->output_width;
	JSAMPROW rows[ROWS];

	while (jpeg->output_scanline < jpeg->output_height) {
		JDIMENSION left = jpeg->output_height - jpeg->output_scanline;
		JDIMENSION i, count = left < ROWS ? left : ROWS;

		for (i = 0; i < count; i++)
			rows[i] = pixels + stride * (jpeg->output_scanline + i);
		jpeg_read_scanlines(jpeg, rows, count);
	}
	/* Reads on to the end-of-image marker, or to the end of the data. */
	jpeg_finish_decompress(jpeg);
}

enum imago_jpeg_result imago_jpeg_decode(const unsigned char *data, size_t size,
	const struct imago_jpeg_plan *plan, unsigned char *pixels, const int *stop)
{
	struct decoder d;

	memset(&d, 0, sizeof d);
	d.plan = plan;
	d.stop = stop;
	d.jpeg.err = jpeg_std_error(&d.errors);
	d.jpeg.client_data = &d;
	d.errors.error_exit = on_error;
	d.errors.emit_message = on_message;
	d.errors.output_message = on_output;
	if (setjmp(d.escape) == 0) {
		jpeg_create_decompress(&d.jpeg);
		start(&d, data, size);
		read_rows(&d, pixels);
		d.result = IMAGO_JPEG_OK;
	}
	jpeg_destroy_decompress(&d.jpeg);
	return d.result;
}
