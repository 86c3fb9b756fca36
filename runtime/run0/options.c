/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of command lines. Its input is argv alone. getopt_long is not used because clients
 * rely on what Go's parser takes and getopt does not: --flag=false, -l=VALUE and -name.
 */
#include "options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"
#include "number.h"

enum { HELP_WANTED = 1 };

struct parser {
	const struct cli_option *options;
	void *values;
	struct arguments *arguments;
	int at;      /* the argument that is looked at */
	int kept;    /* how many arguments were no options */
	size_t most; /* a list cannot become longer */
	struct err *err;
};

static const struct cli_option help_option = { .name = "help", .letter = 'h' };

static const struct cli_option *find_name(const struct parser *parser, const char *name,
					  size_t bytes)
{
	for (const struct cli_option *option = parser->options; option->name; option++)
		if (strncmp(option->name, name, bytes) == 0 && !option->name[bytes])
			return option;
	return bytes == 4 && strncmp(name, "help", 4) == 0 ? &help_option : NULL;
}

static const struct cli_option *find_letter(const struct parser *parser, char letter)
{
	for (const struct cli_option *option = parser->options; option->name; option++)
		if (option->letter == letter)
			return option;
	return letter == 'h' || letter == '?' ? &help_option : NULL;
}

static int set_flag(const struct parser *parser, const char *name, const char *text, bool *ret_flag)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{ "true", true },   { "1", true },  { "t", true },
		{ "false", false }, { "0", false }, { "f", false },
	};

	*ret_flag = true;
	if (!text)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(words[i].text, text) == 0) {
			*ret_flag = words[i].value;
			return 0;
		}
	return err_set(parser->err, -EINVAL, "option --%s: '%s' is neither true nor false", name,
		       text);
}

static int add_to_list(const struct parser *parser, struct text_list *list, const char *text)
{
	if (!list->items)
		list->items = calloc(parser->most + 1, sizeof(*list->items));
	if (!list->items)
		return err_set(parser->err, -ENOMEM, "out of memory");
	list->items[list->count++] = text;
	return 0;
}

static bool is_among(const char *words, const char *text)
{
	const size_t bytes = strcspn(text, " ");

	if (bytes == 0 || text[bytes])
		return false;
	for (const char *word = words; word; word = strchr(word, ' ')) {
		word += *word == ' ';
		if (strncmp(word, text, bytes) == 0 && (word[bytes] == ' ' || !word[bytes]))
			return true;
	}
	return false;
}

static int set_value(const struct parser *parser, const struct cli_option *option, const char *text)
{
	void *to = (char *)parser->values + option->offset;
	uint64_t number;

	switch (option->kind) {
	case OPTION_FLAG:
		return set_flag(parser, option->name, text, to);
	case OPTION_IGNORED:
		return set_flag(parser, option->name, text, &(bool){ false });
	case OPTION_IGNORED_TEXT:
		return 0;
	case OPTION_LIST:
		return add_to_list(parser, to, text);
	case OPTION_COUNT:
		if (!number_parse(text, 0, OPTION_COUNT_MAX, &number))
			return err_set(parser->err, -EINVAL,
				       "option --%s: '%s' is not a number from 0 to %d",
				       option->name, text, OPTION_COUNT_MAX);
		*(unsigned int *)to = (unsigned int)number;
		return 0;
	case OPTION_WORD:
		if (!is_among(option->words, text))
			return err_set(parser->err, -EINVAL, "option --%s: '%s' is none of: %s",
				       option->name, text, option->words);
		break;
	case OPTION_TEXT:
		break;
	}
	*(const char **)to = *text ? text : NULL;
	return 0;
}

/* `text` is what stood in the same argument, NULL when nothing did. */
static int take(struct parser *parser, const struct cli_option *option, const char *text)
{
	if (option == &help_option)
		return HELP_WANTED;
	if (!text && option_kind_has_value(option->kind)) {
		if (parser->at + 1 >= parser->arguments->count)
			return err_set(parser->err, -EINVAL, "option --%s needs a value",
				       option->name);
		text = parser->arguments->items[++parser->at];
	}
	return set_value(parser, option, text);
}

static int take_letters(struct parser *parser, const char *letters)
{
	int r = 0;

	for (; r == 0 && *letters; letters++) {
		const struct cli_option *option = find_letter(parser, *letters);
		const char *rest = letters + 1;

		if (!option)
			return err_set(parser->err, -EINVAL, "unknown option '-%c'", *letters);
		if (*rest != '=' && !option_kind_has_value(option->kind)) {
			r = take(parser, option, NULL);
			continue;
		}
		rest += *rest == '=';
		return take(parser, option, *rest || rest[-1] == '=' ? rest : NULL);
	}
	return r;
}

static int take_option(struct parser *parser, const char *argument)
{
	const bool is_long = argument[1] == '-';
	const char *name = argument + 1 + is_long;
	const size_t bytes = strcspn(name, "=");
	const struct cli_option *option = find_name(parser, name, bytes);

	if (option)
		return take(parser, option, name[bytes] ? name + bytes + 1 : NULL);
	if (is_long)
		return err_set(parser->err, -EINVAL, "unknown option '--%.*s'", (int)bytes, name);
	return take_letters(parser, name);
}

int options_parse(const struct cli_option *options, void *values, bool in_order,
		  struct arguments *arguments, struct err *err)
{
	struct parser parser = {
		.options = options,
		.values = values,
		.arguments = arguments,
		.most = (size_t)arguments->count,
		.err = err,
	};
	char **items = arguments->items;

	for (; parser.at < arguments->count; parser.at++) {
		char *argument = items[parser.at];
		int r;

		if (strcmp(argument, "--") == 0) {
			parser.at++;
			break;
		}
		if (argument[0] == '-' && argument[1]) {
			r = take_option(&parser, argument);
			if (r != 0)
				return r;
			continue;
		}
		if (in_order)
			break;
		items[parser.kept++] = argument;
	}
	if (parser.kept == 0) {
		/* Whoever runs itself again needs its argv as it was. */
		arguments->items += parser.at;
		arguments->count -= parser.at;
		return 0;
	}
	while (parser.at < arguments->count)
		items[parser.kept++] = items[parser.at++];
	arguments->count = parser.kept;
	return 0;
}
