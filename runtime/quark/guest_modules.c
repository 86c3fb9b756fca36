/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and packing kernel modules. Debian's kernel packages lack modules.dep, which depmod makes
 * when one is installed, so what depends on what stands in the table.
 */
#include "guest_modules.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

#define KERNEL_PREFIX "vmlinuz-"

enum { BUILTIN_MAX_BYTES = 4 << 20, ORDER_LINE_MAX = 64 };

enum {
	MAY_LACK = 1, /* some kernels have it inside another module */
	WITH_IMAGE = 2,
};

/* In the order of loading: each after what it depends on. All are loaded at boot, and so are part
 * of the base, but the driver of the image's device: there is no image then. */
static const struct row {
	const char *name;
	const char *path; /* below lib/modules/VERSION, without ".ko" */
	unsigned int flags;
} table[] = {
	{"virtio_ring", "kernel/drivers/virtio/virtio_ring", 0},
	{"virtio", "kernel/drivers/virtio/virtio", 0},
	{"virtio_pci_legacy_dev", "kernel/drivers/virtio/virtio_pci_legacy_dev", MAY_LACK},
	{"virtio_pci_modern_dev", "kernel/drivers/virtio/virtio_pci_modern_dev", MAY_LACK},
	{"virtio_pci", "kernel/drivers/virtio/virtio_pci", 0},
	{"libnvdimm", "kernel/drivers/nvdimm/libnvdimm", 0},
	{"nd_btt", "kernel/drivers/nvdimm/nd_btt", MAY_LACK},
	{"nd_pmem", "kernel/drivers/nvdimm/nd_pmem", 0},
	{"nd_virtio", "kernel/drivers/nvdimm/nd_virtio", MAY_LACK},
	{"libcrc32c", "kernel/lib/libcrc32c", MAY_LACK},
	{"erofs", "kernel/fs/erofs/erofs", 0},
	{"overlay", "kernel/fs/overlayfs/overlay", 0},
	{"virtio_pmem", "kernel/drivers/nvdimm/virtio_pmem", WITH_IMAGE},
};

_Static_assert(ARRAY_SIZE(table) <= GUEST_MODULES_MAX, "room for all modules");

/* BOOT/../lib/modules/VERSION, or NULL when out of memory; empty when the kernel's name has no
 * version. */
static char *modules_folder(const char *kernel)
{
	const char *slash = strrchr(kernel, '/');
	const char *name = slash ? slash + 1 : kernel;
	char *folder;

	if (strncmp(name, KERNEL_PREFIX, strlen(KERNEL_PREFIX)) != 0)
		return strdup("");
	if (asprintf(&folder, "%.*s/../lib/modules/%s", slash ? (int)(slash - kernel) : 1,
		     slash ? kernel : ".", name + strlen(KERNEL_PREFIX)) < 0)
		return NULL;
	return folder;
}

/* modules.builtin has a line kernel/drivers/dax/dax.ko for each. */
static bool is_built_in(const char *builtin, const char *path)
{
	const size_t bytes = strlen(path);

	for (const char *at = builtin; at && (at = strstr(at, path)); at += bytes)
		if ((at == builtin || at[-1] == '\n') && strncmp(at + bytes, ".ko", 3) == 0)
			return true;
	return false;
}

static int refuse_compressed(const char *file, struct err *err)
{
	static const char *const endings[] = {".xz", ".zst", ".gz"};

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s%s", file, endings[i]) < 0)
			return err_set(err, -ENOMEM, "out of memory");
		if (access(path, F_OK) == 0)
			return err_set(err, -ENOTSUP,
				       "the kernel module '%s' is compressed: unpack it", path);
	}
	return 0;
}

static int find_one(struct guest_modules *modules, const char *folder, const char *builtin,
		    const struct row *row, struct err *err)
{
	cleanup_free char *file = NULL;
	int r;

	if (asprintf(&file, "%s/%s.ko", folder, row->path) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (access(file, F_OK) == 0) {
		modules->items[modules->count++] = (struct guest_module){
			row->name, row->flags & WITH_IMAGE, TAKE_PTR(file)};
		return 0;
	}
	r = refuse_compressed(file, err);
	if (r < 0 || (row->flags & MAY_LACK) || is_built_in(builtin, row->path))
		return r;
	return err_set(err, -ENOENT, "the kernel lacks the module '%s': there is no '%s'",
		       row->name, file);
}

int guest_modules_find(struct guest_modules *ret_modules, const char *kernel, struct err *err)
{
	cleanup_guest_modules struct guest_modules modules = {.count = 0};
	cleanup_free char *folder = modules_folder(kernel), *list = NULL;
	cleanup_free uint8_t *builtin = NULL;
	size_t bytes;
	int r = 0;

	if (!folder || asprintf(&list, "%s/modules.builtin", folder) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_modules = (struct guest_modules){.count = 0};
	if (!folder[0] || access(folder, F_OK) < 0)
		return 0;
	if (file_read(list, BUILTIN_MAX_BYTES, &builtin, &bytes, NULL) < 0)
		builtin = NULL;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(table); i++)
		r = find_one(&modules, folder, (const char *)builtin, &table[i], err);
	if (r < 0)
		return r;
	*ret_modules = modules;
	modules.count = 0;
	return 0;
}

void guest_modules_done(struct guest_modules *modules)
{
	for (unsigned int i = 0; i < modules->count; i++)
		free(modules->items[i].path);
	modules->count = 0;
}

static const char *moment_of(const struct guest_module *module)
{
	return module->with_image ? "image" : "boot";
}

int guest_modules_digest(const struct guest_modules *modules, struct digest *digest,
			 struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < modules->count; i++) {
		digest_text(digest, moment_of(&modules->items[i]));
		r = digest_file(digest, modules->items[i].name, modules->items[i].path, err);
	}
	return r;
}

int guest_modules_pack(const struct guest_modules *modules, struct initramfs *archive,
		       struct err *err)
{
	char order[GUEST_MODULES_MAX * ORDER_LINE_MAX] = "", name[ORDER_LINE_MAX];
	size_t used = 0;
	int r = 0;

	if (modules->count == 0)
		return 0;
	initramfs_add_folder(archive, "modules", 0755);
	for (unsigned int i = 0; r == 0 && i < modules->count; i++) {
		const struct guest_module *module = &modules->items[i];
		int n = snprintf(order + used, sizeof(order) - used, "%s %s\n", moment_of(module),
				 module->name);

		used += n > 0 ? (size_t)n : 0;
		(void)snprintf(name, sizeof(name), "modules/%s.ko", module->name);
		r = initramfs_add_file(archive, name, 0644, module->path, err);
	}
	initramfs_add_text(archive, "modules/order", 0644, order);
	return r;
}
