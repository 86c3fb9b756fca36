/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals as people and clients write them.
 */
#pragma once

/* "TERM", "SIGTERM", "term", "15", "RTMIN", "RTMIN+3", "SIGRTMAX-1"; -1 for anything else. */
int signal_parse(const char *text);
