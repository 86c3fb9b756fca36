/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest kernel that quark bakes with.
 */
#pragma once

#include "err.h"
#include "quark_paths.h"

/* Path of the kernel image: $QUARK_KERNEL (an image, or a folder with boot/vmlinuz-*), else the one
 * that kernel-fetch has in its cache. -ENOENT when there is none. The caller frees *ret_kernel. */
int kernel_find(const struct paths *paths, char **ret_kernel, struct err *err);
