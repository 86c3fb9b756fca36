/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Lambda tells a function by its environment. What an image sets itself stays, but for what
 * describes this machine.
 */
#include "lambda_env.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include "cleanup.h"

/* What a function without a place in AWS gets: the account of AWS's own examples. */
#define REGION "us-east-1"
#define ACCOUNT "123456789012"

struct variable {
	const char *name, *value;
};

static const struct variable defaults[] = {
	{"AWS_REGION", REGION},	      {"AWS_DEFAULT_REGION", REGION},
	{"AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"},
	{"LAMBDA_TASK_ROOT", "/var/task"}, {"LAMBDA_RUNTIME_DIR", "/var/runtime"},
	{"LANG", "en_US.UTF-8"},      {"TZ", ":UTC"},
};

__attribute__((format(printf, 3, 4))) static void word_add(struct lambda_env *env, size_t *count,
							   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(env->words[*count], LAMBDA_WORD_BYTES, format, args);
	va_end(args);
	env->list[*count] = env->words[*count];
	env->list[++*count] = NULL;
}

static unsigned long long memory_mib(const struct contract_options *options)
{
	struct sysinfo info;

	if (options->memory_mib || sysinfo(&info) < 0)
		return options->memory_mib;
	return (unsigned long long)info.totalram * info.mem_unit >> 20;
}

void lambda_env_make(struct lambda_env *env, const struct contract_options *options)
{
	const char *name = options->name, *region = getenv("AWS_REGION");
	size_t count = 0;

	env->list[0] = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (!getenv(defaults[i].name))
			word_add(env, &count, "%s=%s", defaults[i].name, defaults[i].value);
	if (options->handler)
		word_add(env, &count, "_HANDLER=%s", options->handler);
	word_add(env, &count, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:%u", (unsigned int)options->port);
	word_add(env, &count, "AWS_LAMBDA_FUNCTION_NAME=%s", name);
	word_add(env, &count, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%llu", memory_mib(options));
	word_add(env, &count, "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/%s", name);
	word_add(env, &count, "AWS_LAMBDA_LOG_STREAM_NAME=%s", "quark");
	word_add(env, &count, "AWS_LAMBDA_INITIALIZATION_TYPE=%s", "snap-start");
	(void)snprintf(env->arn, sizeof(env->arn), "arn:aws:lambda:%.32s:%s:function:%s",
		       region && *region ? region : REGION, ACCOUNT, name);
}
