/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of a tar, into a tree.
 *
 * The parent of an entry is resolved by the kernel below the root's descriptor, links included; the
 * entry itself is one name in that folder, and is never followed. So nothing is written outside,
 * whatever links an earlier layer has left. Something that is replaced is unlinked and made anew: a
 * layer must not write through a hard link into another file.
 *
 * Run by root, owners, set-id bits and file capabilities are kept. Ordinary users cannot give files
 * away: erofs.c then makes everything root's, and so a set-id bit of another owner's is dropped
 * here, for it would become root's, and the owner gets the right to read, for mkfs.erofs must.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file.h"
#include "image_priv.h"
#include "rootfs/path_in_root.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh." /* opaque folders, and what AUFS once left in images */
#define OPAQUE ".wh..wh..opq"

#define LIMIT_MOST (1ull << 48)

enum { IMPLIED_FOLDER_MODE = 0755, OWNER_MAX = INT32_MAX };

struct entry {
	struct archive *archive;
	struct archive_entry *header;
	const char *path; /* clean */
	const char *name; /* its last component */
	int parent_fd;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec times[2];
};

/* Far below where sums of limits would overflow. */
static void limit_set(uint64_t *limit, uint64_t usual)
{
	if (*limit == 0)
		*limit = usual;
	if (*limit > LIMIT_MOST)
		*limit = LIMIT_MOST;
}

void unpack_init(struct unpack *unpack, int root_fd, struct workspace *workspace,
		 const struct image_limits *limits)
{
	*unpack = (struct unpack){
		.root_fd = root_fd,
		.workspace = workspace,
		.limits = *limits,
		.layers = true,
		.owners = geteuid() == 0,
	};
	limit_set(&unpack->limits.unpacked_bytes, LIMIT_UNPACKED_BYTES);
	limit_set(&unpack->limits.entries, LIMIT_ENTRIES);
}

void unpack_done(struct unpack *unpack)
{
	marks_done(&unpack->marks);
}

static int fail(const struct entry *entry, int r, const char *what, struct err *err)
{
	return err_set(err, r, "cannot %s '%s': %s", what, SHOWN(entry->path), strerror(-r));
}

static int count_entries(struct unpack *unpack, uint64_t count, struct err *err)
{
	unpack->entries += count;
	if (unpack->entries > unpack->limits.entries)
		return err_set(err, -EFBIG, "it has more than the limit of %llu entries",
			       (unsigned long long)unpack->limits.entries);
	return 0;
}

static int count_bytes(struct unpack *unpack, const struct entry *entry, int64_t bytes,
		       struct err *err)
{
	if (bytes < 0)
		return err_set(err, -EBADMSG, "'%s' has a negative size", SHOWN(entry->path));
	if ((uint64_t)bytes > unpack->limits.unpacked_bytes - unpack->bytes)
		return err_set(err, -EFBIG,
			       "at '%s' it unpacks to more than the limit of %llu bytes",
			       SHOWN(entry->path),
			       (unsigned long long)unpack->limits.unpacked_bytes);
	unpack->bytes += (uint64_t)bytes;
	return 0;
}

/* The folder at `path`, which is made when it is missing: not every tar lists its folders. */
static int open_parent(struct unpack *unpack, const char *path, int *ret_fd, struct err *err)
{
	char part[PATH_MAX];
	int r;

	if (!*path)
		path = ".";
	r = path_in_root_open(unpack->root_fd, path, 0, ret_fd);
	for (const char *end = path; r == -ENOENT && *end;) {
		int found;

		end += strspn(end, "/");
		end += strcspn(end, "/");
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = '\0';
		found = path_in_root_open(unpack->root_fd, part, 0, ret_fd);
		if (found == -ENOENT) {
			found = count_entries(unpack, 1, err);
			if (found < 0)
				return found;
			found = path_in_root_make(unpack->root_fd, part, PATH_FOLDER, 0, ret_fd);
			/* The caller's umask is none of the image's business. */
			if (found == 0 && fchmodat(*ret_fd, ".", IMPLIED_FOLDER_MODE, 0) < 0) {
				found = -errno;
				*ret_fd = fd_close(*ret_fd);
			}
		}
		if (found < 0 || !*end)
			r = found;
		else
			*ret_fd = fd_close(*ret_fd);
	}
	if (r < 0)
		return err_set(err, r == -ELOOP || r == -ENOTDIR ? -EBADMSG : r,
			       "cannot go to the folder '%s': %s", SHOWN(path), strerror(-r));
	return 0;
}

