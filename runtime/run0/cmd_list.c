/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run0 list: all containers of the root folder, in runc's columns and members.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "json_text.h"
#include "text.h"

struct values {
	const char *format;
	bool quiet;
};

static const struct cli_option options[] = {
	{ "format", 'f', OPTION_WORD, offsetof(struct values, format), "FORMAT", "table json",
	  "table (default) or json" },
	{ "quiet", 'q', OPTION_FLAG, offsetof(struct values, quiet), NULL, NULL,
	  "print the ids alone" },
	{ 0 },
};

struct containers {
	struct oci_container_info *items;
	size_t count;
};

static void cleanup_containers_p(struct containers *containers)
{
	oci_list_free(containers->items, containers->count);
}
#define cleanup_containers __attribute__((cleanup(cleanup_containers_p)))

/* The table has runc's widths: at least 12, and three spaces after the longest. */
enum { COLUMNS = 6, WIDTH_LEAST = 12, WIDTH_GAP = 3, PID_BYTES = 16 };

struct row {
	char pid[PID_BYTES];
	const char *cells[COLUMNS]; /* borrowed, cells[1] from `pid` */
};

static const struct row header = { .cells = { "ID", "PID", "STATUS", "BUNDLE", "CREATED",
					      "OWNER" } };

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* What is in the state folder may have been made by somebody else: the texts are cleaned in place
 * for the terminal. */
static const char *clean(char *text)
{
	if (!text)
		return "";
	text[text_clean(text, text, strlen(text))] = '\0';
	for (char *at = text; *at; at++)
		if (*at == '\n' || *at == '\t')
			*at = '?';
	return text;
}

static void fill_row(struct row *row, struct oci_container_info *container)
{
	(void)snprintf(row->pid, sizeof(row->pid), "%d", container->pid);
	row->cells[0] = clean(container->id);
	row->cells[1] = row->pid;
	row->cells[2] = oci_status_name(container->status);
	row->cells[3] = clean(container->bundle);
	row->cells[4] = clean(container->created);
	row->cells[5] = clean(container->owner);
}

/* Characters, not bytes: all but those that continue one. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void widen(size_t widths[COLUMNS], const struct row *row)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		const size_t wanted = text_width(row->cells[i]) + WIDTH_GAP;

		if (wanted > widths[i])
			widths[i] = wanted;
	}
}

static void print_row(const size_t widths[COLUMNS], const struct row *row)
{
	for (size_t i = 0; i < COLUMNS - 1; i++)
		printf("%s%*s", row->cells[i], (int)(widths[i] - text_width(row->cells[i])), "");
	printf("%s\n", row->cells[COLUMNS - 1]);
}

static int print_table(const struct containers *containers)
{
	cleanup_free struct row *rows = calloc(containers->count + 1, sizeof(*rows));
	size_t widths[COLUMNS];

	if (!rows)
		return -1;
	for (size_t i = 0; i < COLUMNS; i++)
		widths[i] = WIDTH_LEAST;
	rows[0] = header;
	for (size_t i = 0; i < containers->count; i++)
		fill_row(&rows[i + 1], &containers->items[i]);
	for (size_t i = 0; i <= containers->count; i++)
		widen(widths, &rows[i]);
	for (size_t i = 0; i <= containers->count; i++)
		print_row(widths, &rows[i]);
	return 0;
}

static void print_ids(const struct containers *containers)
{
	for (size_t i = 0; i < containers->count; i++)
		printf("%s\n", clean(containers->items[i].id));
}

static int print_string(const char *name, const char *text)
{
	const size_t bytes = JSON_STRING_BYTES(strlen(or_empty(text)));
	cleanup_free char *buffer = malloc(bytes);
	struct json_text json = json_text_to(buffer, bytes);

	if (!buffer)
		return -1;
	json_add_string(&json, or_empty(text));
	printf(",\"%s\":%s", name, buffer);
	return 0;
}

static int print_container(const struct oci_container_info *container)
{
	printf("{\"ociVersion\":\"%s\"", OCI_SPEC_VERSION);
	if (print_string("id", container->id) < 0)
		return -1;
	printf(",\"pid\":%d", container->pid);
	if (print_string("status", oci_status_name(container->status)) < 0 ||
	    print_string("bundle", container->bundle) < 0 ||
	    print_string("rootfs", container->rootfs) < 0 ||
	    print_string("created", container->created) < 0 ||
	    print_string("owner", container->owner) < 0)
		return -1;
	printf("}");
	return 0;
}

/* None is null, not [], as runc has it. */
static int print_json(const struct containers *containers)
{
	if (containers->count == 0) {
		printf("null\n");
		return 0;
	}
	for (size_t i = 0; i < containers->count; i++) {
		printf("%s", i == 0 ? "[" : ",");
		if (print_container(&containers->items[i]) < 0)
			return -1;
	}
	printf("]\n");
	return 0;
}

static int run(struct cli *cli, struct arguments *arguments)
{
	cleanup_containers struct containers containers = { 0 };
	struct values values = { 0 };
	struct err err = { 0 };
	int status;
	int r = 0;

	if (!cli_parse(cli, &values, arguments, &status))
		return status;
	if (oci_list(&cli->runtime, &containers.items, &containers.count, &err) < 0)
		return cli_fail(cli, &err);
	if (values.quiet)
		print_ids(&containers);
	else if (values.format && strcmp(values.format, "json") == 0)
		r = print_json(&containers);
	else
		r = print_table(&containers);
	if (r < 0)
		(void)err_set(&err, -ENOMEM, "out of memory");
	return cli_result(cli, r, &err);
}

const struct verb verb_list = {
	.name = "list",
	.summary = "list all containers",
	.arguments = "",
	.description =
		"Lists all containers of the --root folder. As JSON, an array of objects with\n"
		"ociVersion, id, pid, status, bundle, rootfs, created and owner, or null.",
	.options = options,
	.run = run,
};
