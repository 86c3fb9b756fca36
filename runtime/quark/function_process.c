/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From config and image to a process.
 */
#include "function_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "function_allowed.h"
#include "mailbox.h"

#define CONTRACT_PROGRAM "/run/quark/bin/contract"
#define PYTHON_FOLDER "/run/quark/python"
#define NODE_FOLDER "/run/quark/node"
#define NODE_RUNNER NODE_FOLDER "/quark/run.js"
#define IMAGE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- the contract ---------------------------------------------------------------------------- */

static const char *label_of(const struct image *image, const char *name)
{
	for (size_t i = 0; image->label_names && image->label_names[i]; i++)
		if (strcmp(image->label_names[i], name) == 0)
			return image->label_values[i];
	return NULL;
}

/* Languages with a module of libquark; all else talks by standard input and output. */
static enum function_contract contract_that_fits(const struct function_config *config)
{
	static const enum function_contract of_lang[] = {
		[LANG_NONE] = CONTRACT_STDIO,	  [LANG_C] = CONTRACT_LIBQUARK,
		[LANG_PYTHON] = CONTRACT_LIBQUARK, [LANG_NODE] = CONTRACT_LIBQUARK,
		[LANG_SH] = CONTRACT_STDIO,
	};

	return config->command.count > 0 ? CONTRACT_STDIO : of_lang[config->lang];
}

int function_contract(const struct function_config *config, const struct image *image,
		      enum function_contract *ret_contract, struct err *err)
{
	const char *label = image ? label_of(image, CONTRACT_LABEL) : NULL;
	enum function_contract contract = config->contract;
	char words[WORDS_BYTES];

	if (contract == CONTRACT_NONE && label) {
		contract = word_find(contract_names, label);
		words_join(contract_names, words);
		if (contract == CONTRACT_NONE)
			return err_set(err, -EINVAL, "the image's label " CONTRACT_LABEL
				       ", '%.80s', is not one of %s", label, words);
	}
	if (contract == CONTRACT_NONE)
		contract = contract_that_fits(config);
	if (contract == CONTRACT_LIBQUARK && config->lang == LANG_SH)
		return err_set(err, -EINVAL,
			       "a script of the shell cannot call libquark: use contract stdio");
	*ret_contract = contract;
	return 0;
}

/* --- the program ----------------------------------------------------------------------------- */

enum { COMMAND_MAX = 5 };

/* How each language runs a handler; "%s" stands for it. Contract libquark and lambda call a
 * function of a module, the other two (CONTRACT_NONE) run a file of the folder. */
#define FALLBACK "handler.handler"

static const struct runner {
	enum function_lang lang;
	enum function_contract contract;
	const char *fallback; /* the handler when none is said */
	const char *command[COMMAND_MAX];
} runners[] = {
	{LANG_C, CONTRACT_NONE, "function", {FUNCTION_FOLDER "/%s"}},
	{LANG_PYTHON, CONTRACT_LIBQUARK, FALLBACK, {"python3", "-m", "quark", "%s"}},
	{LANG_PYTHON, CONTRACT_LAMBDA, FALLBACK, {"python3", "-m", "awslambdaric", "%s"}},
	{LANG_PYTHON, CONTRACT_NONE, "handler.py", {"python3", FUNCTION_FOLDER "/%s"}},
	{LANG_NODE, CONTRACT_LIBQUARK, FALLBACK, {"node", NODE_RUNNER, "%s"}},
	{LANG_NODE, CONTRACT_LAMBDA, FALLBACK,
	 {"node", FUNCTION_FOLDER "/node_modules/.bin/aws-lambda-ric", "%s"}},
	{LANG_NODE, CONTRACT_NONE, "handler.js", {"node", FUNCTION_FOLDER "/%s"}},
	{LANG_SH, CONTRACT_NONE, "handler.sh", {"/bin/sh", FUNCTION_FOLDER "/%s"}},
};

