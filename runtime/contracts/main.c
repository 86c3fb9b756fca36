/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contract: the first process of a container whose function does not link libquark.
 *
 *	contract stdio|http|lambda [OPTIONS] -- COMMAND [ARGUMENTS...]
 *
 * It ends with the function's own exit status, or with 1 and a line on standard error when
 * something failed. docs/contracts/ describes the three contracts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "contract.h"
#include "err.h"
#include "exit_codes.h"
#include "machine.h"

/* A pipe that became descriptor 0 to 2 would be taken for what it is not. */
static void standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	const struct contract *contract = NULL;
	struct contract_options options;
	struct err err = {0};
	int r;

	standard_descriptors();
	r = options_parse(argc, argv, &contract, &options, &err);
	if (r > 0)
		return EXIT_OK;
	if (r < 0) {
		(void)fprintf(stderr, "contract: %s\n", err.message);
		return EXIT_USAGE;
	}
	r = machine_open(&err);
	if (r == 0)
		r = contract->run(&options, &err);
	if (err.code)
		machine_end(contract->name, err.message);
	return r < 0 ? EXIT_ERROR : r;
}
