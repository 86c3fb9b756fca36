/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark new: a function to begin with.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli.h"
#include "file_tree.h"
#include "function_words.h"

static int make_folder(const char *folder, struct err *err)
{
	if (mkdir(folder, 0777) == 0)
		return 0;
	return err_set(err, -errno, errno == EEXIST ? "'%s' is there already" :
						      "cannot make the folder '%s'",
		       folder);
}

/* A folder that was half filled would be in the way of the next try. */
static int copy_sample(const char *sample, const char *folder, struct err *err)
{
	int r = make_folder(folder, err);

	if (r < 0)
		return r;
	r = file_tree_copy(sample, folder, err);
	if (r < 0)
		(void)file_tree_remove(folder, NULL);
	return r;
}

static int new_function(struct cli *cli, const char *lang, const char *folder)
{
	cleanup_free char *sample = NULL;
	struct err err = {0};

	if (cli_open(cli, &err) < 0)
		return cli_fail(&err);
	if (asprintf(&sample, "%s/%s", cli->paths.samples, lang) < 0) {
		sample = NULL;
		(void)err_set(&err, -ENOMEM, "out of memory");
	} else if (access(sample, R_OK) < 0) {
		(void)err_set(&err, -errno, "cannot read '%s': %s", sample, strerror(errno));
	} else if (copy_sample(sample, folder, &err) == 0) {
		cli_say(cli, "'%s' holds a function; next: quark build %s -t NAME", folder, folder);
		return EXIT_OK;
	}
	return cli_fail(&err);
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option table[] = {{"lang", required_argument, NULL, OPT_VERB}, {0}};
	const char *lang = NULL;
	char words[WORDS_BYTES];
	int option, code;

	while ((option = cli_getopt(cli, argc, argv, "", table, &code)) >= 0) {
		if (option == OPT_EXIT)
			return code;
		lang = optarg;
	}
	if (!cli_count_arguments(cli, argc, argv))
		return EXIT_USAGE;
	words_join(lang_names, words);
	if (!lang)
		return cli_usage(cli, "--lang is missing: %s", words);
	if (!word_find(lang_names, lang))
		return cli_usage(cli, "--lang: '%.80s' is not one of %s", lang, words);
	return new_function(cli, lang, argv[optind]);
}

static const char help[] =
	"new --lang L FOLDER\n\n"
	"Makes FOLDER with a small function, ready to be built. It must not be there yet.\n\n"
	"Options:\n"
	"  --lang L         c, python, node or sh\n\n";

const struct verb verb_new = {
	.name = "new",
	.summary = "begin a function from a sample",
	.help = help,
	.options = "--lang",
	.least = 1,
	.most = 1,
	.run = run,
};
