/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a runtime adds to a process's environment.
 */
#pragma once

struct err;
struct oci_spec;

/* Inside the container's root: adds HOME, unless the configuration sets it, from the container's
 * /etc/passwd, or "/" when that does not know the user: clients rely on it, as runc does it. With
 * `listen_fds` also LISTEN_FDS and LISTEN_PID (sd_listen_fds(3)). */
int environment_complete(struct oci_spec *spec, unsigned int listen_fds, struct err *err);
