/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment of a Lambda function.
 */
#pragma once

#include "contract.h"

enum {
	LAMBDA_WORDS_MAX = 16,
	LAMBDA_WORD_BYTES = 640, /* an option has at most 256 bytes */
	LAMBDA_ARN_BYTES = 400,
};

struct lambda_env {
	char words[LAMBDA_WORDS_MAX][LAMBDA_WORD_BYTES]; /* NAME=VALUE */
	char *list[LAMBDA_WORDS_MAX + 1];		 /* into `words`, NULL-terminated */
	char arn[LAMBDA_ARN_BYTES];			 /* of the function */
};

/* https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html */
void lambda_env_make(struct lambda_env *env, const struct contract_options *options);
