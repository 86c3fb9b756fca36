/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that `exec` runs: from a process object in a file, or the container's own process
 * with the changes of the command line.
 */
#pragma once

struct err;
struct oci_exec_options;
struct oci_spec;

/* Changes `spec`, the container's saved configuration, so that its process is the one to run. What
 * a file describes lives in *ret_holder (NULL when there is no file), which is to be freed after
 * the spec. */
int exec_process_build(struct oci_spec *spec, const struct oci_exec_options *options,
		       struct oci_spec **ret_holder, struct err *err);
