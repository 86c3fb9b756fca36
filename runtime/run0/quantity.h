/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers with units, as the options of update and events have them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bytes: digits, then nothing or one of b k m g t p in either case, of 1024, also written "kb" and
 * "KiB". At most INT64_MAX. */
bool quantity_bytes(const char *text, int64_t *ret_bytes);

/* A span of time as Go writes it: "5s", "1m30s", "1.5s", "200ms"; a bare number is seconds. From
 * one millisecond to a day. */
bool quantity_duration_ms(const char *text, int *ret_ms);
