/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lumper: boots a Linux guest in a KVM virtual machine, snapshots it, restores it.
 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "lumper_priv.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} verbs[] = {
	{ "boot", cmd_boot, "boot a kernel; with --snapshot, capture it when it is ready" },
	{ "build", cmd_build, "create a function in a restored base, and capture it" },
	{ "restore", cmd_restore, "restore a template and run it, or send it one request" },
	{ "shell", cmd_shell, "wait for a template as an empty, jailed VM (used by quark)" },
};

static void print_help(FILE *out)
{
	fputs("usage: lumper VERB [OPTIONS]\n\nVerbs:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n'lumper VERB --help' lists a verb's options; lumper(1) the exit codes.\n", out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("lumper " QUARK_VERSION);
		return EXIT_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return fail(EXIT_USAGE, "no such verb: '%s' (see lumper --help)", argv[1]);
}
