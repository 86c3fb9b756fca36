/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the steps of process_become, each in the order in which it
 * must be taken.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;
struct oci_capabilities;
struct oci_process;
struct oci_user;
struct process_context;

/* Labels of the next exec: AppArmor profile, SELinux context. Needs the container's /proc, and the
 * process to be still dumpable: before the user switch. */
int labels_set(const struct oci_process *process, struct err *err);

/* Drops from the bounding set what the config does not list; needs CAP_SETPCAP. */
int capabilities_bound(const struct oci_capabilities *capabilities, struct err *err);

/* Groups, then user. Permitted capabilities survive, effective ones do not. */
int user_switch(const struct oci_user *user, struct err *err);

/* Effective, permitted, inheritable and ambient sets. `extra`: kept besides in the first two until
 * the exec, which computes both afresh. */
int capabilities_set(const struct oci_capabilities *capabilities, uint64_t extra, struct err *err);

/* -EACCES is no error while `may_retry`: then it is to be tried again as the final user (a root
 * user may be the one who is refused, on NFS). Returns 1 for that. */
int working_folder_enter(const struct process_context *context, bool may_retry, struct err *err);
