/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters at work: actions, arguments, architectures, and the notify agent.
 */
#include "oci_seccomp_try.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "err.h"
#include "process/seccomp_priv.h"

static struct seccomp_filter *new_filter(const struct oci_seccomp *seccomp)
{
	struct seccomp_filter *filter;
	struct err err = { 0 };

	if (seccomp_filter_new(&filter, seccomp, NULL, &err) < 0)
		fail_msg("%s", err.message);
	return filter;
}

static long try(const struct oci_seccomp *seccomp, struct call call)
{
	struct seccomp_filter *filter = new_filter(seccomp);
	const long answer = try_filter(filter, &call);

	filter = seccomp_filter_free(filter);
	return answer;
}

static const struct call getppid_call = { .number = SYS_getppid };
static const struct call lseek_call = { .number = SYS_lseek, .args = { -1, 0, 0 } };

/* --- actions ---------------------------------------------------------------------------------- */

static long try_action(const char *action, struct oci_number errno_ret)
{
	struct oci_seccomp_rule rule = { .names = NAMES("getppid"), .action = action,
					 .errno_ret = errno_ret };
	const struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_LOG", .rules = &rule,
					     .rule_count = 1 };

	return try(&seccomp, getppid_call);
}

static void test_actions(void **state)
{
	const struct oci_number none = { 0 };
	const long self = getpid();

	(void)state;
	assert_int_equal(try_action("SCMP_ACT_ALLOW", none), self);
	assert_int_equal(try_action("SCMP_ACT_LOG", none), self);
	assert_int_equal(try_action("SCMP_ACT_ERRNO", none), -EPERM);
	assert_int_equal(try_action("SCMP_ACT_ERRNO", (struct oci_number)NUMBER(77)), -77);
	assert_int_equal(try_action("SCMP_ACT_ERRNO", (struct oci_number)NUMBER(0)), 0);
	assert_int_equal(try_action("SCMP_ACT_KILL", none), KILLED);
	assert_int_equal(try_action("SCMP_ACT_KILL_THREAD", none), KILLED);
	assert_int_equal(try_action("SCMP_ACT_KILL_PROCESS", none), KILLED);
	assert_int_equal(try_action("SCMP_ACT_TRAP", none), KILLED); /* SIGSYS */
	/* Without a tracer. */
	assert_int_equal(try_action("SCMP_ACT_TRACE", none), -ENOSYS);
}

static void test_default_action(void **state)
{
	struct oci_seccomp_rule rule = { .names = NAMES("exit_group", "nonsense", "clone3"),
					 .action = "SCMP_ACT_ALLOW" };
	struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ERRNO", .rules = &rule,
				       .rule_count = 1, .default_errno_ret = NUMBER(55) };

	(void)state;
	assert_int_equal(try(&seccomp, getppid_call), -55);
	seccomp.default_errno_ret.set = false;
	assert_int_equal(try(&seccomp, getppid_call), -EPERM);
	seccomp.default_action = "SCMP_ACT_KILL_PROCESS";
	assert_int_equal(try(&seccomp, getppid_call), KILLED);
	/* A rule that says what the default says is left out; libseccomp would refuse it. */
	seccomp.default_action = "SCMP_ACT_ALLOW";
	assert_int_equal(try(&seccomp, getppid_call), getpid());
	seccomp.rule_count = 0;
	assert_int_equal(try(&seccomp, getppid_call), getpid());
}

