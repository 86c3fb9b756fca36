/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of strings.
 */
#include "string_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more item and the NULL behind it. */
int string_list_add(struct string_list *list, const char *item)
{
	char **items = reallocarray(list->items, list->count + 2, sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count] = strdup(item);
	if (!items[list->count])
		return -ENOMEM;
	items[++list->count] = NULL;
	return 0;
}

int string_list_add_all(struct string_list *list, const char *const *items)
{
	const size_t before = list->count;

	for (; items && *items; items++) {
		if (string_list_add(list, *items) == 0)
			continue;
		while (list->count > before) {
			free(list->items[--list->count]);
			list->items[list->count] = NULL;
		}
		return -ENOMEM;
	}
	return 0;
}

static size_t find(const struct string_list *list, const char *name, size_t name_bytes)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (strncmp(list->items[i], name, name_bytes) == 0 &&
		    list->items[i][name_bytes] == '=')
			break;
	return i;
}

int string_list_set(struct string_list *list, const char *item)
{
	const size_t at = find(list, item, strcspn(item, "="));
	char *copy;

	if (at == list->count)
		return string_list_add(list, item);
	copy = strdup(item);
	if (!copy)
		return -ENOMEM;
	free(list->items[at]);
	list->items[at] = copy;
	return 0;
}

const char *string_list_value(const struct string_list *list, const char *name)
{
	const size_t at = find(list, name, strlen(name));

	return at == list->count ? NULL : list->items[at] + strlen(name) + 1;
}

void string_list_done(struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct string_list){0};
}
