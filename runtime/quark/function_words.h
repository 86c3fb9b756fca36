/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that a function's config, options and labels choose from. The first of each list stands
 * for "not said".
 */
#pragma once

enum function_lang { LANG_NONE, LANG_C, LANG_PYTHON, LANG_NODE, LANG_SH };
enum function_contract {
	CONTRACT_NONE,
	CONTRACT_LIBQUARK, /* the function itself is at mailbox and doorbell */
	CONTRACT_STDIO,	   /* a process for each request */
	CONTRACT_HTTP,	   /* the function is a server */
	CONTRACT_LAMBDA,   /* the function is a client of the Lambda Runtime API */
};
enum function_wake { WAKE_NONE, WAKE_RUN0, WAKE_DIRECT };

/* NULL-terminated; the first is "". */
extern const char *const lang_names[], *const contract_names[], *const wake_names[];

/* The index of a word in such a list; 0 when it is none of them. */
unsigned int word_find(const char *const *names, const char *word);

/* "c, python, node or sh", for messages; cut when it does not fit. */
enum { WORDS_BYTES = 64 };
void words_join(const char *const *names, char ret_text[WORDS_BYTES]);
