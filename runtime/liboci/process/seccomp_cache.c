/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled filters, kept.
 *
 * A file is named by a digest of its key, and holds the key itself: a digest that is fast is not
 * one that a hostile config could not forge. All integers are little-endian.
 *
 *	bytes  0 to 7	magic "ociseccp"
 *	       8 to 15	XXH3-64 of all that follows
 *	      16 to 19	length of the key
 *	      20 to 23	instructions
 *	      24	the key: format, libseccomp's version, kernel's release and version, text
 *	      …		the program, 8 bytes an instruction, as the kernel takes it
 *
 * A new file gets its name when it is whole (O_TMPFILE, linkat), so that any number of processes
 * may read and write at once, and a killed one leaves nothing behind.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* In the header, the hash costs the program no shared library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cleanup.h"
#include "err.h"
#include "file.h"
#include "le.h"
#include "process/seccomp_priv.h"

enum {
	FORMAT = 1,
	MAGIC_BYTES = 8,
	CHECKSUM_END = 16, /* what the checksum covers begins here */
	HEADER_BYTES = 24,
	HEAD_BYTES = 256, /* of the key: more than the two strings of uname can be */
	MOST_TEXT_BYTES = 256 << 10,
	MOST_KEY_BYTES = MOST_TEXT_BYTES + HEAD_BYTES,
	MOST_PROGRAM_BYTES = BPF_MAXINSNS * sizeof(struct sock_filter),
	DIGEST_DIGITS = 32,
	NAME_BYTES = DIGEST_DIGITS + 1,
	PATH_BYTES = 32,
	MOST_FILES = 256,
};

static const char magic[MAGIC_BYTES + 1] = "ociseccp";

struct cache_key {
	char *bytes; /* owned */
	size_t length;
	char name[NAME_BYTES];
};

static void cleanup_key_p(struct cache_key *key)
{
	free(key->bytes);
}
#define cleanup_key __attribute__((cleanup(cleanup_key_p)))

static bool key_make(const struct oci_seccomp *seccomp, struct cache_key *ret_key)
{
	const struct scmp_version *version = seccomp_version();
	const size_t text_bytes = seccomp->text ? strlen(seccomp->text) : 0;
	char head[HEAD_BYTES];
	struct utsname system;
	XXH128_hash_t digest;
	size_t head_bytes;

	if (text_bytes == 0 || text_bytes > MOST_TEXT_BYTES || uname(&system) < 0)
		return false;
	head_bytes = (size_t)snprintf(head, sizeof(head), "%d\n%u.%u.%u\n%s\n%s\n", FORMAT,
				      version->major, version->minor, version->micro,
				      system.release, system.version);
	ret_key->length = head_bytes + text_bytes;
	ret_key->bytes = malloc(ret_key->length);
	if (!ret_key->bytes)
		return false;
	memcpy(ret_key->bytes, head, head_bytes);
	memcpy(ret_key->bytes + head_bytes, seccomp->text, text_bytes);
	digest = XXH3_128bits(ret_key->bytes, ret_key->length);
	(void)snprintf(ret_key->name, sizeof(ret_key->name), "%016" PRIx64 "%016" PRIx64,
		       digest.high64, digest.low64);
	return true;
}

/* Nobody but this user can have put anything there. */
static bool is_ours(const struct stat *st, mode_t mode)
{
	return st->st_uid == geteuid() && st->st_mode == mode;
}

static int open_folder(const char *path)
{
	cleanup_fd int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !is_ours(&st, S_IFDIR | 0700))
		return -1;
	return TAKE_FD(fd);
}

/* The file as it is, or NULL. */
static uint8_t *read_file(int folder, const char *name, size_t *ret_bytes)
{
	cleanup_fd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free uint8_t *data = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !is_ours(&st, S_IFREG | 0600) ||
	    st.st_size < HEADER_BYTES ||
	    st.st_size > (off_t)(HEADER_BYTES + MOST_KEY_BYTES + MOST_PROGRAM_BYTES))
		return NULL;
	*ret_bytes = (size_t)st.st_size;
	data = malloc(*ret_bytes);
	if (!data || file_pread_all(fd, data, *ret_bytes, 0) < 0)
		return NULL;
	return TAKE_PTR(data);
}

