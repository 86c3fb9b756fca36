/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's first process, or one that joins it, on its way to the program.
 *
 * The order of the steps in process_become is forced: what needs the root user's privileges comes
 * before they go; the system call filter comes last, so that a profile need allow no more than what
 * the program itself calls, and execve.
 */
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/process_priv.h"
#include "process/seccomp.h"
#include "process/seccomp_priv.h"

/* What execvp takes when there is no PATH; the specification refers to execvp. */
#define DEFAULT_PATH "/bin:/usr/bin"

enum {
	DEFAULT_UMASK = 022, /* as runc and crun */
	FIRST_EXTRA_FD = 3,
	MOST_PRESERVED_FDS = 1 << 16,
	VECTOR_STRINGS = 510, /* arguments, or variables, that process_exec takes without malloc */
};

#define BIT(capability) (UINT64_C(1) << (capability))

/* --- the program's file --------------------------------------------------------------------- */

/* The last one counts, as in runc and crun, which set them one after the other. */
static const char *search_path(const struct oci_process *process)
{
	for (size_t i = process->env.count; i > 0; i--)
		if (!strncmp(process->env.items[i - 1], "PATH=", 5))
			return process->env.items[i - 1] + 5;
	return DEFAULT_PATH;
}

/* Looks at a file as execve will, once the working folder is entered. */
static int check_program(const struct oci_process *process, const char *path)
{
	cleanup_fd int folder = -1;
	struct stat st;

	if (path[0] != '/') {
		folder = open(process->cwd ? process->cwd : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0)
			return -errno;
	}
	if (faccessat(folder, path, X_OK, AT_EACCESS) < 0 || fstatat(folder, path, &st, 0) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? 0 : -EACCES;
}

/* One element of PATH; an empty one is the working folder. NULL when out of memory. */
static char *join(const char *element, size_t length, const char *name)
{
	char *path;

	if (length == 0)
		return strdup(name);
	path = malloc(length + strlen(name) + 2);
	if (!path)
		return NULL;
	memcpy(path, element, length);
	path[length] = '/';
	strcpy(path + length + 1, name); /* NOLINT: allocated for it above */
	return path;
}

/* As execvp: a file that may not be executed does not end the search, but is the answer when there
 * is no other. */
static int search(const struct oci_process *process, char **ret_path)
{
	const char *const name = process->args.items[0];
	const char *elements = search_path(process);
	int answer = -ENOENT;

	for (;;) {
		const size_t length = strcspn(elements, ":");
		cleanup_free char *path = length < PATH_MAX ? join(elements, length, name) : NULL;
		int r;

		if (!path)
			return length < PATH_MAX ? -ENOMEM : -ENAMETOOLONG;
		r = check_program(process, path);
		if (r == 0) {
			*ret_path = TAKE_PTR(path);
			return 0;
		}
		if (r == -EACCES)
			answer = r;
		if (!elements[length])
			return answer;
		elements += length + 1;
	}
}

static int resolve(const struct oci_process *process, char **ret_path)
{
	const char *const name = process->args.items[0];
	int r;

	if (!name[0])
		return -ENOENT;
	if (!strchr(name, '/'))
		return search(process, ret_path);
	r = check_program(process, name);
	if (r < 0)
		return r;
	*ret_path = strdup(name);
	return *ret_path ? 0 : -ENOMEM;
}

/* Whether the program's user is stopped by file modes: not one who keeps the right to pass them. */
static bool obeys_modes(const struct oci_process *process)
{
	const uint64_t passes = BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH);

	return process->user.uid != 0 && !(process->capabilities.effective & passes);
}

/* File access as the final user would have it; the kernel takes the capabilities over files away
 * and gives them back with the file system user. */
static int resolve_as_user(const struct oci_process *process, char **ret_path)
{
	const struct oci_user *user = &process->user;
	const gid_t old_gid = (gid_t)setfsgid(user->gid);
	uid_t old_uid;
	int r;

	/* Where groups cannot be set, user_switch says so. */
	(void)syscall(SYS_setgroups, user->additional_gid_count, user->additional_gids);
	old_uid = (uid_t)setfsuid(user->uid);
	r = resolve(process, ret_path);
	(void)setfsuid(old_uid);
	(void)setfsgid(old_gid);
	return r;
}

