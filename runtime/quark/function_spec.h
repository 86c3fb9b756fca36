/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container of a function: the config.json that run0 makes it from in the guest (OCI runtime
 * specification 1.1), and the CREATE order that carries it there.
 *
 * Pure; equal inputs give equal bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "function_process.h"

struct function_spec {
	const struct function_process *process; /* borrowed */
	bool has_image;
	bool direct;	      /* wake "direct" */
	bool no_identity;     /* for tests: clones are not made unique */
	uint64_t memory_bytes; /* limit of the container; 0: none */
};

/* JSON text, which the caller frees. */
int function_spec_text(const struct function_spec *spec, char **ret_text, struct err *err);

/* The order: struct mailbox_create and the text; the caller frees it. -E2BIG when it is more than
 * the mailbox takes. */
int function_spec_order(const struct function_spec *spec, uint8_t **ret_order, size_t *ret_bytes,
			struct err *err);
