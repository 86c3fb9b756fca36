/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json: what a template is, and the digests of the files it consists of.
 *
 * The only place that knows JSON. The members of version 2 are the rows of one table; reader and
 * writer walk it. The text ends in a checksum member of fixed size over all bytes before it, so
 * that damage is told apart from another version, and no flipped bit passes.
 *
 * Pure functions; any thread.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "snapshot_priv.h"

#define CHECKSUM_NAME "checksum"
#define CHECKSUM_HEAD "\"" CHECKSUM_NAME "\":\t\"xxh3-64:"
#define CHECKSUM_TAIL "\"\n}\n"
#define DIGEST_HEAD "xxh3-128:"
#define NUMBER_MAX 9007199254740992.0 /* 2^53: beyond it a double skips integers */

enum {
	CHECKSUM_DIGITS = 16,
	DIGEST_DIGITS = 32,
	TAIL_BYTES = sizeof(CHECKSUM_HEAD) - 1 + CHECKSUM_DIGITS + sizeof(CHECKSUM_TAIL) - 1,
};

enum member_kind { TEXT, U32, U64, U64_TEXT, CPU_TEMPLATE, FILE_ENTRY, EXTENTS };

struct member {
	const char *name;
	enum member_kind kind;
	bool optional; /* left out when the file entry at `presence` is empty */
	size_t offset; /* in struct manifest */
	size_t bytes;
	size_t presence;
};

#define MEMBER(text, field, of_kind)                                                            \
	{.name = (text), .kind = (of_kind), .offset = offsetof(struct manifest, field),         \
	 .bytes = sizeof(((struct manifest *)0)->field)}

#define OPTIONAL(text, field, of_kind, of_file)                                                 \
	{.name = (text), .kind = (of_kind), .optional = true,                                   \
	 .offset = offsetof(struct manifest, field),                                            \
	 .bytes = sizeof(((struct manifest *)0)->field),                                        \
	 .presence = offsetof(struct manifest, of_file)}

/* In the order of the file. */
static const struct member members[] = {
	MEMBER("format_version", format_version, U32),
	MEMBER("function", function, TEXT),
	MEMBER("created", created, TEXT),
	MEMBER("tool", tool, TEXT),
	MEMBER("kernel", kernel, TEXT),
	MEMBER("cmdline", cmdline, TEXT),
	MEMBER("cpu_template", cpu_template, CPU_TEMPLATE),
	MEMBER("vcpus", vcpus, U32),
	MEMBER("memory_bytes", memory_bytes, U64),
	MEMBER("mailbox_gpa", mailbox_gpa, U64),
	MEMBER("realtime_ns", realtime_ns, U64_TEXT),
	MEMBER("nonzero_pages", nonzero_pages, U64),
	MEMBER("inputs", inputs, TEXT),
	MEMBER("wake", wake, TEXT),
	MEMBER("state", state, FILE_ENTRY),
	MEMBER("memory", memory, FILE_ENTRY),
	OPTIONAL("working_set", working_set, FILE_ENTRY, working_set),
	OPTIONAL("base", base, FILE_ENTRY, base),
	OPTIONAL("extents", extents, EXTENTS, base),
	OPTIONAL("image", image, FILE_ENTRY, image),
};

/* A base has no function, and nobody to wake. */
static const char *const wake_names[] = {"", "run0", "direct"};

static const char *const cpu_template_names[] = {
	[CPU_TEMPLATE_PORTABLE] = "portable",
	[CPU_TEMPLATE_HOST] = "host",
};

/* --- values of the struct -------------------------------------------------------------------- */

/* Texts are shown to people, on terminals: no control characters. */
static bool text_is_valid(const char *text, size_t cap)
{
	size_t n = strnlen(text, cap);

	if (n == cap)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

bool file_name_is_plain(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-";
	size_t n = strspn(name, plain);

	return n > 0 && n < SNAPSHOT_NAME_MAX && !name[n] && name[0] != '.';
}

static int file_check(const struct snapshot_file *file, const char *what, uint64_t min_bytes,
		      uint64_t max_bytes, struct err *err)
{
	if (!file_name_is_plain(file->name))
		return err_set(err, -EBADMSG, "'%s' has no plain file name", what);
	if (file->bytes < min_bytes || file->bytes > max_bytes)
		return err_set(err, -EBADMSG, "'%s' cannot have %" PRIu64 " bytes", what,
			       file->bytes);
	return 0;
}

static int texts_check(const struct manifest *manifest, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *text = (const char *)manifest + members[i].offset;

		if (members[i].kind == TEXT && !text_is_valid(text, members[i].bytes))
			return err_set(err, -EBADMSG, "'%s' is not a line of text",
				       members[i].name);
	}
	return 0;
}

