/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values on the command line, and how lumper says goodbye.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "lumper_priv.h"
#include "mailbox.h"
#include "number.h"
#include "text.h"

enum { MESSAGE_BYTES = 4096 };

int fail(enum exit_code code, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fputs("lumper: ", stderr);
	text_write_clean(stderr, message, strlen(message));
	return code;
}

int options_parse(int argc, char **argv, const struct option *rows, const char *help,
		  bool (*set)(void *context, int option), void *context)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", rows, NULL)) >= 0) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!set(context, option))
			return EXIT_USAGE;
	}
	return -1;
}

bool option_number(const char *name, const char *text, uint64_t least, uint64_t most,
		   uint64_t *ret_value)
{
	if (number_parse(text, least, most, ret_value))
		return true;
	(void)fail(EXIT_USAGE, "--%s takes a number from %llu to %llu, not '%s'", name,
		   (unsigned long long)least, (unsigned long long)most, text);
	return false;
}

bool option_memory(const char *text, uint64_t *ret_bytes)
{
	static const char suffixes[] = "KMG";
	uint64_t value, unit = 1ull << 20;
	const char *suffix;
	char *end;

	if (!number_take(text, &end, &value))
		goto bad;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			goto bad;
		unit = 1024ull << (10 * (suffix - suffixes));
	}
	if (value > GUEST_MEMORY_MAX_BYTES / unit)
		goto bad;
	*ret_bytes = value * unit;
	return true;
bad:
	(void)fail(EXIT_USAGE, "--memory takes MiB (or K, M, G) up to 8G, not '%s'", text);
	return false;
}

bool option_cpu(const char *text, enum cpu_template *ret_template)
{
	static const char *const names[] = {
		[CPU_TEMPLATE_PORTABLE] = "portable",
		[CPU_TEMPLATE_HOST] = "host",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_template = (enum cpu_template)i;
			return true;
		}
	}
	(void)fail(EXIT_USAGE, "--cpu takes portable or host, not '%s'", text);
	return false;
}

int option_data(const char *text, uint8_t **ret_data, size_t *ret_bytes, struct err *err)
{
	if (text[0] == '@')
		return file_read(text + 1, MAILBOX_REQUEST_MAX, ret_data, ret_bytes, err);
	*ret_bytes = strlen(text);
	*ret_data = (uint8_t *)strdup(text);
	return *ret_data ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int end_of_vm(const struct vm_event *event)
{
	static const enum exit_code codes[] = {
		[VM_EVENT_POWEROFF] = EXIT_GUEST_POWEROFF,
		[VM_EVENT_RESET] = EXIT_GUEST_RESET,
		[VM_EVENT_CRASH] = EXIT_GUEST_CRASH,
		[VM_EVENT_TRIPLE_FAULT] = EXIT_GUEST_TRIPLE_FAULT,
		[VM_EVENT_UNHANDLED] = EXIT_GUEST_UNHANDLED,
	};
	enum exit_code code = event->kind < ARRAY_SIZE(codes) && codes[event->kind] ?
				      codes[event->kind] :
				      EXIT_ERROR;

	(void)fail(code, "%s (vCPU %u)", vm_event_name(event->kind), event->vcpu);
	if (event->report[0])
		fputs(event->report, stderr);
	return code;
}
