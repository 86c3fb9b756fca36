/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of an image's "config" object, by a table.
 */
#include "config_fields.h"

#include <errno.h>

#include "json_read.h"

enum field_kind {
	FIELD_TEXT,
	FIELD_STRINGS,
	FIELD_NAMES,   /* an object's names; its values are empty objects */
	FIELD_MEMBERS, /* an object's names and values */
};

static const struct field {
	const char *name;
	enum field_kind kind;
	size_t offset, values_offset;
} fields[] = {
	{ "Entrypoint", FIELD_STRINGS, offsetof(struct image, entrypoint), 0 },
	{ "Cmd", FIELD_STRINGS, offsetof(struct image, cmd), 0 },
	{ "Env", FIELD_STRINGS, offsetof(struct image, env), 0 },
	{ "WorkingDir", FIELD_TEXT, offsetof(struct image, working_dir), 0 },
	{ "User", FIELD_TEXT, offsetof(struct image, user_name), 0 },
	{ "StopSignal", FIELD_TEXT, offsetof(struct image, stop_signal), 0 },
	{ "ExposedPorts", FIELD_NAMES, offsetof(struct image, exposed_ports), 0 },
	{ "Labels", FIELD_MEMBERS, offsetof(struct image, label_names),
	  offsetof(struct image, label_values) },
};

static void *at(const struct image *image, size_t offset)
{
	return (char *)(uintptr_t)image + offset;
}

static int decode_text(const cJSON *config, const struct field *field, struct image *image,
		       struct err *err)
{
	char **to = at(image, field->offset);
	const char *text = NULL;
	char *copy;
	int r = json_read_text(config, field->name, &text, err);

	if (r < 0 || !text)
		return r;
	copy = strdup(text);
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	free(*to);
	*to = copy;
	return 0;
}

static int decode_field(const cJSON *config, const struct field *field, struct image *image,
			struct err *err)
{
	switch (field->kind) {
	case FIELD_TEXT:
		return decode_text(config, field, image, err);
	case FIELD_STRINGS:
		return json_read_strings(config, field->name, at(image, field->offset), err);
	case FIELD_NAMES:
		return json_read_members(config, field->name, at(image, field->offset), NULL, err);
	case FIELD_MEMBERS:
		return json_read_members(config, field->name, at(image, field->offset),
					 at(image, field->values_offset), err);
	}
	return 0;
}

/* Docker takes a relative one, and none, as below the root. */
static int make_absolute(struct image *image, struct err *err)
{
	char *path = NULL;

	if (image->working_dir[0] == '/')
		return 0;
	path = malloc(strlen(image->working_dir) + 2);
	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	*path = '/';
	memcpy(path + 1, image->working_dir, strlen(image->working_dir) + 1);
	free(image->working_dir);
	image->working_dir = path;
	return 0;
}

int config_fields_decode(const cJSON *config, struct image *image, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++)
		r = decode_field(config, &fields[i], image, err);
	if (r == 0 && image->stop_signal && !*image->stop_signal) {
		free(image->stop_signal);
		image->stop_signal = NULL;
	}
	return r < 0 ? r : make_absolute(image, err);
}

static bool encode_members(cJSON *object, char *const *names, char *const *values)
{
	for (size_t i = 0; object && names[i]; i++)
		if (!(values ? cJSON_AddStringToObject(object, names[i], values[i])
			     : cJSON_AddObjectToObject(object, names[i])))
			return false;
	return object != NULL;
}

static bool encode_strings(cJSON *array, char *const *strings)
{
	for (size_t i = 0; array && strings[i]; i++)
		if (!cJSON_AddItemToArray(array, cJSON_CreateString(strings[i])))
			return false;
	return array != NULL;
}

bool config_fields_encode(const struct image *image, cJSON *config)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *field = &fields[i];
		void *value = *(void **)at(image, field->offset);
		bool done = true;

		if (field->kind == FIELD_TEXT)
			done = !value || cJSON_AddStringToObject(config, field->name, value);
		else if (field->kind == FIELD_STRINGS)
			done = encode_strings(cJSON_AddArrayToObject(config, field->name), value);
		else
			done = encode_members(cJSON_AddObjectToObject(config, field->name), value,
					      field->kind == FIELD_NAMES
						      ? NULL
						      : *(char ***)at(image,
								      field->values_offset));
		if (!done)
			return false;
	}
	return true;
}
