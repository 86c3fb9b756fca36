/* SPDX-License-Identifier: Apache-2.0 */
/*
 * function.json: any text is either refused with a message or gives a config within its bounds.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/quark/function_config.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(int holds)
{
	if (!holds)
		abort();
}

static void check_list(const struct string_list *list)
{
	check(list->count <= FUNCTION_LIST_MAX);
	check(!list->items || !list->items[list->count]);
	for (size_t i = 0; i < list->count; i++)
		check(strlen(list->items[i]) <= FUNCTION_NAME_MAX &&
		      !strstr(list->items[i], "/../"));
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
	check_list(&config.sources);
	check_list(&config.libs);
	check_list(&config.files);
	check(config.memory_mib >= 32 && config.memory_mib <= 8192 && config.memory_mib % 2 == 0);
	check(config.vcpus >= 1 && config.vcpus <= VM_VCPUS_MAX);
	return 0;
}
