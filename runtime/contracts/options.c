/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. One table says which option belongs to which contract, what it takes and where
 * it goes; parsing and help are made from it.
 */
#include "contract.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"
#include "number.h"

enum {
	STDIO = 1,
	HTTP = 2,
	LAMBDA = 4,
	ALL = STDIO | HTTP | LAMBDA,
	TIMEOUT_MAX_MS = 24 * 3600 * 1000,
	WORD_MAX = 256, /* bytes of a word that goes into an HTTP header */
};

enum option_kind {
	OPTION_FLAG,
	OPTION_NUMBER,
	OPTION_TEXT,
	OPTION_PATH,
};

struct option_row {
	const char *name, *value, *help;
	unsigned int contracts;
	enum option_kind kind;
	size_t offset;
	uint64_t least, most;
};

#define AT(member) offsetof(struct contract_options, member)

static const struct option_row rows[] = {
	{"--timeout", "MS", "of a request; 0 for none", ALL, OPTION_NUMBER, AT(timeout_ms), 0,
	 TIMEOUT_MAX_MS},
	{"--start-timeout", "MS", "until the function is ready (60000)", HTTP | LAMBDA,
	 OPTION_NUMBER, AT(start_timeout_ms), 1, TIMEOUT_MAX_MS},
	{"--port", "PORT", "on 127.0.0.1 (http: 8080, lambda: 9001)", HTTP | LAMBDA, OPTION_NUMBER,
	 AT(port), 1, UINT16_MAX},
	{"--path", "PATH", "requests are posted to it (/)", HTTP, OPTION_PATH, AT(path), 0, 0},
	{"--content-type", "TYPE", "of requests (application/octet-stream)", HTTP, OPTION_TEXT,
	 AT(content_type), 0, 0},
	{"--ready-path", "PATH", "the function is ready when it answers GET PATH", HTTP,
	 OPTION_PATH, AT(ready_path), 0, 0},
	{"--hooks", NULL, "post /_quark/before-snapshot and /_quark/after-restore", HTTP,
	 OPTION_FLAG, AT(hooks), 0, 0},
	{"--handler", "HANDLER", "for _HANDLER", LAMBDA, OPTION_TEXT, AT(handler), 0, 0},
	{"--name", "NAME", "for AWS_LAMBDA_FUNCTION_NAME (function)", LAMBDA, OPTION_TEXT, AT(name),
	 0, 0},
	{"--memory", "MIB", "for AWS_LAMBDA_FUNCTION_MEMORY_SIZE (the machine's)", LAMBDA,
	 OPTION_NUMBER, AT(memory_mib), 1, UINT32_MAX},
};

static const struct contract contracts[] = {
	{"stdio", STDIO, "a process for each request: stdin to stdout", stdio_run, {0}},
	{"http",
	 HTTP,
	 "a server that gets each request as a POST",
	 http_run,
	 {.start_timeout_ms = 60000,
	  .port = 8080,
	  .path = "/",
	  .content_type = "application/octet-stream"}},
	{"lambda",
	 LAMBDA,
	 "a client of AWS Lambda's Runtime API",
	 lambda_run,
	 {.timeout_ms = 900000, .start_timeout_ms = 60000, .port = 9001, .name = "function"}},
};

static const struct contract *contract_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(contracts); i++)
		if (!strcmp(contracts[i].name, name))
			return &contracts[i];
	return NULL;
}

static const struct option_row *option_find(const char *name, unsigned int contract)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name) && (rows[i].contracts & contract))
			return &rows[i];
	return NULL;
}

static int help(void)
{
	printf("usage: contract CONTRACT [OPTIONS] -- COMMAND [ARGUMENTS...]\n");
	for (size_t i = 0; i < ARRAY_SIZE(contracts); i++) {
		printf("\n%s: %s\n", contracts[i].name, contracts[i].summary);
		for (size_t j = 0; j < ARRAY_SIZE(rows); j++)
			if (rows[j].contracts & contracts[i].bit)
				printf("  %-16s %-8s %s\n", rows[j].name,
				       rows[j].value ? rows[j].value : "", rows[j].help);
	}
	return 1;
}

/* What goes into a line of HTTP is printable ASCII; a path has no space either. */
static bool word_is_fit(const char *text, char least)
{
	if (!*text || strlen(text) > WORD_MAX)
		return false;
	for (; *text; text++)
		if (*text < least || *text > '~')
			return false;
	return true;
}

static int value_take(struct contract_options *options, const struct option_row *row,
		      const char *value, struct err *err)
{
	void *at = (char *)options + row->offset;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)at = true;
		return 0;
	case OPTION_NUMBER:
		if (!number_parse(value, row->least, row->most, at))
			return err_set(err, -EINVAL, "%s '%s' is not a number from %llu to %llu",
				       row->name, value, (unsigned long long)row->least,
				       (unsigned long long)row->most);
		return 0;
	case OPTION_PATH:
		if (*value != '/' || !word_is_fit(value, '!'))
			return err_set(err, -EINVAL,
				       "%s needs a path of a URL, which begins with '/'",
				       row->name);
		break;
	case OPTION_TEXT:
		if (!word_is_fit(value, ' '))
			return err_set(err, -EINVAL, "%s needs 1 to %d bytes of printable ASCII",
				       row->name, WORD_MAX);
		break;
	}
	*(const char **)at = value;
	return 0;
}

int options_parse(int argc, char **argv, const struct contract **ret_contract,
		  struct contract_options *ret_options, struct err *err)
{
	const struct contract *contract;
	int i = 2, r;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return help();
	if (argc < 2)
		return err_set(err, -EINVAL, "no contract is named (see contract --help)");
	contract = contract_find(argv[1]);
	if (!contract)
		return err_set(err, -EINVAL, "there is no contract '%.64s' (see contract --help)",
			       argv[1]);
	*ret_options = contract->defaults;
	for (; i < argc && strcmp(argv[i], "--"); i++) {
		const struct option_row *row = option_find(argv[i], contract->bit);

		if (!row)
			return err_set(err, -EINVAL, "contract %s has no option '%.64s'",
				       contract->name, argv[i]);
		if (row->kind != OPTION_FLAG && ++i == argc)
			return err_set(err, -EINVAL, "%s needs a value", row->name);
		r = value_take(ret_options, row, argv[i], err);
		if (r < 0)
			return r;
	}
	if (i + 1 >= argc)
		return err_set(err, -EINVAL, "no command follows '--'");
	ret_options->command = argv + i + 1;
	*ret_contract = contract;
	return 0;
}