static int wake_check(const struct manifest *manifest, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(wake_names); i++)
		if (strcmp(manifest->wake, wake_names[i]) == 0)
			return 0;
	return err_set(err, -EBADMSG, "'wake' is neither run0 nor direct");
}

bool image_bytes_are_valid(uint64_t bytes)
{
	return bytes > 0 && bytes <= GUEST_IMAGE_MAX_BYTES && bytes % GUEST_IMAGE_ALIGN_BYTES == 0;
}

static int files_check(const struct manifest *manifest, struct err *err)
{
	const uint64_t memory_bytes = manifest->memory_bytes;
	const struct {
		const struct snapshot_file *file;
		const char *name;
		bool optional;
		uint64_t min_bytes, max_bytes;
	} files[] = {
		{&manifest->state, "state", false, 1, SNAPSHOT_STATE_MAX_BYTES},
		{&manifest->memory, "memory", false, memory_bytes, memory_bytes},
		{&manifest->working_set, "working_set", true, 1, WORKING_SET_FILE_MAX_BYTES},
		{&manifest->base, "base", true, memory_bytes, memory_bytes},
		{&manifest->image, "image", true, GUEST_IMAGE_ALIGN_BYTES, GUEST_IMAGE_MAX_BYTES},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = files[i].optional && !files[i].file->name[0] ?
				0 :
				file_check(files[i].file, files[i].name, files[i].min_bytes,
					   files[i].max_bytes, err);

		if (r < 0)
			return r;
	}
	if (manifest->image.name[0] && !image_bytes_are_valid(manifest->image.bytes))
		return err_set(err, -EBADMSG, "'image' cannot have %" PRIu64 " bytes",
			       manifest->image.bytes);
	return 0;
}

/* Two entries of one name would be one file that is removed or replaced for the other's sake. */
static int names_check(const struct manifest *manifest, struct err *err)
{
	const char *const names[] = {manifest->state.name, manifest->memory.name,
				     manifest->working_set.name, manifest->base.name,
				     manifest->image.name};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (size_t j = 0; j < i; j++)
			if (names[i][0] && strcmp(names[i], names[j]) == 0)
				return err_set(err, -EBADMSG, "two files have one name, '%s'",
					       names[i]);
	return 0;
}

static int layers_check(const struct manifest *manifest, struct err *err)
{
	if (manifest->extent_count && !manifest->base.name[0])
		return err_set(err, -EBADMSG, "there are extents, but no base");
	return extents_check(manifest->extents, manifest->extent_count, manifest->memory_bytes,
			     err);
}

/* Version 1 had one whole memory layer; there is nothing in it that could be taken over. */
static int version_refuse(uint64_t version, struct err *err)
{
	return err_set(err, -EPROTONOSUPPORT,
		       "format version %" PRIu64 ", this program reads version %u%s", version,
		       SNAPSHOT_FORMAT_VERSION,
		       version < SNAPSHOT_FORMAT_VERSION ? ": build the template again" : "");
}

/* What holds for every manifest, read or written. */
static int manifest_check(const struct manifest *manifest, struct err *err)
{
	const struct shape shape = {
		.memory_bytes = manifest->memory_bytes,
		.mailbox_gpa = manifest->mailbox_gpa,
		.vcpus = manifest->vcpus,
		.cpu_template = manifest->cpu_template,
	};
	int r;

	if (manifest->format_version != SNAPSHOT_FORMAT_VERSION)
		return version_refuse(manifest->format_version, err);
	r = texts_check(manifest, err);
	if (r == 0)
		r = shape_check(&shape, err);
	if (r == 0)
		r = wake_check(manifest, err);
	if (r == 0)
		r = files_check(manifest, err);
	if (r == 0)
		r = names_check(manifest, err);
	if (r == 0)
		r = layers_check(manifest, err);
	if (r == 0 && manifest->nonzero_pages > manifest->memory_bytes / GUEST_PAGE_BYTES)
		r = err_set(err, -EBADMSG, "more non-zero pages than memory");
	return r;
}

