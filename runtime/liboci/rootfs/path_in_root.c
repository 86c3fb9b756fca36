/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of a container, resolved inside its root and nowhere else.
 *
 * What exists is one openat2. What is missing is made by a walk of our own, one component at a
 * time: each is opened in its parent's descriptor without following it, a link is read and its text
 * put before the rest of the way, and "/" and ".." start again from the root's descriptor. So a
 * component that is exchanged while we walk can only lead to where its new owner could have made
 * the folder himself (CVE-2024-45310).
 */
#include "rootfs/path_in_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

enum {
	MOST_LINKS = 40,     /* as the kernel's own limit */
	MOST_ATTEMPTS = 128, /* openat2 gives EAGAIN when something was renamed while it went up */
	MADE_FOLDER_MODE = 0755,
	MADE_FILE_MODE = 0644,
};

struct walk {
	int root_fd;         /* borrowed */
	int at_fd;           /* owned; -1: at the root */
	enum path_kind kind; /* of what is made at the end */
	bool links_allowed;
	unsigned int links;
	char at[PATH_MAX];   /* the way to at_fd, without links; "" is the root */
	char rest[PATH_MAX]; /* still to go */
};

/* Appends "/" and `bytes` bytes of `name` to a path of the length `*length`. */
static int path_append(char path[PATH_MAX], size_t *length, const char *name, size_t bytes)
{
	if (*length + 1 + bytes >= PATH_MAX)
		return -ENAMETOOLONG;
	path[(*length)++] = '/';
	memcpy(path + *length, name, bytes);
	*length += bytes;
	path[*length] = '\0';
	return 0;
}

static size_t path_without_last(const char *path, size_t length)
{
	while (length > 0 && path[--length] != '/')
		;
	return length;
}

int path_clean(const char *path, char ret_clean[PATH_MAX])
{
	size_t length = 0;

	while (*path) {
		size_t bytes = strcspn(path, "/");

		if (bytes == 2 && memcmp(path, "..", 2) == 0)
			length = path_without_last(ret_clean, length);
		else if (bytes > 0 && !(bytes == 1 && *path == '.') &&
			 path_append(ret_clean, &length, path, bytes) < 0)
			return -ENAMETOOLONG;
		path += bytes + (path[bytes] == '/');
	}
	if (length == 0)
		ret_clean[length++] = '/';
	ret_clean[length] = '\0';
	return 0;
}

