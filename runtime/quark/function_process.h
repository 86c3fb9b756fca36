/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the container: which contract a function keeps, and with which arguments,
 * environment, folder and user its first process starts.
 *
 * Pure: from the completed config and the image's configuration, both borrowed for the calls.
 */
#pragma once

#include "err.h"
#include "function_config.h"
#include "image.h"

#define CONTRACT_LABEL "io.quark.contract"

enum { FUNCTION_USER = 1000 }; /* of functions without an image: uid and gid */

struct function_process {
	struct string_list args, env; /* owned */
	char *cwd;		      /* owned */
	uint32_t uid, gid;
	uint32_t *groups; /* owned; NULL: none */
	size_t group_count;
};

/* The contract that the config names, else the image's label, else the one that fits. -EINVAL when
 * the label is no contract. `image` may be NULL. */
int function_contract(const struct function_config *config, const struct image *image,
		      enum function_contract *ret_contract, struct err *err);

/* -EINVAL when there is nothing to run. The caller releases *ret_process with
 * function_process_done. */
int function_process_fill(struct function_process *ret_process,
			  const struct function_config *config, enum function_contract contract,
			  const struct image *image, struct err *err);
void function_process_done(struct function_process *process);

#define cleanup_function_process __attribute__((cleanup(function_process_done)))