/* --- writing --------------------------------------------------------------------------------- */

static void cleanup_json_p(cJSON **json)
{
	cJSON_Delete(*json);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_p)))

static cJSON *file_put(cJSON *json, const char *name, const struct snapshot_file *file)
{
	char digest[sizeof(DIGEST_HEAD) + DIGEST_DIGITS];
	cJSON *entry = cJSON_AddObjectToObject(json, name);

	(void)snprintf(digest, sizeof(digest), DIGEST_HEAD "%016" PRIx64 "%016" PRIx64,
		       file->digest[1], file->digest[0]);
	if (!entry || !cJSON_AddStringToObject(entry, "name", file->name) ||
	    !cJSON_AddNumberToObject(entry, "bytes", (double)file->bytes) ||
	    !cJSON_AddStringToObject(entry, "digest", digest))
		return NULL;
	return entry;
}

static cJSON *u64_text_put(cJSON *json, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return cJSON_AddStringToObject(json, name, text);
}

static uint64_t uint_at(const void *at, size_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

/* One array of two numbers for each. */
static cJSON *extents_put(cJSON *json, const struct manifest *manifest)
{
	cJSON *array = cJSON_AddArrayToObject(json, "extents");

	for (uint32_t i = 0; array && i < manifest->extent_count; i++) {
		const double place[] = {(double)manifest->extents[i].offset,
					(double)manifest->extents[i].bytes};
		cJSON *pair = cJSON_CreateDoubleArray(place, ARRAY_SIZE(place));

		if (!pair)
			return NULL;
		(void)cJSON_AddItemToArray(array, pair);
	}
	return array;
}

static cJSON *member_put(cJSON *json, const struct member *member, const struct manifest *manifest)
{
	const void *at = (const char *)manifest + member->offset;

	switch (member->kind) {
	case TEXT:
		return cJSON_AddStringToObject(json, member->name, at);
	case U32:
	case U64:
		return cJSON_AddNumberToObject(json, member->name,
					       (double)uint_at(at, member->bytes));
	case U64_TEXT:
		return u64_text_put(json, member->name, uint_at(at, member->bytes));
	case CPU_TEMPLATE:
		return cJSON_AddStringToObject(json, member->name,
					       cpu_template_names[uint_at(at, member->bytes)]);
	case FILE_ENTRY:
		return file_put(json, member->name, at);
	case EXTENTS:
		return extents_put(json, manifest);
	}
	return NULL;
}

/* Whether an optional member is there, by the file that it belongs to. */
static bool member_is_absent(const struct member *member, const struct manifest *manifest)
{
	return member->optional && !*((const char *)manifest + member->presence +
				      offsetof(struct snapshot_file, name));
}

/* Replaces the end of the printed object, "\n}", by the checksum member. */
static int text_seal(const char *printed, char **ret_text, size_t *ret_bytes, struct err *err)
{
	size_t n = strlen(printed) - 2, bytes;
	cleanup_free char *text = NULL;

	bytes = n + strlen(",\n\t") + TAIL_BYTES;
	if (bytes > SNAPSHOT_MANIFEST_MAX_BYTES)
		return err_set(err, -EFBIG, "cannot encode manifest: it is too large");
	text = malloc(bytes + 1);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	(void)snprintf(text, bytes + 1, "%.*s,\n\t", (int)n, printed);
	n += strlen(",\n\t");
	(void)snprintf(text + n, bytes + 1 - n, CHECKSUM_HEAD "%016" PRIx64 CHECKSUM_TAIL,
		       checksum64(text, n));
	*ret_text = TAKE_PTR(text);
	*ret_bytes = bytes;
	return 0;
}

int manifest_encode(const struct manifest *manifest, char **ret_text, size_t *ret_bytes,
		    struct err *err)
{
	cleanup_json cJSON *json = NULL;
	cleanup_free char *printed = NULL;
	int r;

	r = manifest_check(manifest, err);
	if (r < 0)
		return err_prefix(err, -EINVAL, "cannot encode manifest");
	json = cJSON_CreateObject();
	if (!json)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (member_is_absent(&members[i], manifest))
			continue;
		if (!member_put(json, &members[i], manifest))
			return err_set(err, -ENOMEM, "out of memory");
	}
	printed = cJSON_Print(json);
	if (!printed)
		return err_set(err, -ENOMEM, "out of memory");
	return text_seal(printed, ret_text, ret_bytes, err);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Exactly `digits` lower-case hexadecimal digits. */
static bool hex_get(const char *text, size_t digits, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < digits; i++) {
		static const char hex[] = "0123456789abcdef";
		const char *digit = text[i] ? strchr(hex, text[i]) : NULL;

		if (!digit)
			return false;
		value = value << 4 | (uint64_t)(digit - hex);
	}
	*ret_value = value;
	return true;
}

