/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bases: a guest that has booted to PID 1's first wait for orders, one for each kernel and machine
 * shape, in HOME/bases/DIGEST. All functions of a shape are built from it and share its pages.
 *
 * The digest is over everything that a base is made from, so one whose inputs have changed is not
 * found any more; `quark prune` removes it when no template has it.
 */
#pragma once

#include "cli.h"
#include "digest.h"
#include "err.h"
#include "guest_modules.h"
#include "vm_state.h"

struct machine_shape {
	unsigned int memory_mib, vcpus;
	enum cpu_template cpu_template;
};

struct base {
	struct machine_shape shape;
	char *kernel; /* owned: path of the image */
	char *folder; /* owned */
	char inputs[DIGEST_TEXT_BYTES];
	struct guest_modules modules;
};

/* Finds the kernel and what goes with it, and tells which base that makes. Reads, but makes
 * nothing. The caller releases *ret_base with base_done. */
int base_find(struct cli *cli, const struct machine_shape *shape, struct base *ret_base,
	      struct err *err);
void base_done(struct base *base);

/* Boots the base unless it is there, and makes its calibration. Of two callers one does it, the
 * other waits. Returns an exit code, having said what is wrong. `workdir` gets the initramfs and
 * the console's output. */
int base_ensure(const struct cli *cli, const struct base *base, const char *workdir,
		unsigned int timeout_s);

#define cleanup_base __attribute__((cleanup(base_done)))
