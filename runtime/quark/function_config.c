/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding of function.json. Its text is hostile: every list and string is bounded, paths stay
 * inside the folder, and nothing in it can make the compiler run a program or read its options from
 * a file.
 */
#include "function_config.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "lumper.h"

/* One member of the object: how its value is read, and into which field. */
struct member {
	const char *name;
	int (*read)(const struct member *member, const cJSON *value, void *field, struct err *err);
	size_t field;
	bool (*allows)(const char *item); /* lists: is this item fit? */
	unsigned int min, max, step;	  /* numbers */
};

/* --- what an item may be ------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool starts_with_any(const char *text, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (starts_with(text, *prefixes))
			return true;
	return false;
}

/* A relative path whose components neither are "." or ".." nor look like an option. */
static bool path_allowed(const char *path)
{
	for (const char *at = path;; at++) {
		size_t n = strcspn(at, "/");

		if (n == 0 || *at == '.' || *at == '-' || *at == '@')
			return false;
		for (size_t i = 0; i < n; i++)
			if (iscntrl((unsigned char)at[i]))
				return false;
		at += n;
		if (!*at)
			return true;
	}
}

static bool source_allowed(const char *path)
{
	size_t n = strlen(path);

	return path_allowed(path) && n > 2 && strcmp(path + n - 2, ".c") == 0;
}

