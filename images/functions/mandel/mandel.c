/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mandel: renders a piece of the Mandelbrot set as a PNG.
 *
 * The request is empty or a JSON object; each member may be left out:
 *	{"width": 64, "height": 48, "x": -0.6, "y": 0.0, "scale": 3.0, "iterations": 100}
 * x and y are the centre, scale is the width of the picture in the complex plane.
 */
#include <jansson.h>
#include <malloc.h>
#include <png.h>
#include <quark.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
	SIDE_MAX = 1024,
	PIXELS_MAX = 512 * 512,
	ITERATIONS_MAX = 10000,
	COLOURS = 256,
};

struct view {
	int width, height, iterations;
	double x, y, scale;
};

static const struct view default_view = {
	.width = 64, .height = 48, .iterations = 100, .x = -0.6, .y = 0.0, .scale = 3.0,
};

static uint8_t pixels[PIXELS_MAX];
static uint8_t colours[COLOURS][3];

/* Black for the set itself, then round a circle of colours with the number of steps. */
static void colours_make(void)
{
	static const struct stop {
		int at, colour[3];
	} stops[] = {
		{1, {0, 7, 100}},     {42, {32, 107, 203}}, {108, {237, 255, 255}},
		{164, {255, 170, 0}}, {220, {0, 2, 0}},	    {256, {0, 7, 100}},
	};
	const struct stop *from = stops;

	for (int i = 1; i < COLOURS; i++) {
		if (i >= from[1].at)
			from++;
		for (int k = 0; k < 3; k++)
			colours[i][k] = (uint8_t)(from->colour[k] +
						  (from[1].colour[k] - from->colour[k]) *
							  (i - from->at) / (from[1].at - from->at));
	}
}

/* The number of steps until z leaves the circle of radius 2, or 0 when it does not. */
static int steps(double cx, double cy, int iterations)
{
	double x = 0, y = 0, xx = 0, yy = 0;

	for (int i = 1; i <= iterations; i++) {
		y = 2 * x * y + cy;
		x = xx - yy + cx;
		xx = x * x;
		yy = y * y;
		if (xx + yy > 4)
			return i;
	}
	return 0;
}

static void render(const struct view *v)
{
	double step = v->scale / v->width;

	for (int row = 0; row < v->height; row++) {
		double cy = v->y + (row - v->height / 2) * step;

		for (int column = 0; column < v->width; column++) {
			double cx = v->x + (column - v->width / 2) * step;
			int n = steps(cx, cy, v->iterations);

			pixels[row * v->width + column] =
				n ? (uint8_t)(1 + n * 8 % (COLOURS - 1)) : 0;
		}
	}
}

/* Compresses straight into the mailbox. */
static bool png_write(const struct view *v, size_t *ret_bytes, char *message, size_t room)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)v->width,
		.height = (png_uint_32)v->height,
		.format = PNG_FORMAT_RGB_COLORMAP,
		.colormap_entries = COLOURS,
	};
	png_alloc_size_t bytes = quark_response_max();
	bool ok = png_image_write_to_memory(&image, quark_response_buffer(), &bytes, 0, pixels, 0,
					    colours);

	if (!ok)
		(void)snprintf(message, room, "cannot write the PNG: %s", image.message);
	*ret_bytes = bytes;
	return ok;
}

static const char *view_check(const struct view *v)
{
	if (v->width < 1 || v->width > SIDE_MAX || v->height < 1 || v->height > SIDE_MAX)
		return "width and height go from 1 to 1024";
	if (v->width * v->height > PIXELS_MAX)
		return "width times height goes to 262144";
	if (v->iterations < 1 || v->iterations > ITERATIONS_MAX)
		return "iterations goes from 1 to 10000";
	if (!(v->scale >= 1e-12 && v->scale <= 10))
		return "scale goes from 1e-12 to 10";
	if (!(v->x >= -10 && v->x <= 10 && v->y >= -10 && v->y <= 10))
		return "x and y go from -10 to 10";
	return NULL;
}

static bool view_read(const void *text, size_t bytes, struct view *ret_view, char *message,
		      size_t room)
{
	json_error_t error;
	const char *complaint;
	json_t *root;
	int r;

	*ret_view = default_view;
	if (bytes == 0)
		return true;
	root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		(void)snprintf(message, room, "the request is not JSON: %s", error.text);
		return false;
	}
	r = json_unpack_ex(root, &error, JSON_STRICT, "{s?i, s?i, s?i, s?F, s?F, s?F}", "width",
			   &ret_view->width, "height", &ret_view->height, "iterations",
			   &ret_view->iterations, "x", &ret_view->x, "y", &ret_view->y, "scale",
			   &ret_view->scale);
	json_decref(root);
	if (r < 0) {
		(void)snprintf(message, room, "the request is not as it should be: %s", error.text);
		return false;
	}
	complaint = view_check(ret_view);
	if (complaint)
		(void)snprintf(message, room, "%s", complaint);
	return !complaint;
}

/* One picture before the snapshot: all code and memory of the usual request is there afterwards.
 * The heap keeps what it has, so that no request asks the kernel for memory. */
static void warm_up(void)
{
	static const char text[] = "{\"width\": 64, \"x\": -0.6}";
	char message[200];
	struct view view;
	size_t bytes;

	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	colours_make();
	if (view_read(text, sizeof(text) - 1, &view, message, sizeof(message))) {
		render(&view);
		(void)png_write(&view, &bytes, message, sizeof(message));
	}
}

int main(void)
{
	struct quark_request request;

	warm_up();
	while (quark_next(&request) == 0) {
		char message[200];
		struct view view;
		size_t bytes;
		int r;

		if (!view_read(request.data, request.bytes, &view, message, sizeof(message))) {
			r = quark_fail(message);
		} else {
			render(&view);
			r = png_write(&view, &bytes, message, sizeof(message))
				    ? quark_respond(quark_response_buffer(), bytes)
				    : quark_fail(message);
		}
		if (r < 0)
			return 1;
	}
	return 1;
}