static void test_flags(void **state)
{
	struct oci_seccomp_rule rule = { .names = NAMES("getppid"), .action = "SCMP_ACT_ERRNO" };
	const struct oci_seccomp seccomp = {
		.default_action = "SCMP_ACT_ALLOW",
		.rules = &rule,
		.rule_count = 1,
		.flags = NAMES("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC",
			       "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
			       "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
	};

	(void)state;
	assert_int_equal(try(&seccomp, getppid_call), -EPERM);
}

/* --- arguments -------------------------------------------------------------------------------- */

/* lseek(-1, OFFSET, WHENCE) with a condition on OFFSET: EBADF comes from the kernel, 99 from us. */
static void test_operators(void **state)
{
	static const uint64_t high = UINT64_C(5) << 32;
	static const struct {
		const char *op;
		uint64_t value, value_two, offset;
		bool matches;
	} cases[] = {
		{ "SCMP_CMP_EQ", 5, 0, 5, true },
		{ "SCMP_CMP_EQ", 5, 0, 4, false },
		{ "SCMP_CMP_EQ", high | 5, 0, high | 5, true },
		{ "SCMP_CMP_EQ", high | 5, 0, 5, false },
		{ "SCMP_CMP_NE", 5, 0, 4, true },
		{ "SCMP_CMP_NE", 5, 0, 5, false },
		{ "SCMP_CMP_NE", 5, 0, high | 5, true },
		{ "SCMP_CMP_LT", 5, 0, 4, true },
		{ "SCMP_CMP_LT", 5, 0, 5, false },
		{ "SCMP_CMP_LT", 5, 0, high, false },
		{ "SCMP_CMP_LE", 5, 0, 5, true },
		{ "SCMP_CMP_LE", 5, 0, 6, false },
		{ "SCMP_CMP_GE", 5, 0, 5, true },
		{ "SCMP_CMP_GE", 5, 0, 4, false },
		{ "SCMP_CMP_GE", high, 0, high | 1, true },
		{ "SCMP_CMP_GT", 5, 0, 6, true },
		{ "SCMP_CMP_GT", 5, 0, 5, false },
		{ "SCMP_CMP_GT", 5, 0, high, true },
		{ "SCMP_CMP_MASKED_EQ", 0xf0, 0x30, 0x3f, true },
		{ "SCMP_CMP_MASKED_EQ", 0xf0, 0x30, 0x4f, false },
		{ "SCMP_CMP_MASKED_EQ", high, high, high | 9, true },
		{ "SCMP_CMP_MASKED_EQ", high, 0, high | 9, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_seccomp_arg arg = { 1, cases[i].value, cases[i].value_two, cases[i].op };
		struct oci_seccomp_rule rule = { .names = NAMES("lseek"),
						 .action = "SCMP_ACT_ERRNO",
						 .errno_ret = NUMBER(99),
						 .args = &arg,
						 .arg_count = 1 };
		const struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW",
						     .rules = &rule,
						     .rule_count = 1 };
		struct call call = lseek_call;

		call.args[1] = (long)cases[i].offset;
		if (try(&seccomp, call) != (cases[i].matches ? -99 : -EBADF))
			fail_msg("case %zu: %s", i, cases[i].op);
	}
}

static long try_two(unsigned int second_index, long offset, long whence)
{
	struct oci_seccomp_arg args[] = { { 1, 10, 0, "SCMP_CMP_EQ" },
					  { second_index, 20, 0, "SCMP_CMP_EQ" } };
	struct oci_seccomp_rule rule = { .names = NAMES("lseek"), .action = "SCMP_ACT_ERRNO",
					 .errno_ret = NUMBER(99), .args = args, .arg_count = 2 };
	const struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW", .rules = &rule,
					     .rule_count = 1 };
	struct call call = lseek_call;

	call.args[1] = offset;
	call.args[2] = whence;
	return try(&seccomp, call);
}

static void test_several_conditions(void **state)
{
	(void)state;
	/* On two arguments: both. */
	assert_int_equal(try_two(2, 10, 20), -99);
	assert_int_equal(try_two(2, 10, 0), -EBADF);
	assert_int_equal(try_two(2, 0, 20), -EBADF);
	/* On one: either. */
	assert_int_equal(try_two(1, 10, 0), -99);
	assert_int_equal(try_two(1, 20, 0), -99);
	assert_int_equal(try_two(1, 30, 0), -EBADF);
}

/* --- architectures ---------------------------------------------------------------------------- */

static const struct call getppid_i386 = { .i386 = true, .number = 64 };
static const struct call getppid_x32 = { .number = X32_BIT | SYS_getppid };

