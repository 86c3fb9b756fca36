/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the program `contract` share: its options, and the contracts that it knows.
 *
 * A contract is the way in which a function that does not link libquark gets its requests. The
 * program is the first process of the function's container: it alone has doorbell and mailbox, and
 * the function is its child. One thread; the request path allocates nothing and formats nothing
 * by printf, as each page that a clone touches first has its price (runtime/libquark/quark.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

struct contract_options {
	uint64_t timeout_ms;	   /* of a request; 0: none */
	uint64_t start_timeout_ms; /* until the function is ready for the first one */
	uint64_t port;
	const char *path;	  /* http: where requests are posted to */
	const char *content_type; /* http: of requests */
	const char *ready_path;	  /* http: NULL: it is enough that the port accepts */
	bool hooks;		  /* http: post to HOOK_* */
	const char *handler;	  /* lambda: NULL: what the environment says */
	const char *name;	  /* lambda: the function's name */
	uint64_t memory_mib;	  /* lambda: 0: the machine's */
	char *const *command;	  /* NULL-terminated, at least one word */
};

/* Serves requests until the function ends, whose exit status is returned, or something fails. `err`
 * has the reason in both cases. */
typedef int contract_fn(const struct contract_options *options, struct err *err);

contract_fn stdio_run;
contract_fn http_run;
contract_fn lambda_run;

struct contract {
	const char *name;
	unsigned int bit; /* in the options' table: what knows the option */
	const char *summary;
	contract_fn *run;
	struct contract_options defaults;
};

/* Reads `contract NAME [OPTIONS] -- COMMAND [ARGS...]`. 0 with both set; 1 when help was printed;
 * -EINVAL. */
int options_parse(int argc, char **argv, const struct contract **ret_contract,
		  struct contract_options *ret_options, struct err *err);
