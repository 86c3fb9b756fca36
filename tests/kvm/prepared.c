/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepared LUMPER TEMPLATE BASE-FOLDER...: a VM that was prepared for the template's base,
 * whichever way it was loaded, has byte for byte the memory that a plain restore gives it; what it
 * has not loaded is absent and not something else, and comes when it is needed. The function counts
 * its requests.
 *
 * The calibration is that of the base among the folders that is the template's.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "counter.h"
#include "lumper.h"
#include "snapshot_priv.h"

struct subject {
	struct template *template, *calibration;
	struct vm *plain; /* restored without preparation: what is right */
	int pack_fd;
};

static struct vm *empty_vm(const struct template *like)
{
	const struct manifest *manifest = template_manifest(like);
	const struct vm_config config = {
		.memory_bytes = manifest->memory_bytes,
		.vcpus = manifest->vcpus,
		.like = template_state(like),
	};
	struct vm *vm = NULL;
	struct err err = {};

	REQUIRE(vm_new(&vm, &config, &err) == 0, "%s", err.message);
	return vm;
}

static struct restore_config config_of(const struct template *template)
{
	struct restore_config config = {
		.state = template_state(template),
		.working_set = template_working_set(template),
		.mailbox_fd = -1,
		.timers = VM_TIMERS_RUNNING,
		.pack_fd = -1,
	};

	restore_config_of(template, &config);
	return config;
}

static struct vm *plain_vm(const struct template *template)
{
	struct restore_config config = config_of(template);
	struct vm *vm = empty_vm(template);
	struct err err = {};

	REQUIRE(snapshot_restore(vm, &config, &err) == 0, "%s", err.message);
	return vm;
}

static struct preparation *prepare(struct vm *vm, const struct template *calibration)
{
	struct preparation *preparation = NULL;
	struct err err = {};

	REQUIRE(preparation_new(&preparation, vm, calibration, -1, &err) == 0 &&
			vm_rehearse(vm, &err) == 0 && preparation_touch(preparation, &err) == 0,
		"%s", err.message);
	return preparation;
}

/* Through /proc, where a page that is absent is an error instead of a signal. */
static unsigned int compare(const struct subject *subject, const struct vm *vm, const char *what)
{
	const uint8_t *memory = vm_memory_base(vm), *right = vm_memory_base(subject->plain);
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	uint8_t page[GUEST_PAGE_BYTES];
	unsigned int absent = 0;

	REQUIRE(fd >= 0, "no /proc/self/mem");
	for (uint64_t at = 0; at < vm_memory_bytes(vm); at += sizeof(page)) {
		if (pread(fd, page, sizeof(page), (off_t)(uintptr_t)(memory + at)) !=
		    (ssize_t)sizeof(page))
			absent++;
		else
			REQUIRE(memcmp(page, right + at, sizeof(page)) == 0,
				"%s: the page at %#llx is wrong", what, (unsigned long long)at);
	}
	(void)close(fd);
	return absent;
}

/* --- ways to load ---------------------------------------------------------------------------- */

/* What the calibration touches and much more: too many pages to install one by one. */
static const struct working_set *large_set(const struct template *template)
{
	static struct working_set set;
	const struct manifest *manifest = template_manifest(template);

	for (uint32_t i = 0; i < manifest->extent_count; i++)
		for (uint64_t at = 0;
		     at < manifest->extents[i].bytes && set.count < WORKING_SET_MAX;
		     at += GUEST_PAGE_BYTES)
			set.entries[set.count++].offset = manifest->extents[i].offset + at;
	return &set;
}

static const struct working_set nothing;

struct way {
	const char *name;
	bool pack, no_set, large, whole;
};

static const struct way ways[] = {
	{ .name = "with a pack", .pack = true },
	{ .name = "without a pack" },
	{ .name = "without a record", .no_set = true },
	{ .name = "with a large record", .large = true, .whole = true },
};

static void load(const struct subject *subject, struct vm *vm, struct preparation *preparation,
		 const struct way *way)
{
	struct restore_config config = config_of(subject->template);
	struct err err = {};

	config.preparation = preparation;
	config.has_pack = way->pack;
	config.pack_fd = subject->pack_fd;
	if (way->no_set)
		config.working_set = &nothing;
	if (way->large)
		config.working_set = large_set(subject->template);
	REQUIRE(snapshot_restore(vm, &config, &err) == 0, "%s: %s", way->name, err.message);
}