int process_find_program(const struct oci_process *process, char **ret_path, struct err *err)
{
	const char *name;
	int r;

	if (process->args.count == 0)
		return err_set(err, -EINVAL, "process.args: empty");
	name = process->args.items[0];
	r = obeys_modes(process) ? resolve_as_user(process, ret_path) : resolve(process, ret_path);
	/* Clients tell a wrong command from other failures by these words: "executable file not
	 * found" (exit code 127), "permission denied" (126). */
	if (r == -ENOENT && !strchr(name, '/'))
		return err_set(err, r,
			       "process.args[0]: exec: \"%s\": executable file not found in $PATH",
			       name);
	return r < 0 ? err_set(err, r, "process.args[0]: exec: \"%s\": %s", name, strerror(-r)) : 0;
}

/* --- the working folder ---------------------------------------------------------------------- */

/* One step down; makes the folder when there is none. No magic link is followed: a path through
 * /proc/self/fd must not make folders outside of the root. */
static int step_into(int folder, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(folder, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));
	}
	return fd < 0 ? -errno : (int)fd;
}

static int make_and_enter(const char *path)
{
	cleanup_fd int folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];

	if (folder < 0)
		return -errno;
	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		const size_t length = strcspn(path, "/");
		int next;

		if (length >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, length);
		name[length] = '\0';
		next = step_into(folder, name);
		if (next < 0)
			return next;
		(void)fd_close(folder);
		folder = next;
		path += length;
	}
	return fchdir(folder) < 0 ? -errno : 0;
}

/* A working folder that leads out of the root by a descriptor of the runtime's (CVE-2024-21626) has
 * no path from the root; the kernel says so by a path that does not begin with a slash. */
static int check_inside(void)
{
	char path[PATH_MAX];

	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		return -errno;
	return path[0] == '/' ? 0 : -EXDEV;
}

int working_folder_enter(const struct process_context *context, bool may_retry, struct err *err)
{
	const char *path = context->process->cwd ? context->process->cwd : "/";
	int r = chdir(path) < 0 ? -errno : 0;

	if (r == -EACCES && may_retry)
		return 1;
	if (r == -ENOENT && !context->need_cwd) {
		const mode_t mask = umask(DEFAULT_UMASK);

		r = make_and_enter(path);
		(void)umask(mask);
	}
	if (r < 0)
		return err_set(err, r, "process.cwd: cannot enter '%s': %s", path, strerror(-r));
	r = check_inside();
	if (r == -EXDEV)
		return err_set(err, -EINVAL, "process.cwd: '%s' is outside of the container's root",
			       path);
	return r < 0 ? err_set(err, r, "process.cwd: '%s': %s", path, strerror(-r)) : 0;
}

/* --- all steps ------------------------------------------------------------------------------- */

static int personality_set(const struct oci_number *wanted, struct err *err)
{
	if (wanted->set && personality((unsigned long)wanted->value) < 0)
		return err_set(err, -errno, "linux.personality: %s", strerror(errno));
	return 0;
}

/* What only root may do. Returns 1 when the working folder has to be tried again as the user. */
static int prepare_as_root(const struct process_context *context, struct err *err)
{
	const struct oci_process *process = context->process;
	int r = personality_set(&context->personality, err);
	int retry = 0;

	if (r == 0)
		r = retry = working_folder_enter(context, true, err);
	if (r >= 0)
		r = labels_set(process, err);
	if (r == 0)
		r = capabilities_bound(&process->capabilities, err);
	return r < 0 ? r : retry;
}

/* Loading a filter without no_new_privs takes CAP_SYS_ADMIN, which the exec takes away again. */
static int become_user(const struct process_context *context, struct err *err)
{
	const struct oci_process *process = context->process;
	const bool privileged_load = context->seccomp && !process->no_new_privileges;
	int r = user_switch(&process->user, err);

	if (r < 0)
		return r;
	(void)umask(process->user.umask.set ? (mode_t)process->user.umask.value & 0777 :
					      DEFAULT_UMASK);
	if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "process.noNewPrivileges: %s", strerror(errno));
	return capabilities_set(&process->capabilities, privileged_load ? BIT(CAP_SYS_ADMIN) : 0,
				err);
}

