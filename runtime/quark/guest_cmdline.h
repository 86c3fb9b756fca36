/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel command line of the guests that quark bakes.
 */
#pragma once

#include <stddef.h>

#include "err.h"

/* Joins the table of guest_cmdline.c with spaces. -ENOBUFS when it does not fit. */
int guest_cmdline(char *text, size_t bytes, struct err *err);