static void check_way(const struct subject *subject, const struct way *way)
{
	struct vm *vm = empty_vm(subject->calibration);
	struct preparation *preparation = prepare(vm, subject->calibration);
	struct err err = {};
	unsigned int absent;

	load(subject, vm, preparation, way);
	absent = compare(subject, vm, way->name);
	REQUIRE(vm_host_has_two_stages() && !way->whole ? absent > 0 : absent == 0,
		"%s: %u pages are absent", way->name, absent);
	printf("%s: %u of %llu pages are absent at first\n", way->name, absent,
	       (unsigned long long)(vm_memory_bytes(vm) / GUEST_PAGE_BYTES));
	REQUIRE(vm_memory_complete(vm, &err) == 0, "%s: %s", way->name, err.message);
	absent = compare(subject, vm, way->name);
	REQUIRE(absent == 0, "%s: %u pages stay absent", way->name, absent);
	(void)vm_free(vm);
	(void)preparation_free(preparation);
}

/* Any checked pointer makes the memory whole: device models use no other. */
static void check_pointer(const struct subject *subject)
{
	struct vm *vm = empty_vm(subject->calibration);
	struct preparation *preparation = prepare(vm, subject->calibration);

	load(subject, vm, preparation, &ways[0]);
	REQUIRE(vm_memory_at(vm, GUEST_PAGE_BYTES, 1), "no pointer");
	REQUIRE(compare(subject, vm, "a pointer") == 0, "a pointer into memory with holes");
	(void)vm_free(vm);
	(void)preparation_free(preparation);
}

/* Its base is another file: all of the preparation is mapped over. */
static void check_foreign(const struct template *base, const struct template *calibration)
{
	struct subject subject = { .plain = plain_vm(base) };
	struct vm *vm = empty_vm(calibration);
	struct preparation *preparation = prepare(vm, calibration);
	struct restore_config config = config_of(base);
	struct err err = {};

	config.preparation = preparation;
	REQUIRE(snapshot_restore(vm, &config, &err) == 0, "%s", err.message);
	REQUIRE(compare(&subject, vm, "another base") == 0, "another base: pages are absent");
	(void)vm_free(vm);
	(void)vm_free(subject.plain);
	(void)preparation_free(preparation);
}

/* --- what is refused ------------------------------------------------------------------------- */

static void check_refused(const struct subject *subject, const char *what,
			  void (*spoil)(struct restore_config *config))
{
	struct vm *vm = empty_vm(subject->calibration);
	struct preparation *preparation = prepare(vm, subject->calibration);
	struct restore_config config = config_of(subject->template);
	struct err err = {};

	config.preparation = preparation;
	spoil(&config);
	REQUIRE(snapshot_restore(vm, &config, &err) < 0, "%s is let through", what);
	printf("refused: %s\n", err.message);
	(void)vm_free(vm);
	(void)preparation_free(preparation);
}

static void spoil_extent(struct restore_config *config)
{
	static struct snapshot_extent beyond;

	beyond = (struct snapshot_extent){ config->state->memory_bytes - GUEST_PAGE_BYTES,
					   2 * GUEST_PAGE_BYTES };
	config->extents = &beyond;
	config->extent_count = 1;
}

static void spoil_layer(struct restore_config *config)
{
	config->memory_fd = memfd_create("short", MFD_CLOEXEC);
}

static void spoil_pack(struct restore_config *config)
{
	config->pack_fd = memfd_create("pack", MFD_CLOEXEC);
	config->has_pack = true;
	REQUIRE(ftruncate(config->pack_fd, 4 * GUEST_PAGE_BYTES) == 0, "no memfd");
}

/* --- the guest ------------------------------------------------------------------------------- */

