/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where micro-VMs run on this machine: directly (kvm), or inside an emulated host (rig).
 *
 * The answer comes from vmm/probe.c's tiny guests and is remembered in the home folder until
 * anything that it depends on changes: the boot, the kernel, /dev/kvm itself, or the caller's
 * access to it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "kvm_probe.h"

enum host_mode {
	HOST_MODE_AUTO, /* not known yet: let the probe decide */
	HOST_MODE_KVM,
	HOST_MODE_RIG,
	HOST_MODES,
};

extern const char *const host_mode_names[HOST_MODES];

/* -EINVAL when `text` names no mode. */
int host_mode_parse(const char *text, enum host_mode *ret_mode, struct err *err);

/* What the probe's result means. Never AUTO. */
enum host_mode host_mode_decide(const struct kvm_probe *probe);

/* Runs the probe in a child process, which is killed when it takes too long: then the
 * check that it hung in is FAILED. Blocking, for 2 s at most. */
int host_probe(struct kvm_probe *ret_probe, struct err *err);

/* Remembers and recalls the mode; `home` is made when needed. host_mode_recall gives HOST_MODE_AUTO
 * when nothing is remembered, or nothing that is still true. A failure to remember is not an error:
 * the next command probes again. */
void host_mode_remember(const char *home, const char *device, enum host_mode mode);
enum host_mode host_mode_recall(const char *home, const char *device);

#define KVM_DEVICE "/dev/kvm"
