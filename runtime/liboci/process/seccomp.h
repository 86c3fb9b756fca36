/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters: libseccomp compiles them, a cache keeps the compiled programs.
 *
 * Compiling a filter of 400 system calls costs milliseconds; loading the finished BPF program costs
 * one system call. The cache is a folder of files named by the digest of everything that goes in:
 * the configuration's text, libseccomp's version and API level, the kernel's release, our format. A
 * file is trusted only when it is a regular file of ours with mode 0600 in a folder of ours with
 * mode 0700, and its content matches its own checksum.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct oci_seccomp;
struct seccomp_filter;

/* In the runtime's process. `cache_dir` may be NULL: no cache. Errors name the member at fault
 * ("linux.seccomp.syscalls[2].args[0]: …"); a system call name that libseccomp does not know is
 * skipped, as runc does. A cache that cannot be used is no error. */
int seccomp_filter_new(struct seccomp_filter **ret_filter, const struct oci_seccomp *seccomp,
		       const char *cache_dir, struct err *err);
struct seccomp_filter *seccomp_filter_free(struct seccomp_filter *filter);

/* Installs it on the calling thread. With a notify action *ret_listener is the listener's
 * descriptor, else -1. Needs no_new_privs or CAP_SYS_ADMIN. */
int seccomp_filter_load(const struct seccomp_filter *filter, int *ret_listener, struct err *err);

/* Connects to linux.seccomp.listenerPath, in the runtime's process. */
int seccomp_agent_connect(const char *path, int *ret_fd, struct err *err);

/* Sends the container process state (runtime specification, "containerProcessState") with the
 * listener by SCM_RIGHTS. */
int seccomp_agent_send(int socket_fd, int listener_fd, const char *state_json, struct err *err);

/* For `features`: NULL-terminated names. */
const char *const *seccomp_actions(void);
const char *const *seccomp_operators(void);
const char *const *seccomp_architectures(void);
const char *const *seccomp_flags(void);
