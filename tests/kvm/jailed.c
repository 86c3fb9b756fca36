/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jailed LUMPER TEMPLATE: a shell that holds a template and one that has answered have no
 * capability, a syscall filter, and no descriptor of a file.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "kvm_test.h"

/* Lines that /proc/PID/status must have; the capability sets all zero. */
static const char *const wanted[] = {
	"Seccomp:\t2\n",
	"NoNewPrivs:\t1\n",
	"CapInh:\t0000000000000000\n",
	"CapPrm:\t0000000000000000\n",
	"CapEff:\t0000000000000000\n",
	"CapAmb:\t0000000000000000\n",
};

static void check_status(pid_t pid)
{
	char path[64], text[8192];
	size_t bytes;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	REQUIRE(file, "no %s", path);
	bytes = fread(text, 1, sizeof(text) - 1, file);
	(void)fclose(file);
	text[bytes] = '\0';
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		REQUIRE(strstr(text, wanted[i]), "%s has no %s", path, wanted[i]);
	/* The bounding set is root's to drop. */
	REQUIRE(getuid() != 0 || strstr(text, "CapBnd:\t0000000000000000\n"),
		"root kept its bounding set");
}

static bool is_allowed(const char *target)
{
	static const char *const allowed[] = { "socket:", "/memfd:quark-mailbox", "anon_inode:kvm",
					       "anon_inode:[eventfd]", "/dev/kvm" };

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (strncmp(target, allowed[i], strlen(allowed[i])) == 0)
			return true;
	return false;
}

/* Counts the descriptors beyond the standard streams; *ret_other is one that is neither socket, nor
 * the mailbox's memory, nor KVM's, or empty. */
static unsigned int look_at_descriptors(pid_t pid, char ret_other[PATH_MAX])
{
	char path[64], name[PATH_MAX], target[PATH_MAX];
	const struct dirent *entry;
	unsigned int count = 0;
	DIR *dir;

	ret_other[0] = '\0';
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir && errno == EACCES && getuid() != 0) {
		printf("%s is root's to see, as it should be\n", path);
		return UINT_MAX;
	}
	REQUIRE(dir, "no %s", path);
	while ((entry = readdir(dir))) {
		ssize_t n;

		if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) <= STDERR_FILENO)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		n = readlink(name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (n > 0 && !is_allowed(target))
			memcpy(ret_other, target, (size_t)n + 1);
		count++;
	}
	(void)closedir(dir);
	return count;
}

/* A shell closes the template's files after its reply: not at once, but soon. */
static void check_descriptors(pid_t pid)
{
	const uint64_t end = monotonic_ns() + 10000000000ull;
	char other[PATH_MAX];
	unsigned int count;

	do {
		count = look_at_descriptors(pid, other);
	} while (other[0] && monotonic_ns() < end);
	REQUIRE(!other[0], "the shell holds %s", other);
	REQUIRE(count >= 3, "only %u descriptors: is it a shell?", count);
}

int main(int argc, char **argv)
{
	struct start_times times = {};
	struct shell_config config;
	struct template *template;
	struct response response;
	struct shell *shell = NULL;
	struct err err = {};

	REQUIRE(argc == 3, "usage: jailed LUMPER TEMPLATE");
	template = test_template(argv[2]);
	config = test_shell_config(argv[1], template);
	REQUIRE(shell_new(&shell, &config, &err) == 0, "%s", err.message);
	check_status(shell_pid(shell));
	REQUIRE(shell_load(shell, template, &err) == 0, "%s", err.message);
	check_descriptors(shell_pid(shell));
	REQUIRE(shell_invoke(shell, NULL, "x", 1, &response, &times, &err) == 0, "%s", err.message);
	check_status(shell_pid(shell));
	check_descriptors(shell_pid(shell));
	(void)shell_free(shell);
	(void)template_free(template);
	printf("jailed\n");
	return 0;
}
