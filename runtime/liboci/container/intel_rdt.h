/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel RDT: a resource group of /sys/fs/resctrl (Documentation/arch/x86/resctrl.rst).
 */
#pragma once

#include <sys/types.h>

struct err;
struct oci_spec;

/* The folder of the group that will be made for this container and removed with it; NULL when the
 * config wants none, or one that exists already and is shared. To be freed. */
char *intel_rdt_folder(const struct oci_spec *spec, const char *id);

/* Makes the group when it is ours, sets its schemata, moves the process in. */
int intel_rdt_enter(const struct oci_spec *spec, const char *folder, pid_t pid, struct err *err);
