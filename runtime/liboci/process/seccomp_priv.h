/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled filter, and how its makers share it: seccomp.c (the contract), seccomp_compile.c
 * (libseccomp), seccomp_stub.c (system calls that the profile cannot know), seccomp_cache.c.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/seccomp.h"
#include "spec/spec.h"

/* A classic BPF program as seccomp(2) takes it. */
struct bpf_program {
	struct sock_filter *instructions; /* owned */
	size_t count;
};

struct bpf_program bpf_program_done(struct bpf_program *program);

/* False when there is no such name. */
bool seccomp_operator_code(const char *name, uint32_t *ret_code);
bool seccomp_architecture_code(const char *name, uint32_t *ret_code);

/* The action as libseccomp and the kernel encode it, with its number: EPERM unless the config says
 * otherwise. -EINVAL with a message that begins with `member`. */
int seccomp_action_resolve(const char *name, const struct oci_number *errno_ret, const char *member,
			   uint32_t *ret_action, struct err *err);

/* Compiles the config, stub included. */
int seccomp_compile(const struct oci_seccomp *seccomp, struct bpf_program *ret_program,
		    struct err *err);

/* Whether system calls above the highest one of the profile are to fail with ENOSYS. */
bool seccomp_wants_stub(const struct oci_seccomp *seccomp, uint32_t default_action);

enum { SECCOMP_STUB_INSTRUCTIONS = 10 };

/* Writes the stub; what follows it is the filter itself. */
void seccomp_stub(const struct oci_seccomp *seccomp,
		  struct sock_filter ret_stub[SECCOMP_STUB_INSTRUCTIONS]);

/* The cache. Finding none is no error and has no reason: false. Storing is a favour. */
bool seccomp_cache_load(const char *cache_dir, const struct oci_seccomp *seccomp,
			struct bpf_program *ret_program);
void seccomp_cache_store(const char *cache_dir, const struct oci_seccomp *seccomp,
			 const struct bpf_program *program);

/* seccomp_filter_load, and seccomp_agent_send of the listener by a helper thread that the filter
 * does not bind: a profile may refuse sendmsg, or leave it to the very agent that does not listen
 * yet. */
int seccomp_filter_load_and_send(const struct seccomp_filter *filter, int socket_fd,
				 const char *state_json, struct err *err);
