/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel modules that a guest needs, and their part of its initramfs: /modules/NAME.ko, and
 * /modules/order, which tells PID 1 what to load when: lines "boot NAME" and "image NAME".
 */
#pragma once

#include <stdbool.h>

#include "build_initramfs.h"
#include "digest.h"
#include "err.h"

enum { GUEST_MODULES_MAX = 16 };

struct guest_module {
	const char *name; /* borrowed from the table */
	bool with_image;  /* loaded when there is an image; else at boot */
	char *path;	  /* owned: the file */
};

/* Those that a kernel has as files; one that is built in is left out. */
struct guest_modules {
	struct guest_module items[GUEST_MODULES_MAX];
	unsigned int count;
};

/* Looks beside a kernel image BOOT/vmlinuz-VERSION, in BOOT/../lib/modules/VERSION. Without that
 * folder everything is taken to be built in. -ENOENT when a module is neither; -ENOTSUP when it is
 * compressed. The caller releases *ret_modules with guest_modules_done. */
int guest_modules_find(struct guest_modules *ret_modules, const char *kernel, struct err *err);
void guest_modules_done(struct guest_modules *modules);

int guest_modules_digest(const struct guest_modules *modules, struct digest *digest,
			 struct err *err);
int guest_modules_pack(const struct guest_modules *modules, struct initramfs *archive,
		       struct err *err);

#define cleanup_guest_modules __attribute__((cleanup(guest_modules_done)))
