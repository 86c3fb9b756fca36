/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and finding calibrations.
 */
#include "calibration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bake.h"
#include "cleanup.h"
#include "file.h"
#include "file_tree.h"
#include "function_spec.h"
#include "store.h"

/* All owned. */
struct making {
	char *folder;                /* the calibration's */
	char *root, *files, *create; /* in the working folder */
};

static void making_done(struct making *making)
{
	free(making->folder);
	free(making->root);
	free(making->files);
	free(making->create);
}

static int making_init(struct making *making, const struct base *base, const char *workdir)
{
	if (asprintf(&making->folder, "%s/" CALIBRATION_NAME, base->folder) < 0 ||
	    asprintf(&making->root, "%s/" CALIBRATION_NAME, workdir) < 0 ||
	    asprintf(&making->files, "%s" FUNCTION_FOLDER, making->root) < 0 ||
	    asprintf(&making->create, "%s/" CALIBRATION_NAME "-create", workdir) < 0)
		return -ENOMEM;
	return 0;
}

static bool is_there(const char *folder, const struct base *base)
{
	cleanup_template struct template *template = NULL;

	return template_open(&template, folder, NULL) == 0 && template_working_set(template) &&
	       strcmp(template_manifest(template)->inputs, base->inputs) == 0;
}

/* The program lies where a compiled function's does. */
static int lay_out(const struct cli *cli, const struct making *making, struct err *err)
{
	cleanup_free char *from = NULL;
	char *slash;

	if (mkdir(making->root, 0755) < 0 || mkdir(making->files, 0755) < 0)
		return err_set(err, -errno, "cannot make '%s': %s", making->files, strerror(errno));
	from = strdup(cli->paths.calibration);
	slash = from ? strrchr(from, '/') : NULL;
	if (!slash)
		return err_set(err, -ENOMEM, "out of memory");
	*slash = '\0';
	return file_tree_copy_item(from, slash + 1, making->files, err);
}

static int plan_order(uint8_t **ret_order, size_t *ret_bytes, struct err *err)
{
	cleanup_function_process struct function_process process = { 0 };
	char program[] = FUNCTION_FOLDER "/" CALIBRATION_NAME, *command[] = { program, NULL };
	const struct function_config config = {
		.folder = FUNCTION_FOLDER,
		.command = { .items = command, .count = 1 },
		.wake = WAKE_RUN0,
	};
	const struct function_spec spec = { .process = &process };
	int r = function_process_fill(&process, &config, CONTRACT_LIBQUARK, NULL, err);

	return r < 0 ? r : function_spec_order(&spec, ret_order, ret_bytes, err);
}

static int write_order(const struct making *making, struct err *err)
{
	cleanup_fd int fd = open(making->create, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cleanup_free uint8_t *order = NULL;
	size_t bytes = 0;
	int r = plan_order(&order, &bytes, err);

	if (r < 0)
		return r;
	r = fd < 0 ? -errno : file_write_all(fd, order, bytes);
	return r < 0 ? err_set(err, r, "cannot write '%s': %s", making->create, strerror(-r)) : 0;
}

static int make(const struct cli *cli, const struct base *base, const char *workdir,
		const struct making *making, unsigned int timeout_s)
{
	const struct bake bake = {
		.name = CALIBRATION_NAME,
		.base = base->folder,
		.files = making->root,
		.create = making->create,
		.wake = wake_names[WAKE_RUN0],
		.folder = making->folder,
		.workdir = workdir,
		.inputs = base->inputs,
		.timeout_s = timeout_s,
	};
	uint8_t text[] = "hello";
	const struct request sample = { .data = text, .bytes = sizeof(text) - 1 };
	int code = template_bake(cli, &bake);

	return code == EXIT_OK ? template_record(cli, &bake, &sample) : code;
}

int calibration_ensure(const struct cli *cli, const struct base *base, const char *workdir,
		       unsigned int timeout_s)
{
	__attribute__((cleanup(making_done))) struct making making = { 0 };
	struct err err = { 0 };

	if (making_init(&making, base, workdir) < 0) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		return cli_fail(&err);
	}
	if (is_there(making.folder, base))
		return EXIT_OK;
	if (lay_out(cli, &making, &err) < 0 || write_order(&making, &err) < 0)
		return cli_fail(&err);
	return make(cli, base, workdir, &making, timeout_s);
}

/* --- finding --------------------------------------------------------------------------------- */

static bool same_base(const struct template *a, const struct template *b)
{
	const struct snapshot_file *x = &template_manifest(a)->base,
				   *y = &template_manifest(b)->base;

	return x->name[0] && x->bytes == y->bytes &&
	       memcmp(x->digest, y->digest, sizeof(x->digest)) == 0;
}

static int try_base(const struct paths *paths, const char *name, const struct template *template,
		    struct template **ret_calibration, struct err *err)
{
	cleanup_template struct template *calibration = NULL;
	cleanup_free char *base = paths_in_home(paths, BASES_FOLDER, name), *folder = NULL;

	if (!base || asprintf(&folder, "%s/" CALIBRATION_NAME, base) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (template_open(&calibration, folder, NULL) == 0 && template_working_set(calibration) &&
	    same_base(calibration, template))
		*ret_calibration = TAKE_PTR(calibration);
	return 0;
}

int calibration_find(const struct paths *paths, const struct template *template,
		     struct template **ret_calibration, struct err *err)
{
	struct store_names names = { 0 };
	int r = store_list_in(paths, BASES_FOLDER, &names, err);

	*ret_calibration = NULL;
	for (size_t i = 0; r == 0 && !*ret_calibration && i < names.count; i++)
		r = try_base(paths, names.items[i], template, ret_calibration, err);
	store_names_done(&names);
	return r;
}