static void test_architectures(void **state)
{
	struct oci_seccomp_rule rule = { .names = NAMES("getppid"), .action = "SCMP_ACT_ERRNO",
					 .errno_ret = NUMBER(77) };
	struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW", .rules = &rule,
				       .rule_count = 1 };

	(void)state;
	if (try_filter(NULL, &getppid_i386) != getpid())
		skip(); /* a kernel without 32-bit system calls */
	/* Those that the profile does not list are no way around it. */
	assert_int_equal(try(&seccomp, getppid_call), -77);
	assert_int_equal(try(&seccomp, getppid_i386), KILLED);
	assert_int_equal(try(&seccomp, getppid_x32), KILLED);
	seccomp.architectures = (struct oci_strings)NAMES("SCMP_ARCH_X86_64", "SCMP_ARCH_X86",
							  "SCMP_ARCH_X32");
	assert_int_equal(try(&seccomp, getppid_call), -77);
	assert_int_equal(try(&seccomp, getppid_i386), -77);
	assert_int_equal(try(&seccomp, getppid_x32), -77);
}

/* The profile names nothing above exit_group (231) on x86-64, nor above 252 on i386. */
static void test_newer_system_calls_are_unknown(void **state)
{
	struct oci_seccomp_rule rule = { .names = NAMES("exit_group", "read"),
					 .action = "SCMP_ACT_ALLOW" };
	struct oci_seccomp seccomp = {
		.default_action = "SCMP_ACT_ERRNO",
		.rules = &rule,
		.rule_count = 1,
		.architectures = NAMES("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
	};
	const struct call newer = { .number = 232 }, newest = { .number = 100000 };
	const struct call older = { .number = 230 };
	const struct call newer_x32 = { .number = X32_BIT | 232 };
	const struct call older_x32 = { .number = X32_BIT | 230 };
	const struct call newer_i386 = { .i386 = true, .number = 253 };
	const struct call older_i386 = { .i386 = true, .number = 250 };

	(void)state;
	assert_int_equal(try(&seccomp, newer), -ENOSYS);
	assert_int_equal(try(&seccomp, newest), -ENOSYS);
	assert_int_equal(try(&seccomp, older), -EPERM);
	assert_int_equal(try(&seccomp, newer_x32), -ENOSYS);
	assert_int_equal(try(&seccomp, older_x32), -EPERM);
	if (try_filter(NULL, &getppid_i386) == getpid()) {
		assert_int_equal(try(&seccomp, newer_i386), -ENOSYS);
		assert_int_equal(try(&seccomp, older_i386), -EPERM);
	}
	/* Where the default kills, ENOSYS lets the program live. */
	seccomp.default_action = "SCMP_ACT_KILL_PROCESS";
	assert_int_equal(try(&seccomp, newest), -ENOSYS);
	assert_int_equal(try(&seccomp, older), KILLED);
	/* x32 is not listed: no number of it is better than another. */
	seccomp.architectures.count = 1;
	assert_int_equal(try(&seccomp, newer_x32), KILLED);
	/* Allowed is allowed: the kernel has an epoll_wait (232), which has no descriptor here. */
	seccomp.default_action = "SCMP_ACT_LOG";
	assert_true(try(&seccomp, newer) != -ENOSYS);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void assert_refused(const struct oci_seccomp *seccomp, const char *message)
{
	struct seccomp_filter *filter;
	struct err err = { 0 };

	assert_int_equal(seccomp_filter_new(&filter, seccomp, NULL, &err), -EINVAL);
	assert_ptr_equal(strstr(err.message, message), err.message);
}

static void test_errors_name_the_member(void **state)
{
	struct oci_seccomp_arg arg = { 6, 0, 0, "SCMP_CMP_EQ" };
	struct oci_seccomp_rule rules[] = {
		{ .names = NAMES("read"), .action = "SCMP_ACT_ERRNO" },
		{ .names = NAMES("write"), .action = "SCMP_ACT_ERRNO", .args = &arg,
		  .arg_count = 1 },
	};
	struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW", .rules = rules,
				       .rule_count = 2 };

	(void)state;
	assert_refused(&seccomp, "linux.seccomp.syscalls[1].args[0].index: ");
	arg = (struct oci_seccomp_arg){ 0, 0, 0, "SCMP_CMP_XX" };
	assert_refused(&seccomp, "linux.seccomp.syscalls[1].args[0].op: ");
	seccomp.rule_count = 1;
	rules[0].errno_ret = (struct oci_number)NUMBER(1 << 16);
	assert_refused(&seccomp, "linux.seccomp.syscalls[0]: no error number");
	rules[0].action = "SCMP_ACT_KILL";
	assert_refused(&seccomp, "linux.seccomp.syscalls[0]: SCMP_ACT_KILL returns no error");
	rules[0].errno_ret.set = false;
	rules[0].action = "SCMP_ACT_NOTIFY";
	assert_refused(&seccomp, "linux.seccomp.listenerPath: missing");
	rules[0].action = "SCMP_ACT_NONE";
	assert_refused(&seccomp, "linux.seccomp.syscalls[0]: unknown action 'SCMP_ACT_NONE'");
	rules[0].action = "SCMP_ACT_KILL";
	seccomp.architectures = (struct oci_strings)NAMES("SCMP_ARCH_X86", "SCMP_ARCH_Z80");
	assert_refused(&seccomp, "linux.seccomp.architectures[1]: unknown");
	seccomp.architectures = (struct oci_strings)NAMES("SCMP_ARCH_S390X");
	{
		struct seccomp_filter *filter;
		struct err err = { 0 };

		assert_true(seccomp_filter_new(&filter, &seccomp, NULL, &err) < 0);
		assert_ptr_equal(strstr(err.message, "linux.seccomp.architectures[0]: SCMP_ARCH_"),
				 err.message);
	}
	seccomp.architectures.count = 0;
	seccomp.flags = (struct oci_strings)NAMES("SECCOMP_FILTER_FLAG_X");
	assert_refused(&seccomp, "linux.seccomp.flags[0]: unknown");
	seccomp.flags.count = 0;
	seccomp.default_action = "SCMP_ACT_NOTIFY";
	assert_refused(&seccomp, "linux.seccomp.defaultAction: ");
}

static void test_names_for_features(void **state)
{
	const char *const *lists[] = { seccomp_actions(), seccomp_operators(),
				       seccomp_architectures(), seccomp_flags() };
	static const size_t counts[] = { 9, 7, 19, 4 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		size_t count = 0;

		while (lists[i][count])
			count++;
		assert_int_equal(count, counts[i]);
	}
}

/* --- the notify agent ------------------------------------------------------------------------- */

static int listen_at(char path[48])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(path, 48, "/tmp/oci-agent-%d", (int)getpid());
	(void)unlink(path);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Reads a message to its end; returns the descriptor that came with it. */
static int receive(int fd, char *text, size_t bytes)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	size_t got = 0;
	int listener = -1;
	ssize_t n;

	do {
		struct iovec part = { text + got, bytes - got };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1,
					  .msg_control = control.room,
					  .msg_controllen = sizeof(control.room) };
		const struct cmsghdr *header;

		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
		header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
		if (header && header->cmsg_type == SCM_RIGHTS)
			memcpy(&listener, CMSG_DATA(header), sizeof(listener));
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0 && got < bytes);
	assert_int_equal(got, bytes);
	return listener;
}

