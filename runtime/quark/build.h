/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a template, from its options to its commit.
 */
#pragma once

#include <stdbool.h>

#include "cli.h"
#include "function_config.h"
#include "vm_state.h"

/* What the command line says. Zero and NULL: as the function's config has it. */
struct build_options {
	const char *source, *name, *sample, *handler, *image; /* borrowed from argv */
	struct string_list env;				      /* owned */
	unsigned int lang, contract, wake;		      /* of function_words.h */
	unsigned int memory_mib, memory_limit_mib, vcpus, warm_up, timeout_s;
	enum cpu_template cpu_template;
	bool has_cpu, has_warm_up, pure, no_gather, force, insecure_registry;
};

/* Returns an exit code, having said what is wrong. */
int build_template(struct cli *cli, const struct build_options *options);

/* Puts what the options say over what the config has. */
int build_merge(struct function_config *config, const struct build_options *options,
		struct err *err);

/* A template's inputs begin with its contract: "lambda-DIGEST". The contract's name, or "" when the
 * text is of another form. */
const char *inputs_contract(const char *inputs);
