/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket activation (sd_listen_fds(3)): the descriptors that systemd, or a client in its name, gave
 * this process for its container.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "number.h"
#include "options.h"

/* LISTEN_PID is not looked at, nor is it by runc: podman sets it for the container. */
static inline unsigned int listen_fds_from_environment(void)
{
	const char *text = getenv("LISTEN_FDS");
	uint64_t count;

	return text && number_parse(text, 0, OPTION_COUNT_MAX, &count) ? (unsigned int)count : 0;
}
