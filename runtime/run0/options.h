/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines as tables: a verb names its options once, and parsing, --help and the completion
 * scripts all come from that table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Where an option's value goes; `offset` in the table is that of a member of this type. */
enum option_kind {
	OPTION_FLAG,    /* bool; also --name=true and --name=false */
	OPTION_TEXT,    /* const char *, borrowed from argv; an empty one is NULL, as not given */
	OPTION_WORD,    /* the same, one of `words` */
	OPTION_COUNT,   /* unsigned int, at most OPTION_COUNT_MAX */
	OPTION_LIST,    /* struct text_list: may be repeated */
	OPTION_IGNORED, /* nowhere: a flag that is there for the sake of clients */
	OPTION_IGNORED_TEXT,
};
enum { OPTION_COUNT_MAX = 65535 };

struct text_list {
	const char **items; /* owned, NULL-terminated, NULL while empty; the texts are argv's */
	size_t count;
};

static inline bool option_kind_has_value(enum option_kind kind)
{
	return kind != OPTION_FLAG && kind != OPTION_IGNORED;
}

struct cli_option {
	const char *name; /* without dashes; NULL ends a table */
	char letter;      /* 0: none */
	enum option_kind kind;
	size_t offset;     /* in the values, see `kind` */
	const char *value; /* what --help calls it: DIR, FILE, ... */
	const char *words; /* those allowed or suggested, with spaces between; or NULL */
	const char *help;  /* may have several lines */
};

struct arguments {
	char **items; /* borrowed from main() */
	int count;
};

/*
 * Takes the options out of `arguments`, which then are those that are no options, and puts their
 * values into `values`. Forms: --name VALUE, --name=VALUE, -l VALUE, -lVALUE, -l=VALUE, -name (as
 * Go's parser has it), several flags in one (-td), and "--", after which nothing is an option. With
 * `in_order` the first argument ends the options too. Returns 1 when help is asked for, -EINVAL
 * when an option is wrong. A list is the caller's to free, also then.
 */
int options_parse(const struct cli_option *options, void *values, bool in_order,
		  struct arguments *arguments, struct err *err);
