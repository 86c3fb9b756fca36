/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.json, the record of an image in the store: what lasts of struct image. The name is not in
 * it, for names move.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "config_fields.h"
#include "json_read.h"

enum { RECORD_VERSION = 1, GROUPS_MAX = 65536 };

static const struct {
	const char *name;
	size_t offset;
} numbers[] = {
	{ "root_bytes", offsetof(struct image, root_bytes) },
	{ "unpacked_bytes", offsetof(struct image, unpacked_bytes) },
	{ "imported_s", offsetof(struct image, imported_s) },
};

static bool add_number(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return cJSON_AddRawToObject(object, name, text) != NULL;
}

static bool add_groups(cJSON *root, const struct image *image)
{
	cJSON *array = cJSON_AddArrayToObject(root, "groups");

	for (size_t i = 0; array && i < image->group_count; i++)
		if (!cJSON_AddItemToArray(array, cJSON_CreateNumber(image->groups[i])))
			return false;
	return array != NULL;
}

static bool encode(const struct image *image, cJSON *root)
{
	char digest[33];
	bool done = add_number(root, "version", RECORD_VERSION) &&
		    cJSON_AddStringToObject(root, "id", image->id);

	(void)snprintf(digest, sizeof(digest), "%016" PRIx64 "%016" PRIx64, image->root_digest[1],
		       image->root_digest[0]);
	done = done && cJSON_AddStringToObject(root, "root_digest", digest);
	for (size_t i = 0; done && i < ARRAY_SIZE(numbers); i++)
		done = add_number(root, numbers[i].name,
				  *(const uint64_t *)(const void *)((const char *)image +
								    numbers[i].offset));
	return done && add_number(root, "uid", image->uid) && add_number(root, "gid", image->gid) &&
	       add_groups(root, image) &&
	       config_fields_encode(image, cJSON_AddObjectToObject(root, "config"));
}

int image_json_encode(const struct image *image, char **ret_text, struct err *err)
{
	cleanup_json cJSON *root = cJSON_CreateObject();
	char *text = root && encode(image, root) ? cJSON_Print(root) : NULL;

	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_text = text;
	return 0;
}

static int decode_digest(const cJSON *root, struct image *image, struct err *err)
{
	char text[33] = "", half[17] = "";
	int r = json_read_text_into(root, "root_digest", text, sizeof(text), err);

	if (r < 0)
		return r;
	if (strspn(text, "0123456789abcdef") != 32)
		return err_set(err, -EBADMSG, "malformed \"root_digest\"");
	memcpy(half, text, 16);
	image->root_digest[1] = strtoull(half, NULL, 16);
	image->root_digest[0] = strtoull(text + 16, NULL, 16);
	return 0;
}

static int decode_ids(const cJSON *root, struct image *image, struct err *err)
{
	const cJSON *array = NULL, *item;
	uint64_t uid = 0, gid = 0;
	int r = json_read_number(root, "uid", 0, &uid, err);

	if (r == 0)
		r = json_read_number(root, "gid", 0, &gid, err);
	if (r == 0)
		r = json_read_array(root, "groups", GROUPS_MAX, &array, err);
	if (r < 0)
		return r;
	image->groups = calloc((array ? (size_t)cJSON_GetArraySize(array) : 0) + 1,
			       sizeof(*image->groups));
	if (!image->groups)
		return err_set(err, -ENOMEM, "out of memory");
	cJSON_ArrayForEach(item, array) {
		if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
		    item->valuedouble > INT32_MAX)
			return err_set(err, -EBADMSG, "malformed \"groups\"");
		image->groups[image->group_count++] = (uint32_t)item->valuedouble;
	}
	if (uid > INT32_MAX || gid > INT32_MAX)
		return err_set(err, -EBADMSG, "malformed \"uid\" or \"gid\"");
	image->uid = (uint32_t)uid;
	image->gid = (uint32_t)gid;
	return 0;
}

static int decode(const cJSON *root, struct image *image, struct err *err)
{
	const cJSON *config = NULL;
	uint64_t version = 0;
	int r = json_read_number(root, "version", 0, &version, err);

	if (r == 0 && version != RECORD_VERSION)
		r = err_set(err, -EBADMSG, "version %" PRIu64 " is not known", version);
	if (r == 0)
		r = json_read_text_into(root, "id", image->id, sizeof(image->id), err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(numbers); i++)
		r = json_read_number(root, numbers[i].name, 0,
				     (uint64_t *)(void *)((char *)image + numbers[i].offset), err);
	if (r == 0)
		r = decode_digest(root, image, err);
	if (r == 0)
		r = decode_ids(root, image, err);
	if (r == 0)
		r = json_read_object(root, "config", &config, err);
	return r < 0 ? r : config_fields_decode(config, image, err);
}

int image_json_decode(const char *text, size_t bytes, const char *folder, struct image **ret_image,
		      struct err *err)
{
	cleanup_image struct image *image = image_new();
	cleanup_json cJSON *root = NULL;
	int r;

	if (!image)
		return err_set(err, -ENOMEM, "out of memory");
	r = json_read(text, bytes, RECORD_FILE, &root, err);
	if (r == 0)
		r = decode(root, image, err);
	if (r < 0)
		return r;
	if (asprintf(&image->root_path, "%s/" ROOT_FILE, folder) < 0) {
		image->root_path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret_image = TAKE_PTR(image);
	return 0;
}