/* Makes room for an entry. Returns 1 when a folder is there and may stay. */
static int replace(struct unpack *unpack, const struct entry *entry, bool folder, struct err *err)
{
	struct stat st;
	int r;

	if (fstatat(entry->parent_fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(entry, -errno, "look at", err);
	if (folder && S_ISDIR(st.st_mode))
		return 1;
	r = tree_remove(entry->parent_fd, entry->name, unpack->workspace);
	return r < 0 ? fail(entry, r, "replace", err) : 0;
}

/* What only root may set is told apart by who we are, not by trying. */
static bool xattr_is_kept(const struct unpack *unpack, const char *name)
{
	if (strcmp(name, "security.capability") == 0)
		return unpack->owners;
	return unpack->layers && strncmp(name, "user.", 5) == 0 &&
	       strncmp(name, "user.overlay.", 13) != 0;
}

static int set_xattrs(const struct unpack *unpack, const struct entry *entry, int fd,
		      struct err *err)
{
	const char *name;
	const void *value;
	size_t bytes;

	archive_entry_xattr_reset(entry->header);
	while (archive_entry_xattr_next(entry->header, &name, &value, &bytes) == ARCHIVE_OK)
		if (name && xattr_is_kept(unpack, name) &&
		    fsetxattr(fd, name, value, bytes, 0) < 0)
			return err_set(err, -errno,
				       "cannot set the attribute '%s' of '%s': %s", SHOWN(name),
				       SHOWN(entry->path), strerror(errno));
	return 0;
}

/* In this order: a change of owner takes set-id bits and capabilities away, and so does writing. */
static int set_attributes(const struct unpack *unpack, const struct entry *entry, int fd,
			  struct err *err)
{
	int r;

	if (unpack->owners && fchown(fd, entry->uid, entry->gid) < 0)
		return fail(entry, -errno, "set the owner of", err);
	if (fchmod(fd, entry->mode) < 0)
		return fail(entry, -errno, "set the mode of", err);
	r = set_xattrs(unpack, entry, fd, err);
	if (r == 0 && futimens(fd, entry->times) < 0)
		r = fail(entry, -errno, "set the time of", err);
	return r;
}

static int set_attributes_by_name(const struct unpack *unpack, const struct entry *entry,
				  bool link, struct err *err)
{
	if (unpack->owners && fchownat(entry->parent_fd, entry->name, entry->uid, entry->gid,
				       AT_SYMLINK_NOFOLLOW) < 0)
		return fail(entry, -errno, "set the owner of", err);
	/* Ours alone is the tree, so that it is no link if we just made something else. */
	if (!link && fchmodat(entry->parent_fd, entry->name, entry->mode, 0) < 0)
		return fail(entry, -errno, "set the mode of", err);
	if (utimensat(entry->parent_fd, entry->name, entry->times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(entry, -errno, "set the time of", err);
	return 0;
}

/* Returns 1 when the archive could not be read. */
static int copy_data(const struct entry *entry, int fd, struct err *err)
{
	const int64_t size = archive_entry_size(entry->header);
	const void *data;
	size_t bytes;
	int64_t offset;
	int r, written;

	while ((r = archive_read_data_block(entry->archive, &data, &bytes, &offset)) ==
	       ARCHIVE_OK) {
		if (bytes == 0)
			continue;
		if (offset < 0 || offset > size || (uint64_t)bytes > (uint64_t)(size - offset))
			return err_set(err, -EBADMSG, "'%s' has data beyond its end",
				       SHOWN(entry->path));
		written = file_pwrite_all(fd, data, bytes, offset);
		if (written < 0)
			return fail(entry, written, "write", err);
	}
	if (r != ARCHIVE_EOF)
		return 1;
	return ftruncate(fd, size) < 0 ? fail(entry, -errno, "write", err) : 0;
}

static int make_file(struct unpack *unpack, const struct entry *entry, struct err *err)
{
	cleanup_fd int fd = -1;
	int r = replace(unpack, entry, false, err);

	if (r < 0)
		return r;
	fd = openat(entry->parent_fd, entry->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(entry, -errno, "make", err);
	r = copy_data(entry, fd, err);
	return r == 0 ? set_attributes(unpack, entry, fd, err) : r;
}

static int make_folder(struct unpack *unpack, const struct entry *entry, struct err *err)
{
	cleanup_fd int fd = -1;
	int r = replace(unpack, entry, true, err);

	if (r < 0)
		return r;
	if (r == 0 && mkdirat(entry->parent_fd, entry->name, 0700) < 0)
		return fail(entry, -errno, "make", err);
	fd = openat(entry->parent_fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(entry, -errno, "open", err);
	return set_attributes(unpack, entry, fd, err);
}

static int make_symlink(struct unpack *unpack, const struct entry *entry, struct err *err)
{
	const char *text = archive_entry_symlink(entry->header);
	int r;

	if (!text || !*text || strlen(text) >= PATH_MAX)
		return err_set(err, -EBADMSG, "the symbolic link '%s' has no usable text",
			       SHOWN(entry->path));
	if (!link_stays_inside(entry->path, text))
		return err_set(err, -EBADMSG,
			       "the symbolic link '%s' leads out of the image, to '%s'",
			       SHOWN(entry->path), SHOWN(text));
	r = replace(unpack, entry, false, err);
	if (r < 0)
		return r;
	if (symlinkat(text, entry->parent_fd, entry->name) < 0)
		return fail(entry, -errno, "make", err);
	return set_attributes_by_name(unpack, entry, true, err);
}

static int make_fifo(struct unpack *unpack, const struct entry *entry, struct err *err)
{
	int r = replace(unpack, entry, false, err);

	if (r < 0)
		return r;
	if (mkfifoat(entry->parent_fd, entry->name, 0600) < 0)
		return fail(entry, -errno, "make", err);
	return set_attributes_by_name(unpack, entry, false, err);
}

/* Splits a clean path. `parent` gets what is before the last component. */
static const char *split(const char *path, char parent[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	const size_t bytes = slash ? (size_t)(slash - path) : 0;

	memcpy(parent, path, bytes);
	parent[bytes] = '\0';
	return slash ? slash + 1 : path;
}

static int link_target(struct unpack *unpack, const struct entry *entry, const char *text,
		       int *ret_fd, char target[PATH_MAX], const char **ret_name, struct err *err)
{
	char parent[PATH_MAX];
	struct stat st = { .st_mode = 0 };
	int r = entry_path(text, target, err);

	if (r < 0)
		return err_prefix(err, r, "hard link '%s'", SHOWN(entry->path));
	*ret_name = split(target, parent);
	r = path_in_root_open(unpack->root_fd, *parent ? parent : ".", 0, ret_fd);
	if (r == 0 && fstatat(*ret_fd, *ret_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, -EBADMSG, "the hard link '%s' is to '%s', which is missing",
			       SHOWN(entry->path), SHOWN(text));
	if (S_ISDIR(st.st_mode))
		return err_set(err, -EBADMSG, "the hard link '%s' is to a folder, '%s'",
			       SHOWN(entry->path), SHOWN(text));
	return 0;
}

static int make_hard_link(struct unpack *unpack, const struct entry *entry, const char *text,
			  struct err *err)
{
	cleanup_fd int target_fd = -1;
	char target[PATH_MAX];
	const char *name = NULL;
	struct stat here, there;
	int r = link_target(unpack, entry, text, &target_fd, target, &name, err);

	if (r < 0)
		return r;
	if (fstatat(entry->parent_fd, entry->name, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(target_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    here.st_ino == there.st_ino)
		return 0;
	r = replace(unpack, entry, false, err);
	if (r < 0)
		return r;
	return linkat(target_fd, name, entry->parent_fd, entry->name, 0) < 0
		       ? fail(entry, -errno, "make the hard link", err)
		       : 0;
}

static const struct {
	mode_t type;
	const char *refused;
	int (*make)(struct unpack *unpack, const struct entry *entry, struct err *err);
} makers[] = {
	{ AE_IFREG, NULL, make_file },
	{ AE_IFDIR, NULL, make_folder },
	{ AE_IFLNK, NULL, make_symlink },
	{ AE_IFIFO, NULL, make_fifo },
	{ AE_IFCHR, "a device node", NULL },
	{ AE_IFBLK, "a device node", NULL },
	{ AE_IFSOCK, "a socket", NULL },
};

static int make_entry(struct unpack *unpack, const struct entry *entry, struct err *err)
{
	const char *target = archive_entry_hardlink(entry->header);
	const mode_t type = archive_entry_filetype(entry->header);

	if (target)
		return make_hard_link(unpack, entry, target, err);
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		if (makers[i].type != type)
			continue;
		if (makers[i].make)
			return makers[i].make(unpack, entry, err);
		return err_set(err, -EBADMSG, "'%s' is %s, which no image may have",
			       SHOWN(entry->path), makers[i].refused);
	}
	return err_set(err, -EBADMSG, "'%s' is of an unknown type", SHOWN(entry->path));
}

/* ".wh.NAME". AUFS's own files are left out, as Docker does. */
static int whiteout(struct unpack *unpack, const struct entry *entry, struct err *err)
{
	const char *hidden = entry->name + strlen(WHITEOUT);

	if (strcmp(entry->name, OPAQUE) == 0)
		return whiteout_folder(unpack, entry->parent_fd, err);
	if (strncmp(entry->name, WHITEOUT_META, strlen(WHITEOUT_META)) == 0)
		return 0;
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return err_set(err, -EBADMSG, "malformed whiteout '%s'", SHOWN(entry->path));
	return whiteout_name(unpack, entry->parent_fd, hidden, err);
}

static int read_attributes(const struct unpack *unpack, struct entry *entry, struct err *err)
{
	const int64_t uid = archive_entry_uid(entry->header);
	const int64_t gid = archive_entry_gid(entry->header);
	const int64_t seconds = archive_entry_mtime(entry->header);

	if (uid < 0 || uid > OWNER_MAX || gid < 0 || gid > OWNER_MAX)
		return err_set(err, -EBADMSG, "'%s' has an owner out of range",
			       SHOWN(entry->path));
	entry->uid = (uid_t)uid;
	entry->gid = (gid_t)gid;
	entry->mode = archive_entry_perm(entry->header) & 07777;
	if (!unpack->owners) {
		entry->mode &= ~(mode_t)((uid ? S_ISUID : 0) | (gid ? S_ISGID : 0));
		entry->mode |= archive_entry_filetype(entry->header) == AE_IFDIR ? 0700 : 0400;
	}
	/* erofs's have no sign. */
	entry->times[0].tv_sec = seconds < 0 ? 0 : seconds;
	entry->times[1] = entry->times[0];
	return 0;
}

/* The entry "./". */
static int set_root(const struct unpack *unpack, struct entry *entry, struct err *err)
{
	cleanup_fd int fd = -1;

	if (archive_entry_filetype(entry->header) != AE_IFDIR)
		return err_set(err, -EBADMSG, "the image's root is not a folder");
	fd = openat(unpack->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	entry->path = ".";
	return fd < 0 ? fail(entry, -errno, "open", err) : set_attributes(unpack, entry, fd, err);
}

/* Below one of AUFS's own folders, or a whiteout's name. */
static int check_parent(const char *parent, bool *ret_skip, struct err *err)
{
	for (const char *at = parent; *at; at += strcspn(at, "/"), at += *at == '/') {
		if (strncmp(at, WHITEOUT_META, strlen(WHITEOUT_META)) == 0)
			*ret_skip = true;
		else if (strncmp(at, WHITEOUT, strlen(WHITEOUT)) == 0)
			return err_set(err, -EBADMSG, "'%s' is below a whiteout", SHOWN(parent));
	}
	return 0;
}

static int apply_in_parent(struct unpack *unpack, struct entry *entry, struct err *err)
{
	const bool hides = unpack->layers &&
			   strncmp(entry->name, WHITEOUT, strlen(WHITEOUT)) == 0;
	struct stat st;
	int r;

	if (hides)
		return whiteout(unpack, entry, err);
	r = make_entry(unpack, entry, err);
	if (r != 0 || !unpack->layers)
		return r;
	if (fstat(entry->parent_fd, &st) < 0)
		return fail(entry, -errno, "look at the folder of", err);
	r = marks_add(&unpack->marks, st.st_ino, entry->name);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

static int apply(struct unpack *unpack, struct entry *entry, struct err *err)
{
	cleanup_fd int parent_fd = -1;
	char parent[PATH_MAX];
	bool skip = false;
	int r = count_entries(unpack, 1, err);

	if (r == 0)
		r = count_bytes(unpack, entry, archive_entry_size(entry->header), err);
	if (r == 0)
		r = read_attributes(unpack, entry, err);
	if (r < 0)
		return r;
	if (!*entry->path)
		return set_root(unpack, entry, err);
	entry->name = split(entry->path, parent);
	if (unpack->layers)
		r = check_parent(parent, &skip, err);
	if (r < 0 || skip)
		return r;
	r = open_parent(unpack, parent, &parent_fd, err);
	if (r < 0)
		return r;
	entry->parent_fd = parent_fd;
	return apply_in_parent(unpack, entry, err);
}

int unpack_entries(struct unpack *unpack, struct archive *archive, struct err *err)
{
	struct archive_entry *header;
	char path[PATH_MAX];
	int r;

	marks_clear(&unpack->marks);
	while ((r = archive_read_next_header(archive, &header)) == ARCHIVE_OK) {
		struct entry entry = { .archive = archive, .header = header, .path = path };
		const char *name = archive_entry_pathname(header);

		if (!name)
			return err_set(err, -EBADMSG, "an entry has no name");
		r = entry_path(name, path, err);
		if (r == 0)
			r = apply(unpack, &entry, err);
		if (r != 0)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : 1;
}
