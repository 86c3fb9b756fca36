/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of strings of their own, as execve takes them: NULL-terminated.
 */
#pragma once

#include <stddef.h>

struct string_list {
	char **items; /* owned, NULL-terminated; NULL while empty */
	size_t count;
};

/* 0 or -ENOMEM; a failed call leaves the list as it was. */
int string_list_add(struct string_list *list, const char *item);
int string_list_add_all(struct string_list *list, const char *const *items); /* NULL: none */

/* An item NAME=VALUE; one of the same name that is there already is replaced where it stands. */
int string_list_set(struct string_list *list, const char *item);

/* The value of NAME in a list of NAME=VALUE, or NULL. Borrowed from the list. */
const char *string_list_value(const struct string_list *list, const char *name);

void string_list_done(struct string_list *list);

#define cleanup_string_list __attribute__((cleanup(string_list_done)))
