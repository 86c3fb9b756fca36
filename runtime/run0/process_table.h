/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of processes as `ps -ef` prints it, from /proc: no ps is executed.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct err;

/* Checks options that are meant for ps: those that ask for what is printed anyway (-e, -f, -ef)
 * are fine, others are an error: it is better to say so than to print something else. */
int process_table_check_options(char *const *options, int count, struct err *err);

/* Prints the header and one line for each process that is still there to standard output. */
void process_table_print(const pid_t *pids, size_t count);
