/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes layer_unpack: a tar, perhaps compressed, over what a first layer left, in a tree below
 * /dev/shm. Nothing beside the tree changes, and all of it can be removed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define MUST(condition)          \
	do {                     \
		if (!(condition)) \
			abort(); \
	} while (0)

static void write_file(int folder_fd, const char *name)
{
	cleanup_fd int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	MUST(write(fd, "canary", 6) == 6);
}

/* Links out of the tree, of the kinds that a layer cannot be refused for. */
static void lower_layer(int root_fd, const char *folder)
{
	MUST(mkdirat(root_fd, "d", 0755) == 0);
	MUST(symlinkat(folder, root_fd, "out") == 0);
	MUST(symlinkat("..", root_fd, "up") == 0);
	MUST(symlinkat("d", root_fd, "in") == 0);
	write_file(root_fd, "d/f");
	MUST(linkat(root_fd, "d/f", root_fd, "h", 0) == 0);
}

static void unpack(int root_fd, struct workspace *workspace, int blob_fd)
{
	const struct image_limits limits = { .unpacked_bytes = 1 << 20, .entries = 1000 };
	const struct source_layer layer = { .kind = MEDIA_NONE };
	cleanup_unpack struct unpack unpack = { .root_fd = -1 };
	struct tree_totals totals;
	struct err err = { 0 };
	int r;

	unpack_init(&unpack, root_fd, workspace, &limits);
	r = layer_unpack(blob_fd, &layer, NULL, &unpack, &err);
	if (r == 0)
		r = tree_seal(root_fd, &totals, &err);
	if (r < 0 && (!err.message[0] || strchr(err.message, '\n')))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char folder[] = "/dev/shm/quark-fuzz.XXXXXX", canary[7] = "";
	struct workspace workspace = { .store_fd = -1 };
	cleanup_fd int blob_fd = memfd_create("blob", MFD_CLOEXEC);
	cleanup_fd int root_fd = -1, canary_fd = -1;

	MUST(mkdtemp(folder));
	workspace.fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(workspace.fd >= 0 && mkdirat(workspace.fd, "root", 0755) == 0);
	root_fd = openat(workspace.fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_file(workspace.fd, "canary");
	lower_layer(root_fd, folder);
	MUST(write(blob_fd, data, bytes) == (ssize_t)bytes && lseek(blob_fd, 0, SEEK_SET) == 0);

	unpack(root_fd, &workspace, blob_fd);

	canary_fd = openat(workspace.fd, "canary", O_RDONLY | O_CLOEXEC);
	MUST(read(canary_fd, canary, sizeof(canary)) == 6 && strcmp(canary, "canary") == 0);
	MUST(tree_clear(&workspace) == 0 && rmdir(folder) == 0);
	workspace.fd = fd_close(workspace.fd);
	return 0;
}