static bool number_get(const cJSON *item, double max, uint64_t *ret_value)
{
	double value = item->valuedouble;

	if (!cJSON_IsNumber(item) || !(value >= 0 && value <= max) ||
	    value != (double)(uint64_t)value)
		return false;
	*ret_value = (uint64_t)value;
	return true;
}

/* Decimal, without sign, leading zeros or space. */
static bool u64_text_get(const cJSON *item, uint64_t *ret_value)
{
	const char *text = cJSON_GetStringValue(item);
	uint64_t value = 0;

	if (!text || !*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	*ret_value = value;
	return true;
}

static bool text_get(const cJSON *item, char *ret_text, size_t cap)
{
	const char *text = cJSON_GetStringValue(item);

	if (!text || strlen(text) >= cap)
		return false;
	memcpy(ret_text, text, strlen(text) + 1);
	return true;
}

static bool cpu_template_get(const cJSON *item, uint64_t *ret_value)
{
	const char *text = cJSON_GetStringValue(item);

	for (size_t i = 0; text && i < ARRAY_SIZE(cpu_template_names); i++)
		if (strcmp(text, cpu_template_names[i]) == 0) {
			*ret_value = i;
			return true;
		}
	return false;
}

static bool digest_get(const cJSON *item, uint64_t ret_digest[2])
{
	const char *text = cJSON_GetStringValue(item);
	const size_t head = sizeof(DIGEST_HEAD) - 1;

	return text && strlen(text) == head + DIGEST_DIGITS &&
	       memcmp(text, DIGEST_HEAD, head) == 0 &&
	       hex_get(text + head, 16, &ret_digest[1]) &&
	       hex_get(text + head + 16, 16, &ret_digest[0]);
}

static bool file_get(const cJSON *item, struct snapshot_file *ret_file)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
	const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(item, "bytes");
	const cJSON *digest = cJSON_GetObjectItemCaseSensitive(item, "digest");

	return cJSON_IsObject(item) && cJSON_GetArraySize(item) == 3 && name && bytes && digest &&
	       text_get(name, ret_file->name, sizeof(ret_file->name)) && ret_file->name[0] &&
	       number_get(bytes, NUMBER_MAX, &ret_file->bytes) &&
	       digest_get(digest, ret_file->digest);
}

static bool extent_get(const cJSON *pair, struct snapshot_extent *ret_extent)
{
	const cJSON *offset = cJSON_GetArrayItem(pair, 0), *bytes = cJSON_GetArrayItem(pair, 1);

	return cJSON_IsArray(pair) && cJSON_GetArraySize(pair) == 2 &&
	       number_get(offset, NUMBER_MAX, &ret_extent->offset) &&
	       number_get(bytes, NUMBER_MAX, &ret_extent->bytes);
}

static bool extents_get(const cJSON *array, struct manifest *manifest)
{
	const cJSON *pair;

	if (!cJSON_IsArray(array))
		return false;
	cJSON_ArrayForEach(pair, array) {
		if (manifest->extent_count == SNAPSHOT_EXTENTS_MAX ||
		    !extent_get(pair, &manifest->extents[manifest->extent_count]))
			return false;
		manifest->extent_count++;
	}
	return true;
}

