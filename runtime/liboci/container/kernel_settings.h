/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the kernel that a namespace has for itself: names, sysctls, the loopback device.
 */
#pragma once

struct err;
struct oci_spec;

/* Whether every sysctl of the config belongs to a namespace that the container has of its own, and
 * names are given only with a UTS namespace. Pure. */
int kernel_settings_check(const struct oci_spec *spec, struct err *err);

/* In the container's first process, while /proc is still the host's. */
int kernel_settings_apply(const struct oci_spec *spec, struct err *err);
