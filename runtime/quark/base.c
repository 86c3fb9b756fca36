/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and making bases.
 */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bake.h"
#include "build_initramfs.h"
#include "calibration.h"
#include "cleanup.h"
#include "format.h"
#include "guest_cmdline.h"
#include "kernel.h"
#include "lock.h"
#include "snapshot.h"

enum { CMDLINE_MAX = 512 };

static int digest_files(const struct cli *cli, const struct base *base, struct digest *digest,
			struct err *err)
{
	const struct {
		const char *name, *path;
	} files[] = {
		{"kernel", base->kernel},
		{"guest", cli->paths.guest},
		{"lumper", cli->paths.lumper},
		{"calibration", cli->paths.calibration},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = digest_file(digest, files[i].name, files[i].path, err);
	return r < 0 ? r : guest_modules_digest(&base->modules, digest, err);
}

/* A guest that sees the host's CPU belongs to the kind of host where it was made. */
static int digest_shape(struct cli *cli, const struct machine_shape *shape, struct digest *digest,
			struct err *err)
{
	int r = 0;

	digest_printf(digest, "%u MiB %u vcpus cpu %s format %u", shape->memory_mib, shape->vcpus,
		      cpu_template_name(shape->cpu_template), SNAPSHOT_FORMAT_VERSION);
	if (shape->cpu_template == CPU_TEMPLATE_HOST)
		r = cli_host_mode(cli, err);
	if (r == 0 && shape->cpu_template == CPU_TEMPLATE_HOST)
		digest_text(digest, host_mode_names[cli->mode]);
	return r;
}

static int digest_inputs(struct cli *cli, struct base *base, struct err *err)
{
	cleanup_digest struct digest *digest = digest_new();
	char cmdline[CMDLINE_MAX];
	int r;

	if (!digest)
		return err_set(err, -ENOMEM, "out of memory");
	r = guest_cmdline(cmdline, sizeof(cmdline), err);
	if (r < 0)
		return r;
	digest_text(digest, cmdline);
	r = digest_shape(cli, &base->shape, digest, err);
	if (r == 0)
		r = digest_files(cli, base, digest, err);
	if (r == 0)
		digest_finish(digest, base->inputs);
	return r;
}

int base_find(struct cli *cli, const struct machine_shape *shape, struct base *ret_base,
	      struct err *err)
{
	cleanup_base struct base base = {.shape = *shape};
	int r;

	r = kernel_find(&cli->paths, &base.kernel, err);
	if (r == 0)
		r = guest_modules_find(&base.modules, base.kernel, err);
	if (r == 0)
		r = digest_inputs(cli, &base, err);
	if (r < 0)
		return r;
	base.folder = paths_in_home(&cli->paths, BASES_FOLDER, base.inputs);
	if (!base.folder)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_base = base;
	base = (struct base){0};
	return 0;
}

void base_done(struct base *base)
{
	free(base->kernel);
	free(base->folder);
	guest_modules_done(&base->modules);
	*base = (struct base){0};
}

/* A folder without a committed template is what a killed build left. */
static bool is_there(const struct base *base)
{
	cleanup_template struct template *template = NULL;

	return template_open(&template, base->folder, NULL) == 0 &&
	       strcmp(template_manifest(template)->inputs, base->inputs) == 0;
}

static int pack(const struct cli *cli, const struct base *base, const char *initrd,
		struct err *err)
{
	cleanup_initramfs struct initramfs archive = {};
	int r = initramfs_init(&archive, initrd, err);

	if (r == 0)
		r = initramfs_add_archive(&archive, cli->paths.guest, err);
	if (r == 0)
		r = guest_modules_pack(&base->modules, &archive, err);
	return r < 0 ? r : initramfs_finish(&archive, err);
}

static int boot(const struct cli *cli, const struct base *base, const char *initrd,
		const char *workdir, unsigned int timeout_s)
{
	const struct bake_base bake = {
		.kernel = base->kernel,
		.initrd = initrd,
		.folder = base->folder,
		.workdir = workdir,
		.inputs = base->inputs,
		.memory_mib = base->shape.memory_mib,
		.vcpus = base->shape.vcpus,
		.cpu_template = base->shape.cpu_template,
		.timeout_s = timeout_s,
	};
	struct err err = {0};
	int code = base_bake(cli, &bake);

	if (code != EXIT_OK || is_there(base))
		return code;
	(void)err_set(&err, -EIO, "the base in '%s' is not what was made", base->folder);
	return cli_fail(&err);
}

static int make(const struct cli *cli, const struct base *base, const char *initrd,
		const char *workdir, unsigned int timeout_s)
{
	struct err err = {0};

	if (pack(cli, base, initrd, &err) < 0)
		return cli_fail(&err);
	return boot(cli, base, initrd, workdir, timeout_s);
}

int base_ensure(const struct cli *cli, const struct base *base, const char *workdir,
		unsigned int timeout_s)
{
	cleanup_free char *bases = paths_in_home(&cli->paths, BASES_FOLDER, NULL), *initrd = NULL;
	cleanup_fd int lock = -1;
	struct err err = {0};
	int code = EXIT_OK;

	if (!bases || asprintf(&initrd, "%s/initrd.cpio", workdir) < 0) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		return cli_fail(&err);
	}
	if (folder_lock(cli, bases, &lock, &err) < 0)
		return cli_fail(&err);
	if (!is_there(base))
		code = make(cli, base, initrd, workdir, timeout_s);
	return code == EXIT_OK ? calibration_ensure(cli, base, workdir, timeout_s) : code;
}
