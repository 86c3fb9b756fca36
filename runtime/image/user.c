/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's user, by its own /etc/passwd and /etc/group, as Docker does: "USER" or "USER:GROUP",
 * each a name or a number. A number needs no line. Supplementary groups are those that list the
 * user, unless the group is said.
 */
#include <errno.h>
#include <stdio.h>

#include "image_priv.h"
#include "number.h"

enum { GROUPS_MAX = 65536, FIELDS = 7 };

struct table {
	char *text; /* owned; lines are cut in it */
	char *rest;
};

static int table_open(int root_fd, const char *path, struct table *table, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	struct err missing = { 0 };
	size_t bytes = 0;
	int r = file_read_in(root_fd, path, &data, &bytes, &missing);

	/* Without one that can be read, names mean nothing, but numbers do. */
	if (r == -EBADMSG || r == -ENOTDIR || r == -ELOOP)
		r = 0;
	if (r < 0)
		return err_set(err, r, "%s", missing.message);
	table->text = (char *)TAKE_PTR(data);
	table->rest = table->text;
	return 0;
}

static void table_done(struct table *table)
{
	free(table->text);
}
#define cleanup_table __attribute__((cleanup(table_done)))

/* The next line's fields; missing ones are empty. */
static bool table_next(struct table *table, char *fields[FIELDS])
{
	char *line = table->rest ? strsep(&table->rest, "\n") : NULL;
	char *end = line ? line + strlen(line) : NULL;

	if (!line)
		return false;
	for (int i = 0; i < FIELDS; i++)
		fields[i] = line ? strsep(&line, ":") : end;
	return true;
}

static bool is_id(const char *text, uint32_t *ret_id)
{
	uint64_t value;

	if (!number_parse(text, 0, INT32_MAX, &value))
		return false;
	*ret_id = (uint32_t)value;
	return true;
}

/* Field 0 is the name, 2 the number, in both files. */
static bool is_meant(char *const fields[FIELDS], const char *text)
{
	uint32_t wanted, id;

	return strcmp(fields[0], text) == 0 ||
	       (is_id(text, &wanted) && is_id(fields[2], &id) && id == wanted);
}

static int find_user(int root_fd, const char *user, struct image *image, char **ret_name,
		     struct err *err)
{
	cleanup_table struct table table = { NULL, NULL };
	char *fields[FIELDS];
	int r = table_open(root_fd, "etc/passwd", &table, err);

	if (r < 0)
		return r;
	while (table_next(&table, fields)) {
		if (!*fields[0] || !is_meant(fields, user) || !is_id(fields[2], &image->uid) ||
		    !is_id(fields[3], &image->gid))
			continue;
		*ret_name = strdup(fields[0]);
		return *ret_name ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	if (is_id(user, &image->uid))
		return 0;
	return err_set(err, -EBADMSG, "its user '%s' is not in its /etc/passwd", SHOWN(user));
}

static int find_group(int root_fd, const char *group, struct image *image, struct err *err)
{
	cleanup_table struct table table = { NULL, NULL };
	char *fields[FIELDS];
	int r = table_open(root_fd, "etc/group", &table, err);

	if (r < 0)
		return r;
	while (table_next(&table, fields))
		if (*fields[0] && is_meant(fields, group) && is_id(fields[2], &image->gid))
			return 0;
	if (is_id(group, &image->gid))
		return 0;
	return err_set(err, -EBADMSG, "its group '%s' is not in its /etc/group", SHOWN(group));
}

static bool lists(char *members, const char *name)
{
	char *member;

	while ((member = strsep(&members, ",")))
		if (strcmp(member, name) == 0)
			return true;
	return false;
}

static int find_groups(int root_fd, const char *name, struct image *image, struct err *err)
{
	cleanup_table struct table table = { NULL, NULL };
	char *fields[FIELDS];
	uint32_t id, *groups;
	int r = table_open(root_fd, "etc/group", &table, err);

	while (r == 0 && table_next(&table, fields)) {
		if (!is_id(fields[2], &id) || !lists(fields[3], name))
			continue;
		if (image->group_count == GROUPS_MAX)
			return err_set(err, -EFBIG, "its user is in more than %d groups",
				       GROUPS_MAX);
		groups = reallocarray(image->groups, image->group_count + 1, sizeof(*groups));
		if (!groups)
			return err_set(err, -ENOMEM, "out of memory");
		image->groups = groups;
		groups[image->group_count++] = id;
	}
	return r;
}

int user_resolve(int root_fd, struct image *image, struct err *err)
{
	cleanup_free char *user = strdup(image->user_name);
	cleanup_free char *name = NULL;
	char *group;
	int r = 0;

	if (!user)
		return err_set(err, -ENOMEM, "out of memory");
	image->uid = image->gid = 0;
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	/* Even root, who is in /etc/group too, is looked for. */
	r = find_user(root_fd, *user ? user : "0", image, &name, err);
	if (r == 0 && group && *group)
		return find_group(root_fd, group, image, err);
	return r == 0 && name ? find_groups(root_fd, name, image, err) : r;
}