static int open_in_root(int root_fd, const char *path, uint64_t flags, uint64_t resolve,
			int *ret_fd)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | flags,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
	};

	for (int attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
		long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

		if (fd >= 0) {
			*ret_fd = (int)fd;
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

int path_in_root_open(int root_fd, const char *path, uint64_t resolve, int *ret_fd)
{
	return open_in_root(root_fd, path, 0, resolve, ret_fd);
}

/* Goes to the folder named by walk->at, from the root, by a way on which no link was. */
static int walk_return(struct walk *walk)
{
	walk->at_fd = fd_close(walk->at_fd);
	if (!*walk->at)
		return 0;
	return open_in_root(walk->root_fd, walk->at, O_DIRECTORY, RESOLVE_NO_SYMLINKS,
			    &walk->at_fd);
}

/* Puts a link's text before the rest of the way. */
static int walk_follow(struct walk *walk, const char *text)
{
	size_t length = strlen(text), rest = strlen(walk->rest);

	if (!walk->links_allowed || ++walk->links > MOST_LINKS)
		return -ELOOP;
	if (length + 1 + rest >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(walk->rest + length + 1, walk->rest, rest + 1);
	memcpy(walk->rest, text, length);
	walk->rest[length] = '/';
	if (*text != '/')
		return 0;
	walk->at[0] = '\0';
	return walk_return(walk);
}

static int walk_make(int folder_fd, const char *name, enum path_kind kind)
{
	int r = kind == PATH_FOLDER ? mkdirat(folder_fd, name, MADE_FOLDER_MODE)
				    : mknodat(folder_fd, name, S_IFREG | MADE_FILE_MODE, 0);

	/* Somebody was faster: what he made is looked at like anything that was there. */
	return r < 0 && errno != EEXIST ? -errno : 0;
}

/* Opens `name` as it is, also a link; makes it when it is missing. The last one is known to be
 * missing, if it is no dangling link: there the making comes first. */
static int walk_open(const struct walk *walk, const char *name, bool last, int *ret_fd)
{
	int folder_fd = walk->at_fd < 0 ? walk->root_fd : walk->at_fd;
	int r = last ? walk_make(folder_fd, name, walk->kind) : 0;
	int fd = r < 0 ? -1 : openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (r == 0 && fd < 0 && errno == ENOENT) {
		r = walk_make(folder_fd, name, last ? walk->kind : PATH_FOLDER);
		if (r == 0)
			fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (r == 0 && fd < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = fd;
	return r;
}

/* The text of the link that `fd` is; 0 when it is none. */
static int read_link(int fd, char ret_text[PATH_MAX])
{
	struct stat st;
	ssize_t n;

	if (fd_stat(fd, &st) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(fd, "", ret_text, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	ret_text[n] = '\0';
	return n == 0 ? -ENOENT : n == PATH_MAX - 1 ? -ENAMETOOLONG : (int)n;
}

/* One step down, to something that is neither "." nor "..". */
static int walk_down(struct walk *walk, const char *name, size_t bytes, bool last)
{
	cleanup_fd int fd = -1;
	char text[PATH_MAX];
	size_t length = strlen(walk->at);
	int r = walk_open(walk, name, last, &fd);

	if (r == 0)
		r = read_link(fd, text);
	if (r != 0)
		return r < 0 ? r : walk_follow(walk, text);
	r = path_append(walk->at, &length, name, bytes);
	if (r < 0)
		return r;
	(void)fd_close(walk->at_fd);
	walk->at_fd = TAKE_FD(fd);
	return 0;
}

/* One component of the way. */
static int walk_step(struct walk *walk)
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t bytes = strcspn(start, "/");
	const char *after = start + bytes + strspn(start + bytes, "/");
	char name[NAME_MAX + 1];
	bool last = !*after;

	if (bytes > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, start, bytes);
	name[bytes] = '\0';
	memmove(walk->rest, after, strlen(after) + 1);
	if (bytes == 0 || strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		walk->at[path_without_last(walk->at, strlen(walk->at))] = '\0';
		return walk_return(walk);
	}
	return walk_down(walk, name, bytes, last);
}

static int walk_all(struct walk *walk, const char *path, int *ret_fd)
{
	size_t length = strlen(path);
	int r = 0;

	if (length >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, path, length + 1);
	while (r == 0 && *walk->rest)
		r = walk_step(walk);
	/* The last step was to the root itself, which is there already. */
	if (r == 0 && walk->at_fd < 0)
		return open_in_root(walk->root_fd, ".", 0, 0, ret_fd);
	if (r == 0)
		*ret_fd = TAKE_FD(walk->at_fd);
	walk->at_fd = fd_close(walk->at_fd);
	return r;
}

int path_in_root_make(int root_fd, const char *path, enum path_kind kind, uint64_t resolve,
		      int *ret_fd)
{
	struct walk walk;
	int r = path_in_root_open(root_fd, path, resolve, ret_fd);

	if (r != -ENOENT)
		return r;
	walk.root_fd = root_fd;
	walk.at_fd = -1;
	walk.kind = kind;
	walk.links_allowed = !(resolve & RESOLVE_NO_SYMLINKS);
	walk.links = 0;
	walk.at[0] = '\0';
	return walk_all(&walk, path, ret_fd);
}

int path_in_root_parent(int root_fd, const char *path, int *ret_fd, const char **ret_name)
{
	const char *name = strrchr(path, '/');
	char parent[PATH_MAX];
	size_t length;
	int r;

	if (!name || !name[1])
		return -EINVAL;
	length = name == path ? 1 : (size_t)(name - path);
	if (length >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, length);
	parent[length] = '\0';
	r = path_in_root_make(root_fd, parent, PATH_FOLDER, 0, ret_fd);
	if (r == 0)
		*ret_name = name + 1;
	return r;
}
