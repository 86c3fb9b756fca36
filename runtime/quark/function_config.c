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
#include "function_allowed.h"
#include "lumper.h"

/* One member of the object: how its value is read, and into which field. */
struct member {
	const char *name;
	int (*read)(const struct member *member, const cJSON *value, void *field, struct err *err);
	size_t field;
	bool (*allows)(const char *item); /* texts and lists: is this one fit? */
	size_t longest;			  /* texts and lists: bytes of one */
	const char *const *words;
	unsigned int min, max, step;	  /* numbers */
};

/* --- values -------------------------------------------------------------------------------- */

static int text_check(const struct member *member, const char *text, struct err *err)
{
	if (strlen(text) > member->longest || !member->allows(text))
		return err_set(err, -EINVAL, "'%s': '%.80s' is not allowed", member->name, text);
	return 0;
}

static int list_add(const struct member *member, struct string_list *list, const char *text,
		    struct err *err)
{
	int r = text_check(member, text, err);

	if (r < 0)
		return r;
	if (list->count == FUNCTION_LIST_MAX)
		return err_set(err, -EINVAL, "'%s' has more than %d items", member->name,
			       FUNCTION_LIST_MAX);
	return string_list_add(list, text) < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int list_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	const cJSON *item;
	int r = 0;

	if (!cJSON_IsArray(value))
		return err_set(err, -EINVAL, "'%s' is not a list", member->name);
	cJSON_ArrayForEach(item, value) {
		const char *text = cJSON_GetStringValue(item);

		if (!text)
			return err_set(err, -EINVAL, "'%s' holds something that is no string",
				       member->name);
		r = list_add(member, field, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* An object of strings becomes a list of NAME=VALUE. */
static int env_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	const struct string_list *list = field;
	const cJSON *item;
	int r;

	if (!cJSON_IsObject(value))
		return err_set(err, -EINVAL, "'%s' is not an object", member->name);
	cJSON_ArrayForEach(item, value) {
		cleanup_free char *text = NULL;

		if (!cJSON_IsString(item))
			return err_set(err, -EINVAL, "'%s': '%.80s' is no string", member->name,
				       item->string);
		if (strchr(item->string, '=') || string_list_value(list, item->string))
			return err_set(err, -EINVAL, "'%s': '%.80s' is not allowed, or twice there",
				       member->name, item->string);
		if (asprintf(&text, "%s=%s", item->string, item->valuestring) < 0)
			return err_set(err, -ENOMEM, "out of memory");
		r = list_add(member, field, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int text_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	const char *text = cJSON_GetStringValue(value);
	int r;

	if (!text)
		return err_set(err, -EINVAL, "'%s' is no string", member->name);
	r = text_check(member, text, err);
	if (r < 0)
		return r;
	*(char **)field = strdup(text);
	return *(char **)field ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int word_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	const char *text = cJSON_GetStringValue(value);
	const unsigned int word = text ? word_find(member->words, text) : 0;
	char words[WORDS_BYTES];

	if (word == 0) {
		words_join(member->words, words);
		return err_set(err, -EINVAL, "'%s' is not one of %s", member->name, words);
	}
	*(unsigned int *)field = word;
	return 0;
}

static int flag_read(const struct member *member, const cJSON *value, void *field, struct err *err)
{
	if (!cJSON_IsBool(value))
		return err_set(err, -EINVAL, "'%s' is neither true nor false", member->name);
	*(bool *)field = cJSON_IsTrue(value);
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

#define NAMES(rule) .longest = FUNCTION_NAME_MAX, .allows = (rule)
#define TEXTS(rule) .longest = FUNCTION_TEXT_MAX, .allows = (rule)

static const struct member members[] = {
	{"lang", word_read, FIELD(lang), .words = lang_names},
	{"sources", list_read, FIELD(sources), NAMES(source_allowed)},
	{"libs", list_read, FIELD(libs), NAMES(lib_allowed)},
	{"cflags", list_read, FIELD(cflags), NAMES(cflag_allowed)},
	{"handler", text_read, FIELD(handler), NAMES(handler_allowed)},
	{"command", list_read, FIELD(command), TEXTS(argument_allowed)},
	{"image", text_read, FIELD(image), TEXTS(image_allowed)},
	{"contract", word_read, FIELD(contract), .words = contract_names},
	{"contract_options", list_read, FIELD(contract_options), TEXTS(argument_allowed)},
	{"env", env_read, FIELD(env), TEXTS(env_allowed)},
	{"wake", word_read, FIELD(wake), .words = wake_names},
	{"pure", flag_read, FIELD(pure), .step = 0},
	{"no_gather", flag_read, FIELD(no_gather), .step = 0},
	{"warm_up", number_read, FIELD(warm_up), .max = FUNCTION_WARM_UP_MAX, .step = 1},
	{"files", list_read, FIELD(files), NAMES(path_allowed)},
	{"memory_mib", number_read, FIELD(memory_mib), .min = GUEST_MEMORY_MIN_BYTES >> 20,
	 .max = GUEST_MEMORY_MAX_BYTES >> 20, .step = 2},
	{"memory_limit_mib", number_read, FIELD(memory_limit_mib), .min = 1,
	 .max = GUEST_MEMORY_MAX_BYTES >> 20, .step = 1},
	{"vcpus", number_read, FIELD(vcpus), .min = 1, .max = VM_VCPUS_MAX, .step = 1},
	{"cpu", cpu_read, FIELD(cpu_template), .step = 0},
};

_Static_assert(ARRAY_SIZE(members) <= 32, "object_read has a bit for each member");

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
	cleanup_function_config struct function_config config = {};
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
	struct function_config config = {};
	char path[PATH_MAX];
	int r;

	if (!realpath(folder, path))
		return err_set(err, -errno, "cannot open the function folder '%s': %s", folder,
			       strerror(errno));
	r = config_file_read(&config, path, err);
	if (r < 0)
		return r;
	memcpy(config.folder, path, sizeof(path));
	*ret_config = config;
	return 0;
}

/* --- completing ------------------------------------------------------------------------------ */

/* Members that are for functions of one kind only. */
static int check_language(const struct function_config *config, struct err *err)
{
	const bool c = config->lang == LANG_C;
	const struct {
		const char *name;
		bool said, fits;
	} rules[] = {
		{"sources", config->sources.count > 0, c},
		{"libs", config->libs.count > 0, c},
		{"cflags", config->cflags.count > 0, c},
		{"handler", config->handler != NULL,
		 !c && (config->lang || config->image)},
		{"command", config->command.count > 0, !c},
		{"files", config->files.count > 0, config->folder[0] != '\0'},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].said && !rules[i].fits)
			return err_set(err, -EINVAL,
				       "'%s' does not go with a function of this language (%s)",
				       rules[i].name,
				       config->lang ? lang_names[config->lang] : "none");
	if (config->handler && config->command.count > 0 && config->contract != CONTRACT_LAMBDA)
		return err_set(err, -EINVAL, "there is a handler and a command: which is it?");
	return 0;
}

static int check_root(const struct function_config *config, struct err *err)
{
	if (config->lang != LANG_C && !config->image && config->folder[0])
		return err_set(err, -EINVAL,
			       "the function needs an image with its language: name one with "
			       "\"image\" in " FUNCTION_CONFIG_FILE " or with --image");
	return 0;
}

static int check_wake(struct function_config *config, struct err *err)
{
	if (config->wake == WAKE_NONE)
		config->wake = WAKE_RUN0;
	if (config->wake == WAKE_DIRECT && !config->pure)
		return err_set(err, -EINVAL,
			       "wake direct skips what makes a clone unique: its kernel's random "
			       "numbers, host name and machine id are those of the snapshot. Declare "
			       "the function pure (--pure, or \"pure\": true) when it needs none");
	return 0;
}

static void set_defaults(struct function_config *config)
{
	if (config->lang == LANG_NONE && config->folder[0] && config->command.count == 0)
		config->lang = LANG_C;
	if (config->memory_mib == 0)
		config->memory_mib = config->lang == LANG_C && !config->image
					     ? FUNCTION_MEMORY_MIB
					     : FUNCTION_IMAGE_MEMORY_MIB;
	if (config->vcpus == 0)
		config->vcpus = 1;
}

int function_config_complete(struct function_config *config, struct err *err)
{
	int r;

	set_defaults(config);
	r = check_language(config, err);
	if (r == 0)
		r = check_root(config, err);
	if (r == 0)
		r = check_wake(config, err);
	if (r == 0 && config->memory_limit_mib > config->memory_mib)
		r = err_set(err, -EINVAL, "the limit of %u MiB is more than the guest's %u MiB",
			    config->memory_limit_mib, config->memory_mib);
	if (r == 0 && config->lang == LANG_C && config->sources.count == 0)
		r = sources_list(config, err);
	return r;
}

void function_config_done(struct function_config *config)
{
	struct string_list *const lists[] = {
		&config->sources, &config->libs,    &config->cflags, &config->files,
		&config->command, &config->contract_options, &config->env,
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		string_list_done(lists[i]);
	free(config->handler);
	free(config->image);
	config->handler = config->image = NULL;
}
