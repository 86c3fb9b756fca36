/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: the text, the top level, hooks, and the spec's life.
 */
#include "spec/spec.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "spec/arena.h"
#include "spec/spec_priv.h"
#include "text.h"

static void cleanup_spec_p(struct oci_spec **spec)
{
	*spec = spec_free(*spec);
}
#define cleanup_spec __attribute__((cleanup(cleanup_spec_p)))

/* --- hooks ----------------------------------------------------------------------------------- */

static const struct json_field hook_fields[] = {
	{ JSON_MEMBER("path", struct oci_hook, path, json_path), .required = true },
	{ JSON_LIST("args", struct oci_hook, args.items, args.count, json_text_element) },
	{ JSON_LIST("env", struct oci_hook, env.items, env.count, json_text_element) },
	{ JSON_MEMBER("timeout", struct oci_hook, timeout, json_number),
	  .least = 1,
	  .most = INT32_MAX },
};
static const struct json_table hook_table = JSON_TABLE(hook_fields);
static const struct json_field hook_element = { .decode = json_object, .table = &hook_table };

#define HOOKS(key, point)                                                                      \
	{ JSON_LIST(key, struct oci_spec, hooks[point].items, hooks[point].count, hook_element), \
	  .most_items = 1024 }

static const struct json_field hooks_fields[] = {
	HOOKS("prestart", OCI_HOOK_PRESTART),
	HOOKS("createRuntime", OCI_HOOK_CREATE_RUNTIME),
	HOOKS("createContainer", OCI_HOOK_CREATE_CONTAINER),
	HOOKS("startContainer", OCI_HOOK_START_CONTAINER),
	HOOKS("poststart", OCI_HOOK_POSTSTART),
	HOOKS("poststop", OCI_HOOK_POSTSTOP),
};
const struct json_table hooks_table = JSON_TABLE(hooks_fields);

/* --- the top level --------------------------------------------------------------------------- */

static int decode_version(const struct json_value *value, const struct json_field *field, void *to)
{
	const char *version = NULL;
	int r = json_string(value, field, &version);

	if (r < 0)
		return r;
	if (strncmp(version, "1.", 2) != 0 || version[2] < '0' || version[2] > '9')
		return json_fail(value, "'%.60s' is not a version 1.x", version);
	*(const char **)to = version;
	return 0;
}

enum { UTS_NAME_MAX = 64, ROOT_PATH_MAX = 4095 };

static const struct json_field root_fields[] = {
	{ JSON_MEMBER("path", struct oci_spec, root_path, json_string),
	  .required = true,
	  .most_bytes = ROOT_PATH_MAX },
	{ JSON_MEMBER("readonly", struct oci_spec, root_readonly, json_boolean) },
};
static const struct json_table root_table = JSON_TABLE(root_fields);

static const struct json_field config_fields[] = {
	{ JSON_MEMBER("ociVersion", struct oci_spec, version, decode_version), .required = true },
	{ .name = "root", .decode = json_object, .required = true, .table = &root_table },
	{ JSON_MEMBER("process", struct oci_spec, process, decode_process) },
	{ JSON_LIST("mounts", struct oci_spec, mounts, mount_count, mount_element) },
	{ JSON_MEMBER("hostname", struct oci_spec, hostname, json_string),
	  .most_bytes = UTS_NAME_MAX },
	{ JSON_MEMBER("domainname", struct oci_spec, domainname, json_string),
	  .most_bytes = UTS_NAME_MAX },
	{ JSON_MEMBER("annotations", struct oci_spec, annotations, json_pairs) },
	{ .name = "hooks", .decode = json_object, .table = &hooks_table },
	{ JSON_MEMBER("linux", struct oci_spec, linux, json_object), .table = &linux_table },
};
static const struct json_table config_table = JSON_TABLE(config_fields);

/* --- the text -------------------------------------------------------------------------------- */

/* cJSON's strings end at a NUL, so one within a string, raw or escaped, would silently cut a path
 * or an argument. A backslash begins an escape wherever JSON allows one. */
static int check_nul(const char *json, size_t bytes, struct err *err)
{
	const char *at = json, *end = json + bytes;

	if (memchr(json, 0, bytes))
		return err_set(err, -EINVAL, "config: a NUL character in the text");
	while ((at = memchr(at, '\\', (size_t)(end - at)))) {
		if (end - at >= 6 && memcmp(at + 1, "u0000", 5) == 0)
			return err_set(err, -EINVAL, "config: a NUL character in a string");
		at += end - at >= 2 ? 2 : 1;
	}
	return 0;
}

