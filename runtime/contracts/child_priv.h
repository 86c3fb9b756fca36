/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child is started with: made once, before the snapshot.
 */
#pragma once

struct err;

/* The program's path, as execvp would find it, in fresh memory; NULL with `err` filled. */
char *command_find(const char *name, struct err *err);

/* Our environment without libquark's variables, with those of `extra` (may be NULL) in place of
 * ours of the same names. A fresh array of borrowed words; NULL when out of memory. */
char **environment_make(char *const *extra);