static bool is_kept(const struct process_context *context, int fd)
{
	for (size_t i = 0; i < PROCESS_KEPT_FDS; i++)
		if (context->keep_fds[i] == fd)
			return true;
	return context->seccomp && context->seccomp_socket == fd;
}

/* The least descriptor from `from` on that is kept; INT_MAX, which is none, when there is no
 * more. */
static int next_kept(const struct process_context *context, int from)
{
	int next = INT_MAX;

	for (size_t i = 0; i < PROCESS_KEPT_FDS; i++)
		if (context->keep_fds[i] >= from && context->keep_fds[i] < next)
			next = context->keep_fds[i];
	if (context->seccomp && context->seccomp_socket >= from && context->seccomp_socket < next)
		next = context->seccomp_socket;
	return next;
}

/* What the caller hands on does not close on exec: one that does is the runtime's own, in a place
 * of which the caller made no use. */
static void close_own_among_preserved(const struct process_context *context, int end)
{
	for (int fd = FIRST_EXTRA_FD; fd < end; fd++) {
		const int flags = fcntl(fd, F_GETFD);

		if (flags >= 0 && (flags & FD_CLOEXEC) && !is_kept(context, fd))
			(void)close(fd);
	}
}

/* Close-on-exec is not enough: while it looks for the program, execve can still be led through
 * /proc/self/fd into a folder that the runtime has open (CVE-2024-21626). */
static int close_others(const struct process_context *context, struct err *err)
{
	const unsigned int preserved = context->preserve_fds < MOST_PRESERVED_FDS ?
					       context->preserve_fds :
					       MOST_PRESERVED_FDS;
	int from = FIRST_EXTRA_FD + (int)preserved;
	int kept;

	close_own_among_preserved(context, from);
	do {
		kept = next_kept(context, from);
		if (kept > from && syscall(SYS_close_range, from, kept - 1, 0) < 0)
			return err_set(err, -errno, "cannot close descriptors: %s",
				       strerror(errno));
		from = kept == INT_MAX ? kept : kept + 1;
	} while (kept < INT_MAX);
	return 0;
}

static int load_filter(const struct process_context *context, struct err *err)
{
	int listener = -1;

	if (!context->seccomp)
		return 0;
	if (context->seccomp_socket >= 0)
		return seccomp_filter_load_and_send(context->seccomp, context->seccomp_socket,
						    context->state_json, err);
	return seccomp_filter_load(context->seccomp, &listener, err);
}

int process_become(const struct process_context *context, struct err *err)
{
	int r = prepare_as_root(context, err);
	const bool retry_cwd = r == 1;

	if (r >= 0)
		r = become_user(context, err);
	if (r == 0 && retry_cwd)
		r = working_folder_enter(context, false, err);
	if (r == 0)
		r = close_others(context, err);
	if (r == 0 && context->before_filter)
		r = context->before_filter(context->before_filter_context, err);
	return r < 0 ? r : load_filter(context, err);
}

/* --- exec ------------------------------------------------------------------------------------ */

/* A NULL-terminated copy; `room` when it fits. NULL when out of memory. */
static char **vector_of(const struct oci_strings *strings, char **room)
{
	char **vector = room;

	if (strings->count > VECTOR_STRINGS)
		vector = calloc(strings->count + 1, sizeof(*vector));
	if (!vector)
		return NULL;
	for (size_t i = 0; i < strings->count; i++)
		vector[i] = (char *)(uintptr_t)strings->items[i]; /* execve does not write to it */
	vector[strings->count] = NULL;
	return vector;
}

/* The filter is loaded: beside execve no system call may be counted on, so common sizes need no
 * memory. */
int process_exec(const struct oci_process *process, const char *path, struct err *err)
{
	char *args_room[VECTOR_STRINGS + 1], *env_room[VECTOR_STRINGS + 1];
	char **args = vector_of(&process->args, args_room);
	char **env = vector_of(&process->env, env_room);
	int r = -ENOMEM;

	if (args && env) {
		(void)execve(path, args, env);
		r = -errno;
	}
	if (args != args_room)
		free(args);
	if (env != env_room)
		free(env);
	return err_set(err, r, "process.args[0]: exec: \"%s\": %s", path, strerror(-r));
}