static bool decode(const uint8_t *data, size_t bytes, const struct cache_key *key,
		   struct bpf_program *ret_program)
{
	struct le_reader reader = { .buf = data, .len = bytes };
	const uint8_t *head = le_take(&reader, MAGIC_BYTES);
	const uint64_t checksum = le_get(&reader, 8);
	const size_t key_bytes = le_get(&reader, 4);
	const size_t count = le_get(&reader, 4);
	const uint8_t *stored_key = le_take(&reader, key_bytes);
	const uint8_t *program = le_take(&reader, count * sizeof(struct sock_filter));
	struct sock_filter *instructions;

	if (reader.bad || reader.pos != bytes || count == 0 || count > BPF_MAXINSNS ||
	    memcmp(head, magic, MAGIC_BYTES) != 0 || key_bytes != key->length ||
	    memcmp(stored_key, key->bytes, key_bytes) != 0 ||
	    checksum != XXH3_64bits(data + CHECKSUM_END, bytes - CHECKSUM_END))
		return false;
	instructions = malloc(count * sizeof(*instructions));
	if (!instructions)
		return false;
	memcpy(instructions, program, count * sizeof(*instructions));
	*ret_program = (struct bpf_program){ .instructions = instructions, .count = count };
	return true;
}

bool seccomp_cache_load(const char *cache_dir, const struct oci_seccomp *seccomp,
			struct bpf_program *ret_program)
{
	cleanup_key struct cache_key key = { 0 };
	cleanup_fd int folder = open_folder(cache_dir);
	cleanup_free uint8_t *data = NULL;
	size_t bytes = 0;

	if (folder < 0 || !key_make(seccomp, &key))
		return false;
	data = read_file(folder, key.name, &bytes);
	return data && decode(data, bytes, &key, ret_program);
}

static uint8_t *encode(const struct cache_key *key, const struct bpf_program *program,
		       size_t *ret_bytes)
{
	const size_t program_bytes = program->count * sizeof(*program->instructions);
	const size_t bytes = HEADER_BYTES + key->length + program_bytes;
	uint8_t *data = malloc(bytes);
	struct le_writer writer = { .buf = data, .cap = bytes };
	struct le_writer checksum;

	if (!data)
		return NULL;
	checksum = (struct le_writer){ .buf = data + MAGIC_BYTES, .cap = 8 };
	le_put_bytes(&writer, magic, MAGIC_BYTES);
	le_put(&writer, 0, 8);
	le_put(&writer, key->length, 4);
	le_put(&writer, program->count, 4);
	le_put_bytes(&writer, key->bytes, key->length);
	le_put_bytes(&writer, program->instructions, program_bytes);
	le_put(&checksum, XXH3_64bits(data + CHECKSUM_END, bytes - CHECKSUM_END), 8);
	*ret_bytes = bytes;
	return data;
}

static bool is_entry(const char *name)
{
	return strlen(name) == DIGEST_DIGITS &&
	       strspn(name, "0123456789abcdef") == DIGEST_DIGITS;
}

/* Whoever may start containers may have any number of profiles: a full cache starts anew. */
static void make_room(int folder)
{
	const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	size_t files = 0;

	if (!listing) {
		(void)fd_close(copy);
		return;
	}
	while ((entry = readdir(listing)))
		files += is_entry(entry->d_name);
	rewinddir(listing);
	while (files >= MOST_FILES && (entry = readdir(listing)))
		if (is_entry(entry->d_name))
			(void)unlinkat(folder, entry->d_name, 0);
	(void)closedir(listing);
}

static void publish(int folder, const char *name, const uint8_t *data, size_t bytes)
{
	cleanup_fd int fd = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	char path[PATH_BYTES];

	if (fd < 0 || fchmod(fd, 0600) < 0 || file_write_all(fd, data, bytes) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* One that is there was refused when it was looked for; or another process was faster, and
	 * its file is replaced by the same. */
	if (linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) == 0 || errno != EEXIST)
		return;
	(void)unlinkat(folder, name, 0);
	(void)linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW);
}

void seccomp_cache_store(const char *cache_dir, const struct oci_seccomp *seccomp,
			 const struct bpf_program *program)
{
	cleanup_key struct cache_key key = { 0 };
	cleanup_free uint8_t *data = NULL;
	cleanup_fd int folder = -1;
	size_t bytes = 0;

	if (mkdir(cache_dir, 0700) < 0 && errno != EEXIST)
		return;
	folder = open_folder(cache_dir);
	if (folder < 0 || !key_make(seccomp, &key))
		return;
	data = encode(&key, program, &bytes);
	if (!data)
		return;
	make_room(folder);
	publish(folder, key.name, data, bytes);
}