static void answer(int listener, long value)
{
	struct seccomp_notif request = { 0 };
	struct seccomp_notif_resp response = { .val = value };

	assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request), 0);
	assert_int_equal(request.data.nr, SYS_getppid);
	response.id = request.id;
	assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response), 0);
}

/* The profile leaves to the agent all that a delivery by the filtered thread itself would call. */
static void test_notify_agent(void **state)
{
	enum { TEXT_BYTES = 400000 }; /* more than a socket takes at once */
	struct oci_seccomp_rule rule = {
		.names = NAMES("getppid", "sendmsg", "sendto", "write", "nanosleep", "futex",
			       "poll"),
		.action = "SCMP_ACT_NOTIFY",
	};
	char path[48];
	const struct oci_seccomp seccomp = {
		.default_action = "SCMP_ACT_ALLOW",
		.rules = &rule,
		.rule_count = 1,
		.listener_path = path,
		.flags = NAMES("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
			       "SECCOMP_FILTER_FLAG_TSYNC"),
	};
	const int listening = listen_at(path);
	char *text = malloc(TEXT_BYTES + 1), *received = malloc(TEXT_BYTES);
	struct seccomp_filter *filter = new_filter(&seccomp);
	long *result = shared_long();
	int agent, connection, listener, status;
	pid_t pid;

	(void)state;
	memset(text, 'x', TEXT_BYTES);
	text[TEXT_BYTES] = '\0';
	assert_int_equal(seccomp_agent_connect(path, &agent, NULL), 0);
	pid = fork_child();
	if (pid == 0) {
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_filter_load_and_send(filter, agent, text, NULL) < 0)
			_exit(1);
		*result = make_call(&getppid_call);
		_exit(0);
	}
	(void)close(agent);
	connection = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	listener = receive(connection, received, TEXT_BYTES);
	assert_memory_equal(received, text, TEXT_BYTES);
	assert_true(listener >= 0);
	answer(listener, 424242);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(*result, 424242);
	filter = seccomp_filter_free(filter);
	(void)close(listener);
	(void)close(connection);
	(void)close(listening);
	(void)unlink(path);
	free(text);
	free(received);
}

