/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options over config.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "cleanup.h"

static void merge_numbers(struct function_config *config, const struct build_options *options)
{
	const struct {
		unsigned int *to, from;
	} numbers[] = {
		{&config->lang, options->lang},
		{&config->contract, options->contract},
		{&config->wake, options->wake},
		{&config->memory_mib, options->memory_mib},
		{&config->memory_limit_mib, options->memory_limit_mib},
		{&config->vcpus, options->vcpus},
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (numbers[i].from)
			*numbers[i].to = numbers[i].from;
	if (options->has_cpu)
		config->cpu_template = options->cpu_template;
	if (options->has_warm_up)
		config->warm_up = options->warm_up;
	config->pure = config->pure || options->pure;
	config->no_gather = config->no_gather || options->no_gather;
}

static int merge_text(char **to, const char *from)
{
	char *copy = from ? strdup(from) : NULL;

	if (!from)
		return 0;
	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

int build_merge(struct function_config *config, const struct build_options *options,
		struct err *err)
{
	int r = merge_text(&config->handler, options->handler);

	merge_numbers(config, options);
	if (r == 0)
		r = merge_text(&config->image, options->image);
	for (size_t i = 0; r == 0 && i < options->env.count; i++)
		r = string_list_set(&config->env, options->env.items[i]);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

const char *inputs_contract(const char *inputs)
{
	for (unsigned int i = 1; contract_names[i]; i++) {
		const size_t n = strlen(contract_names[i]);

		if (strncmp(inputs, contract_names[i], n) == 0 && inputs[n] == '-')
			return contract_names[i];
	}
	return "";
}
