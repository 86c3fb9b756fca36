/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making templates: lumper boots a base and captures it, builds functions on it and captures them
 * at their first next(), here or in the rig.
 */
#pragma once

#include "cli.h"
#include "err.h"
#include "request.h"
#include "snapshot.h"

/* A base: kernel and PID 1 at the doorbell, waiting for its first order. */
struct bake_base {
	const char *kernel; /* paths */
	const char *initrd;
	const char *folder;  /* the base's */
	const char *workdir; /* for the console's output; visible in the rig */
	const char *inputs;  /* digest, recorded in the base */
	unsigned int memory_mib, vcpus;
	enum cpu_template cpu_template;
	unsigned int timeout_s;
};

struct bake {
	const char *name;    /* of the template */
	const char *base;    /* folder of the base */
	const char *image;   /* path of the erofs file, or NULL */
	const char *files;   /* folder whose tree goes below the container's root, or NULL */
	const char *create;  /* file with the CREATE order: struct mailbox_create and config.json */
	const char *wake;    /* "run0" or "direct" */
	const char *folder;  /* the template's */
	const char *workdir; /* for the console's output; visible in the rig */
	const char *inputs;  /* digest, recorded in the template */
	const struct request *warm_up; /* sent warm_up_count times before the snapshot; or NULL */
	unsigned int warm_up_count;
	unsigned int timeout_s;
};

/* Each returns an exit code, having said what is wrong. Blocking: a boot takes seconds. */
int base_bake(const struct cli *cli, const struct bake_base *bake);

/* Restores the base, creates the function in it (the guest's output is shown when that fails), and
 * captures it at its first next(). */
int template_bake(const struct cli *cli, const struct bake *bake);

/* Finds the working set by one restore with a sample request, and adds its record to the template.
 * A request that the function fails is a note, not an error: the template is good without a
 * record. */
int template_record(const struct cli *cli, const struct bake *bake, const struct request *sample);

/* Whether the template's clock is so old that its clones would begin with the guest kernel's
 * catching up. */
bool template_is_stale(const struct template *template);

/* Restores the template, has what it has recorded moved to hot memory (vmm/include/lumper.h), and
 * captures it again, without a record. Uses the same of `bake` as template_refresh. */
int template_gather(const struct cli *cli, const struct bake *bake);

/* Restores the template, lets the guest keep its time, and captures it again. Of `bake`, `name`,
 * `folder`, `workdir` and `timeout_s` are used. */
int template_refresh(const struct cli *cli, const struct bake *bake);
