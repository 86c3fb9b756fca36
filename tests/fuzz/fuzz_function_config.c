/* SPDX-License-Identifier: Apache-2.0 */
/*
 * function.json: any text is either refused with a message or gives a config within its bounds.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/quark/function_allowed.c"
#include "../../runtime/quark/function_config.c"
#include "../../runtime/quark/function_words.c"
#include "../../runtime/quark/string_list.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(int holds)
{
	if (!holds)
		abort();
}

static void check_list(const struct string_list *list, size_t longest)
{
	check(list->count <= FUNCTION_LIST_MAX);
	check(!list->items || !list->items[list->count]);
	for (size_t i = 0; i < list->count; i++)
		check(strlen(list->items[i]) <= longest);
}

static void check_paths(const struct string_list *list)
{
	check_list(list, FUNCTION_NAME_MAX);
	for (size_t i = 0; i < list->count; i++)
		check(!strchr("/.", list->items[i][0]) && !strstr(list->items[i], "/."));
}

static void check_env(const struct string_list *list)
{
	check_list(list, FUNCTION_TEXT_MAX);
	for (size_t i = 0; i < list->count; i++)
		check(strchr(list->items[i], '=') && strncmp(list->items[i], "QUARK_", 6) != 0);
}

static void check_config(const struct function_config *config)
{
	check_paths(&config->sources);
	check_list(&config->libs, FUNCTION_NAME_MAX);
	check_list(&config->command, FUNCTION_TEXT_MAX);
	check_list(&config->contract_options, FUNCTION_TEXT_MAX);
	check_env(&config->env);
	check(config->lang <= LANG_SH && config->contract <= CONTRACT_LAMBDA);
	check(config->wake <= WAKE_DIRECT && config->warm_up <= FUNCTION_WARM_UP_MAX);
	check(!config->handler || (config->handler[0] != '-' && !strstr(config->handler, "/../")));
	check(config->memory_mib <= 8192 && config->memory_mib % 2 == 0);
	check(config->vcpus <= VM_VCPUS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	cleanup_function_config struct function_config config = {};
	struct err err = {};

	if (bytes > FUNCTION_CONFIG_MAX_BYTES)
		return 0;
	if (function_config_parse(&config, (const char *)data, bytes, &err) < 0) {
		check(err.code < 0 && err.message[0]);
		return 0;
	}
	check_config(&config);
	return 0;
}
