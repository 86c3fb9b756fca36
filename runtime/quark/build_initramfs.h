/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an initramfs: an uncompressed cpio archive in the "newc" format that the kernel unpacks
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Owners, times and inode numbers do
 * not depend on the host, so equal contents give equal bytes.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "err.h"

struct initramfs {
	FILE *file; /* owned */
	uint32_t next_inode;
};

/* Creates or replaces the file at `path`. */
int initramfs_init(struct initramfs *ret_archive, const char *path, struct err *err);
void initramfs_done(struct initramfs *archive);

/* Puts another archive, whole, before the entries that follow: the kernel unpacks one after the
 * other. */
int initramfs_add_archive(struct initramfs *archive, const char *host_path, struct err *err);

/* Adds an entry. Names are relative ("dev/console"); a folder comes before what is in it.
 * Everything belongs to root. */
void initramfs_add_folder(struct initramfs *archive, const char *name, mode_t permissions);
int initramfs_add_file(struct initramfs *archive, const char *name, mode_t permissions,
		       const char *host_path, struct err *err);
void initramfs_add_char_device(struct initramfs *archive, const char *name, mode_t permissions,
			       dev_t device);

void initramfs_add_text(struct initramfs *archive, const char *name, mode_t permissions,
			const char *text);

/* Writes the end of the archive; reports every write that failed since initramfs_init. */
int initramfs_finish(struct initramfs *archive, struct err *err);

#define cleanup_initramfs __attribute__((cleanup(initramfs_done)))