static int parse_json(cJSON **ret_document, const char *json, size_t bytes, struct err *err)
{
	const char *end = json;
	cJSON *document = NULL;
	int r;

	if (bytes > SPEC_MAX_BYTES)
		return err_set(err, -EINVAL, "config: larger than %d bytes", SPEC_MAX_BYTES);
	if (bytes == 0)
		return err_set(err, -EINVAL, "config: empty");
	r = check_nul(json, bytes, err);
	if (r < 0)
		return r;
	document = cJSON_ParseWithLengthOpts(json, bytes, &end, false);
	if (!document)
		return err_set(err, -EINVAL, "config: not JSON at byte %td", end - json);
	while (end < json + bytes && (unsigned char)*end <= ' ')
		end++;
	if (end < json + bytes) {
		cJSON_Delete(document);
		return err_set(err, -EINVAL, "config: something follows the JSON at byte %td",
			       end - json);
	}
	*ret_document = document;
	return 0;
}

/* Messages quote the config, which may hold anything; they go to terminals, logs and JSON. */
static void clean_message(struct err *err)
{
	size_t n;

	if (!err)
		return;
	n = text_clean(err->message, err->message, strlen(err->message));
	err->message[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (err->message[i] == '\n' || err->message[i] == '\t')
			err->message[i] = '?';
}

static struct oci_spec *spec_new(void)
{
	struct oci_arena *arena = arena_new();
	struct oci_spec *spec = arena ? arena_alloc(arena, sizeof(*spec)) : NULL;

	if (!spec) {
		arena_free(arena);
		return NULL;
	}
	spec->arena = arena;
	return spec;
}

/* What a text can be: a whole config, or an object of one. */
struct document_kind {
	const char *name; /* what paths in messages begin with; NULL: nothing */
	json_decode_fn *decode;
	struct json_field field; /* offset in the spec, and the table */
};

static int decode_config(const struct json_value *value, const struct json_field *field, void *to)
{
	int r = json_members(value, field->table, to);

	return r < 0 ? r : check_linux(value, to);
}

static int decode_document(struct oci_spec *spec, const struct document_kind *kind,
			   const char *json, size_t bytes, struct err *err)
{
	struct json_reader reader = {
		.arena = spec->arena, .err = err, .text = json, .bytes = bytes
	};
	struct json_value root = { .reader = &reader, .name = kind->name };
	cJSON *document = NULL;
	int r = parse_json(&document, json, bytes, err);

	if (r < 0)
		return r;
	arena_own(spec->arena, document);
	root.item = document;
	return kind->decode(&root, &kind->field, (char *)spec + kind->field.offset);
}

static int parse(struct oci_spec **ret_spec, const struct document_kind *kind, const char *json,
		 size_t bytes, struct err *err)
{
	cleanup_spec struct oci_spec *spec = spec_new();
	int r;

	if (!spec)
		return err_set(err, -ENOMEM, "out of memory");
	r = decode_document(spec, kind, json, bytes, err);
	if (r < 0) {
		clean_message(err);
		return r;
	}
	*ret_spec = TAKE_PTR(spec);
	return 0;
}

/* --- public ---------------------------------------------------------------------------------- */

int spec_parse(struct oci_spec **ret_spec, const char *json, size_t bytes, struct err *err)
{
	static const struct document_kind config = { .decode = decode_config,
						     .field = { .table = &config_table } };

	return parse(ret_spec, &config, json, bytes, err);
}

int spec_parse_process(struct oci_spec **ret_spec, const char *json, size_t bytes, struct err *err)
{
	static const struct document_kind process = {
		.name = "process",
		.decode = decode_process,
		.field = { .offset = offsetof(struct oci_spec, process) },
	};

	return parse(ret_spec, &process, json, bytes, err);
}

int spec_parse_resources(struct oci_spec **ret_spec, const char *json, size_t bytes,
			 struct err *err)
{
	static const struct document_kind resources = {
		.name = "linux.resources",
		.decode = json_object,
		.field = { .offset = offsetof(struct oci_spec, linux.resources),
			   .table = &resources_table },
	};

	return parse(ret_spec, &resources, json, bytes, err);
}

int spec_load(struct oci_spec **ret_spec, const char *path, struct err *err)
{
	cleanup_free uint8_t *text = NULL;
	size_t bytes = 0;
	int r = file_read(path, SPEC_MAX_BYTES, &text, &bytes, err);

	if (r < 0)
		return r;
	return spec_parse(ret_spec, (const char *)text, bytes, err);
}

struct oci_spec *spec_free(struct oci_spec *spec)
{
	/* The spec lies in its own arena. */
	if (spec)
		(void)arena_free(spec->arena);
	return NULL;
}

void *spec_alloc(struct oci_spec *spec, size_t bytes)
{
	return arena_alloc(spec->arena, bytes);
}
