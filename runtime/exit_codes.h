/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit codes of quark and lumper, one table for both. Scripts rely on the numbers: they never
 * change their meaning.
 */
#pragma once

enum exit_code {
	EXIT_OK = 0,
	EXIT_ERROR = 1,		  /* anything that has no code of its own */
	EXIT_USAGE = 2,		  /* the command line is wrong */
	EXIT_FUNCTION_FAILED = 3, /* the function answered with quark_fail() */
	EXIT_GUEST_DIED = 4,	  /* the guest ended or broke the protocol before it answered */
	EXIT_REFUSED = 5,	  /* the template is damaged or of another version or CPU */
	EXIT_NOT_FOUND = 6,	  /* no such template, function folder, kernel or file */
	EXIT_HOST = 7,		  /* this host cannot: no usable /dev/kvm, and no rig */

	/* lumper only: how a guest ended that nobody expected to. */
	EXIT_GUEST_POWEROFF = 10,
	EXIT_GUEST_RESET = 11,
	EXIT_GUEST_CRASH = 12, /* its kernel panicked */
	EXIT_GUEST_TRIPLE_FAULT = 13,
	EXIT_GUEST_UNHANDLED = 14, /* an exit that lumper does not handle: see its report */

	EXIT_TIMEOUT = 124,
	EXIT_RIG = 125, /* the rig itself failed */
};
