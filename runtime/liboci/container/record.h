/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a container: state.json, in and out.
 */
#pragma once

#include "container/container.h"

/* Fills *ret_record from state.json in `dir_fd`. -ENODATA when it is missing or damaged; the record
 * is empty then. */
int record_read(struct record *ret_record, int dir_fd, struct err *err);

/* Decodes text: pure, for the fuzzer too. */
int record_parse(struct record *ret_record, const char *text, size_t bytes, struct err *err);

/* As text to be freed; NULL when out of memory. */
char *record_text(const struct record *record, const char *id);

void record_done(struct record *record);
