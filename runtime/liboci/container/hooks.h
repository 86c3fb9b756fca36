/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: programs that the config wants run at six points of a container's life (runtime
 * specification, "POSIX-platform Hooks").
 */
#pragma once

struct err;
struct oci_hooks;
struct oci_runtime;

/* Runs them in order, in the calling process's namespaces, each with `state_json` on stdin, its own
 * args (argv[0] is the path when none) and only its own environment; stdout and stderr are ours.
 * Stops at the first that fails: non-zero exit, death by signal, or its time-out, at which its
 * whole process group is killed. The message names the hook, `name` is e.g.
 * "hooks.createRuntime". */
int hooks_run(const struct oci_hooks *hooks, const char *name, const char *state_json,
	      struct err *err);

/* Runs them all and warns of those that fail: of poststart and poststop hooks the specification
 * wants failures told, and nothing else changed by them. */
void hooks_run_all(const struct oci_hooks *hooks, const char *name, const char *state_json,
		   const struct oci_runtime *runtime);
