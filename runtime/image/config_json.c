/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image's configuration: image-spec's config.md.
 */
#include <errno.h>

#include "config_fields.h"
#include "json_read.h"

static int check_platform(const cJSON *root, struct err *err)
{
	const char *os = NULL, *architecture = NULL;
	int r = json_read_text(root, "os", &os, err);

	if (r == 0)
		r = json_read_text(root, "architecture", &architecture, err);
	if (r < 0)
		return r;
	if (!os || !architecture)
		return err_set(err, -EBADMSG, "the configuration names no system or architecture");
	if (strcmp(os, "linux") != 0 || strcmp(architecture, "amd64") != 0)
		return err_set(err, -EBADMSG, "the image is for %s/%s, not linux/amd64", SHOWN(os),
			       SHOWN(architecture));
	return 0;
}

static int decode_diff_ids(const cJSON *root, struct diff_ids *ids, struct err *err)
{
	const cJSON *rootfs = NULL, *array = NULL, *item;
	const char *type = NULL;
	int r = json_read_object(root, "rootfs", &rootfs, err);

	if (r == 0)
		r = json_read_text(rootfs, "type", &type, err);
	if (r == 0)
		r = json_read_array(rootfs, "diff_ids", LAYERS_MAX, &array, err);
	if (r < 0)
		return r;
	if (!rootfs || !type || strcmp(type, "layers") != 0)
		return err_set(err, -EBADMSG, "the configuration has no \"rootfs\" of layers");
	ids->items = calloc((array ? (size_t)cJSON_GetArraySize(array) : 0) + 1,
			    sizeof(*ids->items));
	if (!ids->items)
		return err_set(err, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(item, array) {
		if (!cJSON_IsString(item))
			return err_set(err, -EBADMSG, "\"diff_ids\" holds something that is not a "
						      "string");
		r = digest_parse(item->valuestring, &ids->items[ids->count++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_decode(const char *text, size_t bytes, struct image *image, struct diff_ids *ret_ids,
		  struct err *err)
{
	cleanup_diff_ids struct diff_ids ids = { 0 };
	cleanup_json cJSON *root = NULL;
	const cJSON *config = NULL;
	int r = json_read(text, bytes, "the configuration", &root, err);

	if (r == 0)
		r = check_platform(root, err);
	if (r == 0)
		r = decode_diff_ids(root, &ids, err);
	if (r == 0)
		r = json_read_object(root, "config", &config, err);
	if (r == 0)
		r = config_fields_decode(config, image, err);
	if (r < 0)
		return r;
	*ret_ids = ids;
	ids.items = NULL;
	return 0;
}
