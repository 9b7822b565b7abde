#include "decode.h"

#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

int bare_jpeg(const unsigned char *data, size_t size, int eighths,
	unsigned char *pixels, unsigned int width, unsigned int height)
{
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	int wrong;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_decompress(&jpeg);
	jpeg_mem_src(&jpeg, data, size);
	jpeg_read_header(&jpeg, TRUE);
	jpeg.out_color_space = JCS_RGB;
	jpeg.scale_num = (unsigned int)eighths;
	jpeg.scale_denom = 8;
	jpeg.do_fancy_upsampling = FALSE; /* as imago: the cheaper of the two */
	jpeg_start_decompress(&jpeg);
	wrong = jpeg.output_width != width || jpeg.output_height != height;
	while (!wrong && jpeg.output_scanline < height) {
		JSAMPROW row = pixels + (size_t)3 * width * jpeg.output_scanline;
		jpeg_read_scanlines(&jpeg, &row, 1);
	}
	jpeg_destroy_decompress(&jpeg);
	return wrong;
}

int bare_png(const unsigned char *data, size_t size,
	unsigned char *pixels, unsigned int width, unsigned int height)
{
	png_image image;

	memset(&image, 0, sizeof image);
	image.version = PNG_IMAGE_VERSION;
	if (!png_image_begin_read_from_memory(&image, data, size))
		return 1;
	if (image.width != width || image.height != height) {
		png_image_free(&image);
		return 1;
	}
	image.format = PNG_FORMAT_RGB;
	return !png_image_finish_read(&image, NULL, pixels, 0, NULL);
}
