/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retouch TEMPLATE CHANGE: changes a template in one thing and makes all its checksums right again,
 * so that only the thing itself can be what a reader refuses.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "kvm_test.h"
#include "le.h"
#include "snapshot_priv.h"

/* docs/snapshot-format.md, 3 and 4.1 */
#define MANIFEST_ENDING "\"checksum\":\t\"xxh3-64:0123456789abcdef\"\n}\n"
enum { STATE_VERSION_OFFSET = 8, STATE_HEADER_CHECKED = 32, STATE_HEADER_CHECKSUM = 32 };

#define CPUID_1_EDX_IA64 (1u << 30) /* no host of ours can be one */
#define CLOCK_LATE_NS 50000000ull
#define AHEAD_NS 3600000000000ull

struct folder {
	int fd;
	struct manifest manifest;
	uint8_t *state; /* owned */
	size_t state_bytes;
};

static uint8_t *read_at(int folder, const char *name, size_t *ret_bytes)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	uint8_t *data = NULL;

	REQUIRE(fd >= 0 && file_read_fd(fd, 1 << 20, &data, ret_bytes) == 0, "cannot read %s",
		name);
	(void)close(fd);
	return data;
}

static void write_at(int folder, const char *name, const void *data, size_t bytes)
{
	int fd = openat(folder, name, O_WRONLY | O_TRUNC | O_CLOEXEC);

	REQUIRE(fd >= 0 && file_write_all(fd, data, bytes) == 0, "cannot write %s", name);
	(void)close(fd);
}

static void write_state(struct folder *folder)
{
	struct snapshot_file *file = &folder->manifest.state;
	cleanup_free char *text = NULL;
	struct err err = {};
	size_t bytes;

	write_at(folder->fd, file->name, folder->state, folder->state_bytes);
	file->bytes = folder->state_bytes;
	digest128(folder->state, folder->state_bytes, file->digest);
	REQUIRE(manifest_encode(&folder->manifest, &text, &bytes, &err) == 0, "%s", err.message);
	write_at(folder->fd, MANIFEST_NAME, text, bytes);
}

/* The caller frees it. */
static struct vm_state *decode_state(const struct folder *folder)
{
	struct vm_state *state = calloc(1, sizeof(*state));
	struct err err = {};

	REQUIRE(state, "out of memory");
	REQUIRE(state_decode(state, folder->state, folder->state_bytes, &err) == 0, "%s",
		err.message);
	return state;
}

static void encode_state(struct folder *folder, const struct vm_state *state)
{
	struct err err = {};

	REQUIRE(state_encode(state, folder->state, folder->state_bytes, &folder->state_bytes,
			     &err) == 0,
		"%s", err.message);
	write_state(folder);
}

/* The snapshot of a machine with a CPU that this host is not. */
static void change_cpu(struct folder *folder)
{
	cleanup_free struct vm_state *state = decode_state(folder);

	for (uint32_t i = 0; i < state->cpuid_count; i++)
		if (state->cpuid[i].function == 1)
			state->cpuid[i].edx |= CPUID_1_EDX_IA64;
	encode_state(folder, state);
}

static void set_time(struct folder *folder, struct vm_state *state, uint64_t realtime_ns)
{
	state->realtime_ns = folder->manifest.realtime_ns = realtime_ns;
	encode_state(folder, state);
}

/* One that seems to have been made later than it was: clones are late by that. */
static void change_clock(struct folder *folder)
{
	cleanup_free struct vm_state *state = decode_state(folder);

	set_time(folder, state, state->realtime_ns + CLOCK_LATE_NS);
}

/* For clones of a template from the future no time has passed. */
static void change_age(struct folder *folder)
{
	cleanup_free struct vm_state *state = decode_state(folder);

	set_time(folder, state, clock_ns(CLOCK_REALTIME) + AHEAD_NS);
}

static void change_state_version(struct folder *folder)
{
	uint64_t sum;

	folder->state[STATE_VERSION_OFFSET]++;
	sum = checksum64(folder->state, STATE_HEADER_CHECKED);
	memcpy(folder->state + STATE_HEADER_CHECKSUM, &sum, sizeof(sum));
	write_state(folder);
}

static void change_manifest_version(struct folder *folder)
{
	static const char version[] = "\"format_version\":\t2";
	char ending[sizeof(MANIFEST_ENDING)];
	size_t bytes, body;
	cleanup_free char *text = (char *)read_at(folder->fd, MANIFEST_NAME, &bytes);
	char *at = strstr(text, version);

	REQUIRE(at && bytes > strlen(MANIFEST_ENDING), "no version in the manifest");
	at[strlen(version) - 1] = '3';
	body = bytes - strlen(MANIFEST_ENDING);
	(void)snprintf(ending, sizeof(ending), "\"checksum\":\t\"xxh3-64:%016llx\"\n}\n",
		       (unsigned long long)checksum64(text, body));
	memcpy(text + body, ending, strlen(MANIFEST_ENDING));
	write_at(folder->fd, MANIFEST_NAME, text, bytes);
}

static const struct {
	const char *name;
	void (*run)(struct folder *folder);
} changes[] = {
	{ "cpu", change_cpu },
	{ "clock", change_clock },
	{ "age", change_age },
	{ "state-version", change_state_version },
	{ "manifest-version", change_manifest_version },
};

static void change(struct folder *folder, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		if (strcmp(changes[i].name, name) == 0) {
			changes[i].run(folder);
			return;
		}
	}
	REQUIRE(false, "no change '%s'", name);
}

int main(int argc, char **argv)
{
	struct folder folder = {};
	struct err err = {};

	REQUIRE(argc == 3, "usage: retouch TEMPLATE CHANGE");
	folder.fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(folder.fd >= 0, "cannot open %s", argv[1]);
	REQUIRE(folder_read_manifest(folder.fd, &folder.manifest, &err) == 0, "%s", err.message);
	folder.state = read_at(folder.fd, folder.manifest.state.name, &folder.state_bytes);
	change(&folder, argv[2]);
	free(folder.state);
	(void)close(folder.fd);
	return 0;
}