/* A record that is no help: the guest meets what is absent, and does not notice. */
static void check_guest(const char *lumper, const struct subject *subject, const char *folder,
			bool helpful)
{
	struct shell_config config = test_shell_config(lumper, subject->template);
	struct template *template = test_template(folder);
	struct shell *shell = NULL;
	struct err err = {};
	struct count count;

	config.calibration = subject->calibration;
	config.pack_fd = helpful ? subject->pack_fd : -1;
	for (int i = 0; i < 3; i++) {
		REQUIRE(shell_new(&shell, &config, &err) == 0, "%s", err.message);
		count = count_ask(shell, template);
		REQUIRE(count.count == 1, "a fresh clone counts %u", count.count);
		count = count_ask(shell, template);
		REQUIRE(count.count == 2, "a second request counts %u", count.count);
		shell = shell_free(shell);
	}
	for (enum start_level level = 0; level < LEVELS; level++) {
		struct response response;
		struct start_times times;

		REQUIRE(start_function(&shell, &config, template, level, "", 0, &response, &times,
				       &err) == 0,
			"level %s: %s", level_names[level], err.message);
		count = count_parse(&response);
		REQUIRE(count.count == 1, "level %s counts %u", level_names[level], count.count);
		shell = shell_free(shell);
	}
	(void)template_free(template);
}

static void check_served(const struct subject *subject, const char *folder)
{
	struct vm *vm = empty_vm(subject->calibration);
	struct preparation *preparation = prepare(vm, subject->calibration);
	struct template *template = test_template(folder);
	const struct restore_config config = config_of(template);

	REQUIRE(preparation_serves(preparation, &config), "%s has another base", folder);
	(void)template_free(template);
	(void)vm_free(vm);
	(void)preparation_free(preparation);
}

/* The same template with an empty record, in a folder of its own. */
static void check_without_help(const char *lumper, const struct subject *subject,
			       const char *folder)
{
	static const struct working_set one = { .count = 1 };
	char copy[2048], command[8192];
	struct err err = {};

	/* Beside it, for links: a base that was copied is another one. */
	(void)snprintf(copy, sizeof(copy), "%.*s/.prepared.XXXXXX",
		       (int)(strrchr(folder, '/') - folder), folder);
	REQUIRE(mkdtemp(copy), "no folder");
	(void)snprintf(command, sizeof(command), "cp -al '%s'/. '%s'/", folder, copy);
	REQUIRE(system(command) == 0, "cannot copy the template");
	REQUIRE(template_set_working_set(copy, &one, &err) == 0, "%s", err.message);
	check_served(subject, copy);
	check_guest(lumper, subject, copy, false);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", copy);
	REQUIRE(system(command) == 0, "cannot remove the copy");
}

/* --- all ------------------------------------------------------------------------------------- */

static bool same_base(const struct template *a, const struct template *b)
{
	return memcmp(template_manifest(a)->base.digest, template_manifest(b)->base.digest,
		      sizeof(template_manifest(a)->base.digest)) == 0;
}

static struct template *find_calibration(const struct template *template, char **folders, int count,
					 const char **ret_base)
{
	for (int i = 0; i < count; i++) {
		struct template *calibration = NULL;
		char path[4096];

		(void)snprintf(path, sizeof(path), "%s/calibration", folders[i]);
		*ret_base = folders[i];
		if (template_open(&calibration, path, NULL) == 0 &&
		    same_base(calibration, template))
			return calibration;
		(void)template_free(calibration);
	}
	REQUIRE(false, "none of %d bases has a calibration for the template", count);
	return NULL;
}

int main(int argc, char **argv)
{
	struct subject subject = { .pack_fd = -1 };
	struct template *base;
	const char *base_folder = NULL;
	struct err err = {};

	REQUIRE(argc >= 4, "usage: prepared LUMPER TEMPLATE BASE-FOLDER...");
	subject.template = test_template(argv[2]);
	subject.calibration = find_calibration(subject.template, argv + 3, argc - 3, &base_folder);
	subject.plain = plain_vm(subject.template);
	REQUIRE(pack_new(subject.template, subject.calibration, &subject.pack_fd, &err) == 0, "%s",
		err.message);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		check_way(&subject, &ways[i]);
	check_pointer(&subject);
	base = test_template(base_folder);
	check_foreign(base, subject.calibration);
	check_refused(&subject, "an extent beyond memory", spoil_extent);
	check_refused(&subject, "a layer that is too short", spoil_layer);
	check_refused(&subject, "an empty pack", spoil_pack);
	printf("a guest with its record\n");
	check_guest(argv[1], &subject, argv[2], true);
	printf("a guest without help\n");
	check_without_help(argv[1], &subject, argv[2]);
	(void)template_free(base);
	(void)vm_free(subject.plain);
	(void)template_free(subject.template);
	(void)template_free(subject.calibration);
	(void)close(subject.pack_fd);
	return 0;
}