static bool lib_allowed(const char *name)
{
	if (!isalnum((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_+.-", *name))
			return false;
	return true;
}

static bool cflag_allowed(const char *flag)
{
	static const char *const allowed[] = {"-D", "-U", "-O",	   "-W", "-f",
					      "-g", "-m", "-std=", NULL};
	/* They pass options on, load code into the compiler, or write files. */
	static const char *const refused[] = {"-Wa,",	  "-Wl,",   "-Wp,", "-fplugin",
					      "-fuse-ld", "-fdump", NULL};
	/* Of -f options with a value many name a file to be written (-fopt-info=F). */
	static const char *const with_value[] = {"-fexcess-precision=", "-ffp-contract=",
						 "-finline-limit=",	"-fmax-errors=",
						 "-fvisibility=",	NULL};

	if (starts_with(flag, "-f") && strchr(flag, '=') && !starts_with_any(flag, with_value))
		return false;
	return starts_with_any(flag, allowed) && !starts_with_any(flag, refused);
}

/* --- values -------------------------------------------------------------------------------- */

static void string_list_done(struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct string_list){};
}

/* Room for one more item and the NULL behind it. */
static int string_list_add(struct string_list *list, const char *item)
{
	char **items = realloc(list->items, (list->count + 2) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count] = strdup(item);
	if (!items[list->count])
		return -ENOMEM;
	items[++list->count] = NULL;
	return 0;
}

static int list_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	struct string_list *list = field;
	const cJSON *item;

	if (!cJSON_IsArray(value))
		return err_set(err, -EINVAL, "'%s' is not a list", member->name);
	cJSON_ArrayForEach(item, value) {
		const char *text = cJSON_GetStringValue(item);

		if (!text)
			return err_set(err, -EINVAL, "'%s' holds something that is no string",
				       member->name);
		if (strlen(text) > FUNCTION_NAME_MAX || !member->allows(text))
			return err_set(err, -EINVAL, "'%s': '%.80s' is not allowed", member->name,
				       text);
		if (list->count == FUNCTION_LIST_MAX)
			return err_set(err, -EINVAL, "'%s' has more than %d items", member->name,
				       FUNCTION_LIST_MAX);
		if (string_list_add(list, text) < 0)
			return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int number_read(const struct member *member, const cJSON *value, void *field,
		       struct err *err)
{
	double number = cJSON_GetNumberValue(value); /* NaN when it is none */

	if (!(number >= member->min && number <= member->max) ||
	    number != (double)(unsigned int)number || (unsigned int)number % member->step)
		return err_set(err, -EINVAL, "'%s' is not %s number from %u to %u", member->name,
			       member->step == 2 ? "an even" : "a whole", member->min, member->max);
	*(unsigned int *)field = (unsigned int)number;
	return 0;
}

static int cpu_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	static const char *const names[] = {
		[CPU_TEMPLATE_PORTABLE] = "portable",
		[CPU_TEMPLATE_HOST] = "host",
	};
	const char *text = cJSON_GetStringValue(value);

	for (size_t i = 0; text && i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*(enum cpu_template *)field = (enum cpu_template)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "'%s' is neither \"portable\" nor \"host\"", member->name);
}

#define FIELD(name) offsetof(struct function_config, name)

static const struct member members[] = {
	{"sources", list_read, FIELD(sources), .allows = source_allowed},
	{"libs", list_read, FIELD(libs), .allows = lib_allowed},
	{"cflags", list_read, FIELD(cflags), .allows = cflag_allowed},
	{"files", list_read, FIELD(files), .allows = path_allowed},
	{"memory_mib", number_read, FIELD(memory_mib), .min = GUEST_MEMORY_MIN_BYTES >> 20,
	 .max = GUEST_MEMORY_MAX_BYTES >> 20, .step = 2},
	{"vcpus", number_read, FIELD(vcpus), .min = 1, .max = VM_VCPUS_MAX, .step = 1},
	{"cpu", cpu_read, FIELD(cpu_template), .step = 0},
};

static const struct member *member_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (strcmp(members[i].name, name) == 0)
			return &members[i];
	return NULL;
}

static int object_read(struct function_config *config, const cJSON *root, struct err *err)
{
	unsigned int seen = 0;
	const cJSON *value;

	if (!cJSON_IsObject(root))
		return err_set(err, -EINVAL, "not a JSON object");
	cJSON_ArrayForEach(value, root) {
		const struct member *member = member_find(value->string);
		unsigned int bit;
		int r;

		if (!member)
			return err_set(err, -EINVAL, "unknown member '%.80s'", value->string);
		bit = 1u << (member - members);
		if (seen & bit)
			return err_set(err, -EINVAL, "'%s' stands there twice", member->name);
		seen |= bit;
		r = member->read(member, value, (uint8_t *)config + member->field, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- public -------------------------------------------------------------------------------- */

int function_config_parse(struct function_config *ret_config, const char *text, size_t bytes,
			  struct err *err)
{
	cleanup_function_config struct function_config config = {.memory_mib = 64, .vcpus = 1};
	const char *end = NULL;
	cJSON *root;
	int r;

	root = cJSON_ParseWithLengthOpts(text, bytes, &end, 0);
	if (!root)
		return err_set(err, -EINVAL, "not JSON at byte %td", end ? end - text : 0);
	while (end < text + bytes && isspace((unsigned char)*end))
		end++;
	if (end < text + bytes)
		r = err_set(err, -EINVAL, "something follows the object at byte %td", end - text);
	else
		r = object_read(&config, root, err);
	cJSON_Delete(root);
	if (r < 0)
		return r;

	*ret_config = config;
	config = (struct function_config){};
	return 0;
}

static int config_file_read(struct function_config *ret_config, const char *folder, struct err *err)
{
	char path[PATH_MAX + sizeof(FUNCTION_CONFIG_FILE) + 1];
	cleanup_free uint8_t *text = NULL;
	size_t bytes;
	int r;

	(void)snprintf(path, sizeof(path), "%s/" FUNCTION_CONFIG_FILE, folder);
	r = file_read(path, FUNCTION_CONFIG_MAX_BYTES, &text, &bytes, err);
	if (r == -ENOENT)
		return function_config_parse(ret_config, "{}", 2, err);
	if (r < 0)
		return r;
	r = function_config_parse(ret_config, (const char *)text, bytes, err);
	return r < 0 ? err_prefix(err, r, "'%s'", path) : 0;
}

static int source_filter(const struct dirent *entry)
{
	return source_allowed(entry->d_name);
}

/* All C files of the folder, sorted, so that equal folders give equal programs. */
static int sources_list(struct function_config *config, struct err *err)
{
	struct dirent **entries;
	int n = scandir(config->folder, &entries, source_filter, alphasort);
	int r = 0;

	if (n < 0)
		return err_set(err, -errno, "cannot list '%s': %s", config->folder,
			       strerror(errno));
	if (n > FUNCTION_LIST_MAX)
		r = err_set(err, -E2BIG,
			    "'%s' has more than %d C files: name them in " FUNCTION_CONFIG_FILE,
			    config->folder, FUNCTION_LIST_MAX);
	for (int i = 0; i < n; i++) {
		if (r == 0 && string_list_add(&config->sources, entries[i]->d_name) < 0)
			r = err_set(err, -ENOMEM, "out of memory");
		free(entries[i]);
	}
	free(entries);
	if (r == 0 && n == 0)
		r = err_set(err, -ENOENT, "'%s' has no C file", config->folder);
	return r;
}

int function_config_read(struct function_config *ret_config, const char *folder, struct err *err)
{
	cleanup_function_config struct function_config config = {};
	char path[PATH_MAX];
	int r;

	if (!realpath(folder, path))
		return err_set(err, -errno, "cannot open the function folder '%s': %s", folder,
			       strerror(errno));
	r = config_file_read(&config, path, err);
	if (r < 0)
		return r;
	memcpy(config.folder, path, sizeof(path));
	if (config.sources.count == 0) {
		r = sources_list(&config, err);
		if (r < 0)
			return r;
	}

	*ret_config = config;
	config = (struct function_config){};
	return 0;
}

void function_config_done(struct function_config *config)
{
	string_list_done(&config->sources);
	string_list_done(&config->libs);
	string_list_done(&config->cflags);
	string_list_done(&config->files);
}
