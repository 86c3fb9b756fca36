/* SPDX-License-Identifier: Apache-2.0 */
/*
 * png_check FILE WIDTH HEIGHT: the file is a PNG of that size, whole, and not of one colour.
 */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *file, const char *why)
{
	fprintf(stderr, "%s: %s\n", file, why);
	return 1;
}

static int has_colours(const png_byte *pixels, size_t bytes)
{
	for (size_t at = 3; at + 3 <= bytes; at += 3)
		if (memcmp(pixels, pixels + at, 3) != 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	png_byte *pixels;

	if (argc != 4)
		return fail("png_check", "usage: png_check FILE WIDTH HEIGHT");
	if (!png_image_begin_read_from_file(&image, argv[1]))
		return fail(argv[1], image.message);
	if (image.width != strtoul(argv[2], NULL, 10) || image.height != strtoul(argv[3], NULL, 10))
		return fail(argv[1], "it is of another size");
	image.format = PNG_FORMAT_RGB;
	pixels = malloc(PNG_IMAGE_SIZE(image));
	if (!pixels || !png_image_finish_read(&image, NULL, pixels, 0, NULL))
		return fail(argv[1], image.message);
	if (!has_colours(pixels, PNG_IMAGE_SIZE(image)))
		return fail(argv[1], "it has one colour");
	free(pixels);
	return 0;
}
