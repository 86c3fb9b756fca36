/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulated host that quark keeps up between commands in mode `rig`.
 *
 * It is the rig named "quark" of the tool libexec/quark/rig, with its state in the home folder. It
 * sees this machine's files at the same paths; the home folder and the folder of our programs are
 * shared so that changes show at once.
 */
#pragma once

#include "cli.h"
#include "err.h"
#include "child.h"

#define RIG_PACKAGES "qemu-system-x86 qemu-system-common cpio util-linux"

/* 0, or -ENODEV and what is missing. */
int rig_check(const struct paths *paths, struct err *err);

/* Boots the rig unless it is up. Blocking, seconds. */
int rig_ensure(const struct cli *cli, struct err *err);

/* Puts into `args` what runs the arguments that are added behind it in the rig. The rig must be
 * up. */
void rig_add_exec(const struct cli *cli, struct args *args);

/* Tells the tool, and whatever it runs, where the state of our rigs is. */
int rig_set_environment(const struct cli *cli, struct err *err);
