/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3-128 over a set of inputs. Each goes in with its length or end, so that no two sets of inputs
 * look alike. Not a cryptographic digest: it tells whether something changed, not who changed it.
 */
#pragma once

#include <stddef.h>

#include "err.h"

struct digest;

enum { DIGEST_TEXT_BYTES = 33 }; /* 32 hexadecimal digits and NUL */

/* NULL when out of memory. */
struct digest *digest_new(void);
struct digest *digest_free(struct digest *digest);

void digest_text(struct digest *digest, const char *text);
/* For numbers: the text is cut at 255 bytes. */
__attribute__((format(printf, 2, 3))) void digest_printf(struct digest *digest, const char *format,
							 ...);

/* Raw bytes: the caller sees to it that they are told apart. Of the form of file_tree_digest's
 * `update`. */
void digest_update(void *digest, const void *data, size_t bytes);

/* The whole file, under a name that does not depend on where it lies. */
int digest_file(struct digest *digest, const char *name, const char *path, struct err *err);

void digest_finish(struct digest *digest, char ret_text[DIGEST_TEXT_BYTES]);

static inline void cleanup_digest_p(struct digest **digest)
{
	(void)digest_free(*digest);
}
#define cleanup_digest __attribute__((cleanup(cleanup_digest_p)))
