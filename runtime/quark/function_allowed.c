/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a config's strings: pure functions of the text.
 */
#include "function_allowed.h"

#include <ctype.h>
#include <string.h>

#define RESERVED_ENV "QUARK_" /* doorbell, mailbox and wake */

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool starts_with_any(const char *text, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (starts_with(text, *prefixes))
			return true;
	return false;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			return true;
	return false;
}

/* A relative path whose components neither are "." or ".." nor look like an option. */
bool path_allowed(const char *path)
{
	if (has_control(path))
		return false;
	for (const char *at = path;; at++) {
		size_t n = strcspn(at, "/");

		if (n == 0 || *at == '.' || *at == '-' || *at == '@')
			return false;
		at += n;
		if (!*at)
			return true;
	}
}

bool source_allowed(const char *path)
{
	size_t n = strlen(path);

	return path_allowed(path) && n > 2 && strcmp(path + n - 2, ".c") == 0;
}

bool lib_allowed(const char *name)
{
	if (!isalnum((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_+.-", *name))
			return false;
	return true;
}

bool cflag_allowed(const char *flag)
{
	static const char *const allowed[] = {"-D", "-U", "-O",	   "-W", "-f",
					      "-g", "-m", "-std=", NULL};
	/* They pass options on, load code into the compiler, or write files. */
	static const char *const refused[] = {"-Wa,",	  "-Wl,",   "-Wp,", "-fplugin",
					      "-fuse-ld", "-fdump", NULL};
	/* Of -f options with a value many name a file to be written (-fopt-info=F). */
	static const char *const with_value[] = {"-fexcess-precision=", "-ffp-contract=",
						 "-finline-limit=",	"-fmax-errors=",
						 "-fvisibility=",	NULL};

	if (starts_with(flag, "-f") && strchr(flag, '=') && !starts_with_any(flag, with_value))
		return false;
	return starts_with_any(flag, allowed) && !starts_with_any(flag, refused);
}

bool handler_allowed(const char *handler)
{
	if (!path_allowed(handler))
		return false;
	for (; *handler; handler++)
		if (!isalnum((unsigned char)*handler) && !strchr("_./-", *handler))
			return false;
	return true;
}

bool image_allowed(const char *image)
{
	return *image && *image != '-' && !has_control(image);
}

bool argument_allowed(const char *argument)
{
	(void)argument;
	return true;
}

bool env_allowed(const char *item)
{
	const size_t n = strcspn(item, "=");

	if (n == 0 || !item[n] || isdigit((unsigned char)*item) || starts_with(item, RESERVED_ENV))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)item[i]) && item[i] != '_')
			return false;
	return true;
}