static const struct runner *runner_find(enum function_lang lang, enum function_contract contract)
{
	for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
		if (runners[i].lang == lang && (runners[i].contract == contract ||
						runners[i].contract == CONTRACT_NONE))
			return &runners[i];
	return NULL;
}

/* The one "%s" of a table's word becomes the handler. */
static int add_word(struct string_list *args, const char *word, const char *handler)
{
	const char *place = strstr(word, "%s");
	cleanup_free char *text = NULL;

	if (!place)
		return string_list_add(args, word);
	if (asprintf(&text, "%.*s%s%s", (int)(place - word), word, handler, place + 2) < 0)
		return -ENOMEM;
	return string_list_add(args, text);
}

static int add_lang_command(struct string_list *args, const struct function_config *config,
			    enum function_contract contract)
{
	const struct runner *runner = runner_find(config->lang, contract);
	const char *handler = config->handler ? config->handler : runner->fallback;
	int r = 0;

	for (size_t i = 0; r == 0 && i < COMMAND_MAX && runner->command[i]; i++)
		r = add_word(args, runner->command[i], handler);
	return r;
}

static int add_image_command(struct string_list *args, const struct function_config *config,
			     const struct image *image)
{
	int r = string_list_add_all(args, (const char *const *)image->entrypoint);

	if (r == 0 && config->handler)
		return string_list_add(args, config->handler);
	return r == 0 ? string_list_add_all(args, (const char *const *)image->cmd) : r;
}

/* Images for Lambda have the runtime as their entry point, and the handler as its argument. */
static bool image_runs_handler(enum function_contract contract, const struct image *image)
{
	return contract == CONTRACT_LAMBDA && image && image->entrypoint && image->entrypoint[0];
}

static int add_command(struct string_list *args, const struct function_config *config,
		       enum function_contract contract, const struct image *image)
{
	if (config->command.count > 0)
		return string_list_add_all(args, (const char *const *)config->command.items);
	if (config->lang != LANG_NONE && !image_runs_handler(contract, image))
		return add_lang_command(args, config, contract);
	return image ? add_image_command(args, config, image) : 0;
}

/* "contract stdio OPTIONS -- COMMAND": the contract's program is the first process. */
static int add_contract(struct string_list *args, const struct function_config *config,
			enum function_contract contract)
{
	int r;

	if (contract == CONTRACT_LIBQUARK)
		return 0;
	r = string_list_add(args, CONTRACT_PROGRAM);
	if (r == 0)
		r = string_list_add(args, contract_names[contract]);
	if (r == 0 && contract == CONTRACT_LAMBDA && config->handler) {
		r = string_list_add(args, "--handler");
		if (r == 0)
			r = string_list_add(args, config->handler);
	}
	if (r == 0)
		r = string_list_add_all(args,
					(const char *const *)config->contract_options.items);
	return r == 0 ? string_list_add(args, "--") : r;
}

static int fill_args(struct function_process *process, const struct function_config *config,
		     enum function_contract contract, const struct image *image, struct err *err)
{
	size_t before;
	int r = add_contract(&process->args, config, contract);

	before = process->args.count;
	if (r == 0)
		r = add_command(&process->args, config, contract, image);
	if (r < 0)
		return err_set(err, r, "out of memory");
	if (config->handler && config->lang == LANG_NONE && contract != CONTRACT_LAMBDA)
		return err_set(err, -EINVAL,
			       "a handler of an image is for contract lambda: this is %s",
			       contract_names[contract]);
	if (process->args.count == before)
		return err_set(err, -EINVAL,
			       "the image names no program: give a \"command\" in a folder's "
			       FUNCTION_CONFIG_FILE);
	if (!process->args.items[before][0])
		return err_set(err, -EINVAL, "the command's program has an empty name");
	return 0;
}

/* --- the environment ------------------------------------------------------------------------- */