/* An agent that hangs up is an error, in the process that loads the filter. */
static void test_agent_that_is_gone(void **state)
{
	struct oci_seccomp_rule rule = { .names = NAMES("getppid"), .action = "SCMP_ACT_NOTIFY" };
	char path[48];
	const struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW", .rules = &rule,
					     .rule_count = 1, .listener_path = path };
	const int listening = listen_at(path);
	struct seccomp_filter *filter = new_filter(&seccomp);
	struct err err = { 0 };
	int agent, status;
	pid_t pid;

	(void)state;
	assert_int_equal(seccomp_agent_connect(path, &agent, NULL), 0);
	(void)close(listening);
	pid = fork_child();
	if (pid == 0) {
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(seccomp_filter_load_and_send(filter, agent, "{}", &err) < 0 &&
		      strstr(err.message, "linux.seccomp.listenerPath: ") ? 7 : 8);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	(void)close(agent);
	assert_int_equal(seccomp_agent_connect(path, &agent, &err), -ECONNREFUSED);
	(void)unlink(path);
	assert_int_equal(seccomp_agent_connect(path, &agent, &err), -ENOENT);
	assert_non_null(strstr(err.message, path));
	filter = seccomp_filter_free(filter);
}

/* Without no_new_privs or privilege the kernel refuses; that is told, and no thread is left. */
static void test_load_failure_is_told(void **state)
{
	struct oci_seccomp_rule rule = { .names = NAMES("getppid"), .action = "SCMP_ACT_ERRNO" };
	const struct oci_seccomp seccomp = { .default_action = "SCMP_ACT_ALLOW", .rules = &rule,
					     .rule_count = 1 };
	struct seccomp_filter *filter = new_filter(&seccomp);
	struct err err = { 0 };
	int status, ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork_child();
	if (pid == 0) {
		if (geteuid() == 0 && setuid(4321) < 0)
			_exit(1);
		_exit(seccomp_filter_load_and_send(filter, ends[0], "{}", &err) == -EACCES ? 7 : 8);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	(void)close(ends[0]);
	(void)close(ends[1]);
	filter = seccomp_filter_free(filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_default_action),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_several_conditions),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_newer_system_calls_are_unknown),
		cmocka_unit_test(test_errors_name_the_member),
		cmocka_unit_test(test_names_for_features),
		cmocka_unit_test(test_notify_agent),
		cmocka_unit_test(test_agent_that_is_gone),
		cmocka_unit_test(test_load_failure_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
