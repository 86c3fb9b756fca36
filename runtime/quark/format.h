/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantities for people.
 */
#pragma once

#include <stdint.h>

enum { FORMAT_BYTES = 24 };

/* "17.3 MiB", "30 s", "1.21 ms": three digits or so, and a unit. */
void format_size(uint64_t bytes, char text[FORMAT_BYTES]);
void format_age(uint64_t seconds, char text[FORMAT_BYTES]);
void format_ns(uint64_t ns, char text[FORMAT_BYTES]);

/* "portable", "host"; "unknown" otherwise. */
const char *cpu_template_name(uint32_t cpu_template);
