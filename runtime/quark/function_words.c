/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a function's config.
 */
#include "function_words.h"

#include <stdio.h>
#include <string.h>

const char *const lang_names[] = {
	[LANG_NONE] = "",     [LANG_C] = "c",	[LANG_PYTHON] = "python",
	[LANG_NODE] = "node", [LANG_SH] = "sh", NULL,
};

const char *const contract_names[] = {
	[CONTRACT_NONE] = "",	  [CONTRACT_LIBQUARK] = "libquark", [CONTRACT_STDIO] = "stdio",
	[CONTRACT_HTTP] = "http", [CONTRACT_LAMBDA] = "lambda",	    NULL,
};

const char *const wake_names[] = {
	[WAKE_NONE] = "", [WAKE_RUN0] = "run0", [WAKE_DIRECT] = "direct", NULL,
};

unsigned int word_find(const char *const *names, const char *word)
{
	for (unsigned int i = 1; names[i]; i++)
		if (strcmp(names[i], word) == 0)
			return i;
	return 0;
}

void words_join(const char *const *names, char ret_text[WORDS_BYTES])
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (size_t i = 1; names[i] && used < WORDS_BYTES; i++) {
		const char *before = i == 1 ? "" : names[i + 1] ? ", " : " or ";
		int n = snprintf(ret_text + used, WORDS_BYTES - used, "%s%s", before, names[i]);

		used += n > 0 ? (size_t)n : 0;
	}
}