/* Modules of ours come before those of the image's own search path. */
static int put_before(struct string_list *env, const char *name, const char *folder)
{
	const char *old = string_list_value(env, name);
	cleanup_free char *item = NULL;

	if (asprintf(&item, "%s=%s%s%s", name, folder, old && *old ? ":" : "", old ? old : "") < 0)
		return -ENOMEM;
	return string_list_set(env, item);
}

static int set_all(struct string_list *env, const char *const *items)
{
	int r = 0;

	for (; r == 0 && items && *items; items++)
		r = string_list_set(env, *items);
	return r;
}

/* An image's environment, without what is ours to say. */
static int set_of_image(struct string_list *env, const struct image *image)
{
	int r = 0;

	for (size_t i = 0; r == 0 && image->env && image->env[i]; i++)
		if (env_allowed(image->env[i]))
			r = string_list_set(env, image->env[i]);
	if (r == 0 && !string_list_value(env, "PATH"))
		r = string_list_set(env, IMAGE_PATH);
	return r;
}

static int set_modules(struct string_list *env, enum function_contract contract)
{
	int r;

	if (contract != CONTRACT_LIBQUARK)
		return 0;
	r = put_before(env, "PYTHONPATH", PYTHON_FOLDER);
	return r == 0 ? put_before(env, "NODE_PATH", NODE_FOLDER) : r;
}

static int set_doorbell(struct string_list *env, const struct function_config *config)
{
	/* PID 1 gives the first process these two. */
	static const char *const descriptors[] = {QUARK_ENV_DOORBELL_FD "=3",
						  QUARK_ENV_MAILBOX_FD "=4", NULL};
	cleanup_free char *wake = NULL;
	int r = set_all(env, descriptors);

	if (r < 0)
		return r;
	if (asprintf(&wake, QUARK_ENV_WAKE "=%s", wake_names[config->wake]) < 0)
		return -ENOMEM;
	return string_list_set(env, wake);
}

static int fill_env(struct string_list *env, const struct function_config *config,
		    enum function_contract contract, const struct image *image)
{
	static const char *const plain[] = {"PATH=/usr/bin:/bin", "HOME=/tmp", NULL};
	int r = image ? set_of_image(env, image) : set_all(env, plain);

	if (r == 0 && image)
		r = set_modules(env, contract);
	if (r == 0)
		r = set_all(env, (const char *const *)config->env.items);
	return r == 0 ? set_doorbell(env, config) : r;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int fill_user(struct function_process *process, const struct image *image)
{
	process->uid = image ? image->uid : FUNCTION_USER;
	process->gid = image ? image->gid : FUNCTION_USER;
	if (!image || image->group_count == 0)
		return 0;
	process->groups = reallocarray(NULL, image->group_count, sizeof(*process->groups));
	if (!process->groups)
		return -ENOMEM;
	memcpy(process->groups, image->groups, image->group_count * sizeof(*process->groups));
	process->group_count = image->group_count;
	return 0;
}

int function_process_fill(struct function_process *ret_process,
			  const struct function_config *config, enum function_contract contract,
			  const struct image *image, struct err *err)
{
	cleanup_function_process struct function_process process = {0};
	const char *image_cwd = image && image->working_dir && image->working_dir[0] == '/'
					? image->working_dir
					: "/";
	int r;

	r = fill_args(&process, config, contract, image, err);
	if (r < 0)
		return r;
	process.cwd = strdup(config->folder[0] ? FUNCTION_FOLDER : image_cwd);
	if (!process.cwd || fill_env(&process.env, config, contract, image) < 0 ||
	    fill_user(&process, image) < 0)
		return err_set(err, -ENOMEM, "out of memory");

	*ret_process = process;
	process = (struct function_process){0};
	return 0;
}

void function_process_done(struct function_process *process)
{
	string_list_done(&process->args);
	string_list_done(&process->env);
	free(process->cwd);
	free(process->groups);
	*process = (struct function_process){0};
}