static bool member_get(const struct member *member, const cJSON *item, struct manifest *manifest)
{
	void *at = (char *)manifest + member->offset;
	uint64_t value = 0;
	bool ok = false;

	switch (member->kind) {
	case TEXT:
		return text_get(item, at, member->bytes);
	case FILE_ENTRY:
		return file_get(item, at);
	case EXTENTS:
		return extents_get(item, manifest);
	case U32:
		ok = number_get(item, UINT32_MAX, &value);
		break;
	case U64:
		ok = number_get(item, NUMBER_MAX, &value);
		break;
	case U64_TEXT:
		ok = u64_text_get(item, &value);
		break;
	case CPU_TEMPLATE:
		ok = cpu_template_get(item, &value);
		break;
	}
	memcpy(at, &value, member->bytes);
	return ok;
}

/* Checks the end of the text, which is the first thing that a cut or a flip breaks. */
static int tail_check(const char *text, size_t bytes, struct err *err)
{
	const char *tail, *digits;
	uint64_t checksum;

	if (bytes > SNAPSHOT_MANIFEST_MAX_BYTES)
		return err_set(err, -EBADMSG, "larger than %d bytes", SNAPSHOT_MANIFEST_MAX_BYTES);
	if (bytes < TAIL_BYTES)
		return err_set(err, -EBADMSG, "cut off after %zu bytes", bytes);
	tail = text + bytes - TAIL_BYTES;
	digits = tail + sizeof(CHECKSUM_HEAD) - 1;
	if (memcmp(tail, CHECKSUM_HEAD, sizeof(CHECKSUM_HEAD) - 1) != 0 ||
	    !hex_get(digits, CHECKSUM_DIGITS, &checksum) ||
	    memcmp(digits + CHECKSUM_DIGITS, CHECKSUM_TAIL, sizeof(CHECKSUM_TAIL) - 1) != 0)
		return err_set(err, -EBADMSG, "cut off or damaged (no checksum at its end)");
	if (checksum != checksum64(text, bytes - TAIL_BYTES))
		return err_set(err, -EBADMSG, "damaged (checksum differs)");
	return 0;
}

/* The version stands alone, so that a later format is named as such and not as a mistake. */
static int version_check(const cJSON *json, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, members[0].name);
	uint64_t version;

	if (!item || !number_get(item, UINT32_MAX, &version))
		return err_set(err, -EBADMSG, "'%s' is missing or malformed", members[0].name);
	if (version != SNAPSHOT_FORMAT_VERSION)
		return version_refuse(version, err);
	return 0;
}

/* Every member once, and no other. */
static int members_get(const cJSON *json, struct manifest *manifest, struct err *err)
{
	int expected = 1;

	if (!cJSON_HasObjectItem(json, CHECKSUM_NAME))
		return err_set(err, -EBADMSG, "'%s' is missing", CHECKSUM_NAME);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, members[i].name);

		/* What belongs to a file comes after it, and has to be there if it is. */
		bool absent = member_is_absent(&members[i], manifest);
		bool of_absent = absent && members[i].presence != members[i].offset;

		if (!item && absent)
			continue;
		if (!item || of_absent || !member_get(&members[i], item, manifest))
			return err_set(err, -EBADMSG, "'%s' is missing or malformed",
				       members[i].name);
		expected++;
	}
	if (cJSON_GetArraySize(json) != expected)
		return err_set(err, -EBADMSG, "a member is unknown or repeated");
	return 0;
}

static int manifest_parse(struct manifest *manifest, const char *text, size_t bytes,
			  struct err *err)
{
	cleanup_json cJSON *json = NULL;
	const char *end = NULL;
	int r;

	r = tail_check(text, bytes, err);
	if (r < 0)
		return r;
	/* The object has to reach to the newline, so that the checksum is one of its members. */
	json = cJSON_ParseWithLengthOpts(text, bytes, &end, false);
	if (!cJSON_IsObject(json) || end != text + bytes - 1)
		return err_set(err, -EBADMSG, "not a JSON object");
	r = version_check(json, err);
	if (r < 0)
		return r;
	r = members_get(json, manifest, err);
	if (r < 0)
		return r;
	return manifest_check(manifest, err);
}

int manifest_decode(struct manifest *ret_manifest, const char *text, size_t bytes, struct err *err)
{
	struct manifest manifest = {};
	int r = manifest_parse(&manifest, text, bytes, err);

	if (r < 0)
		return err_prefix(err, r, "%s", MANIFEST_NAME);
	*ret_manifest = manifest;
	return 0;
}
