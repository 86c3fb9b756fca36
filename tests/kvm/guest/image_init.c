/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the guest of tests/kvm/image.c: loads the drivers, mounts the image from persistent
 * memory, and shows that it is the host's memory: what it holds, that programs run from it, that
 * reading it takes none of the guest's own, and that writing it changes nothing. Rings READY before
 * it looks for the image and when all was right, FAILED otherwise; then does most of it again and
 * rings DONE; at last reads where no image is.
 *
 * image_init FILE, on the host, writes the data that it expects.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "doorbell.h"
#include "mailbox.h"

#define PMEM "/dev/pmem0"
#define DATA "/image/data"
#define IMAGE_GPA (16ll << 30)
#define IMAGE_LAST_PAGE (IMAGE_GPA + (8ll << 30) - 4096)

enum {
	DATA_BYTES = 48 << 20,
	PAGE = 4096,
	PROGRAM_STATUS = 42,
	SLACK_KIB = 4096,
	WAIT_MS = 20000,
};

static volatile uint32_t *bell;

static _Noreturn void end(uint32_t value)
{
	(void)fflush(stdout);
	(void)tcdrain(STDOUT_FILENO);
	if (bell)
		doorbell_ring(bell, value);
	(void)reboot(RB_POWER_OFF);
	for (;;)
		(void)pause();
}

#define REQUIRE(condition, ...)                                                 \
	do {                                                                    \
		if (!(condition)) {                                             \
			int error_ = errno;                                     \
			printf("FAILED, line %d: ", __LINE__);                  \
			printf(__VA_ARGS__);                                    \
			printf(" (%s)\n", strerror(error_));                    \
			end(DOORBELL_FAILED);                                   \
		}                                                               \
	} while (0)

static long now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A line of /proc/meminfo, in KiB. */
static long meminfo(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	long kib = -1;

	REQUIRE(file, "no /proc/meminfo");
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtol(line + strlen(name) + 1, NULL, 10);
	(void)fclose(file);
	REQUIRE(kib >= 0, "no %s", name);
	return kib;
}

static void mount_at(const char *source, const char *target, const char *type,
		     unsigned long flags, const char *options)
{
	(void)mkdir(target, 0755);
	REQUIRE(mount(source, target, type, flags, options) == 0, "mount %s", target);
}

static void mount_image(const char *options)
{
	mount_at(PMEM, "/image", "erofs", MS_RDONLY, options);
}

static void unmount_image(void)
{
	REQUIRE(umount("/image") == 0, "umount /image");
}

static void bell_open(void)
{
	int fd = open("/sys/bus/pci/devices/0000:00:01.0/enable", O_WRONLY | O_CLOEXEC);
	uint8_t *bar;

	REQUIRE(fd >= 0 && write(fd, "1", 1) == 1, "no doorbell");
	(void)close(fd);
	fd = open(DOORBELL_SYSFS, O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0, "no doorbell");
	bar = mmap(NULL, DOORBELL_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(bar != MAP_FAILED, "cannot map the doorbell");
	(void)close(fd);
	bell = (volatile uint32_t *)(bar + DOORBELL_REGISTER_OFFSET);
}

static void load_module(const char *name)
{
	long begin = now_us();
	char path[96];
	int fd;

	(void)snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0, "module %s", name);
	(void)close(fd);
	printf("module %-22s %6ld us\n", name, now_us() - begin);
}

/* /modules/order names them, one a line. */
static void load_modules(void)
{
	FILE *order = fopen("/modules/order", "re");
	long begin = now_us(), free_kib = meminfo("MemFree");
	char name[64];

	REQUIRE(order, "no list of modules");
	while (fscanf(order, "%63s", name) == 1)
		load_module(name);
	(void)fclose(order);
	printf("modules together %ld us, %ld KiB\n", now_us() - begin,
	       free_kib - meminfo("MemFree"));
}

/* libnvdimm registers what a driver found on a thread of its own. */
static void wait_for_pmem(void)
{
	long begin = now_us();

	while (access(PMEM, R_OK) < 0) {
		REQUIRE(now_us() - begin < WAIT_MS * 1000l, "no " PMEM);
		(void)usleep(200);
	}
	printf("then waited for " PMEM " %ld us\n", now_us() - begin);
}

static uint64_t data_word(uint64_t index)
{
	return (index + 1) * 0x9e3779b97f4a7c15ull;
}

static int write_data(const char *path)
{
	FILE *file = fopen(path, "we");
	bool good = file;

	for (uint64_t i = 0; good && i < DATA_BYTES / sizeof(uint64_t); i++) {
		uint64_t word = data_word(i);

		good = fwrite(&word, sizeof(word), 1, file) == 1;
	}
	return file && fclose(file) == 0 && good ? 0 : 1;
}

static void check_data(const uint64_t *data)
{
	for (uint64_t i = 0; i < DATA_BYTES / sizeof(*data); i++)
		REQUIRE(data[i] == data_word(i), "word %llu differs", (unsigned long long)i);
}

static void check_mapped(void)
{
	int fd = open(DATA, O_RDONLY | O_CLOEXEC);
	void *data;

	REQUIRE(fd >= 0, "no " DATA);
	data = mmap(NULL, DATA_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(data != MAP_FAILED, "cannot map " DATA);
	check_data(data);
	(void)munmap(data, DATA_BYTES);
	(void)close(fd);
}

static void check_read(void)
{
	uint8_t *data = malloc(DATA_BYTES);
	int fd = open(DATA, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 1;

	REQUIRE(data && fd >= 0, "no " DATA);
	for (; n > 0 && have < DATA_BYTES; have += (size_t)n)
		n = read(fd, data + have, DATA_BYTES - have);
	REQUIRE(n > 0, "cannot read " DATA);
	check_data((const uint64_t *)data);
	(void)close(fd);
	free(data);
}

static void check_program(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl("/image/program", "program", (char *)NULL);
		_exit(1);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid, "no child");
	REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == PROGRAM_STATUS,
		"the program's status is %#x", (unsigned int)status);
}

/* How much the page cache grows while the image is read in both ways. */
static long cache_growth_kib(void)
{
	long before = meminfo("Cached") + meminfo("Buffers");

	check_mapped();
	check_read();
	return meminfo("Cached") + meminfo("Buffers") - before;
}

/* That the check could fail shows the same file without DAX. */
static void check_memory(void)
{
	long copied, direct;

	mount_image("dax=never");
	copied = cache_growth_kib();
	unmount_image();
	mount_image("dax=always");
	direct = cache_growth_kib();
	printf("page cache: %ld KiB more with DAX, %ld KiB without\n", direct, copied);
	REQUIRE(direct < SLACK_KIB, "reading the image took memory");
	REQUIRE(copied > DATA_BYTES / 1024 - SLACK_KIB, "nor does reading it without DAX");
}

static void read_first_page(int fd, uint8_t *page)
{
	REQUIRE(pread(fd, page, PAGE, 0) == PAGE, "cannot read " PMEM);
}

/* The guest's kernel writes, the host drops it; fsync is a flush through the virtqueue. */
static void check_writes(void)
{
	static uint8_t before[PAGE] __attribute__((aligned(PAGE)));
	static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
	int fd = open(PMEM, O_RDWR | O_DIRECT | O_CLOEXEC);

	REQUIRE(fd >= 0, "cannot open " PMEM " for writing");
	read_first_page(fd, before);
	memset(page, 0xff, sizeof(page));
	REQUIRE(pwrite(fd, page, PAGE, 0) == PAGE, "the guest's kernel refuses to write");
	REQUIRE(fsync(fd) == 0, "the flush failed");
	read_first_page(fd, page);
	REQUIRE(memcmp(before, page, PAGE) == 0, "the image has changed");
	(void)close(fd);
}

static void show_interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "virtio"))
			printf("interrupt %s", line);
	if (file)
		(void)fclose(file);
}

/* Ends the VM. */
static void read_beyond(void)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	const volatile uint8_t *page;

	REQUIRE(fd >= 0, "no /dev/mem");
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, IMAGE_LAST_PAGE);
	REQUIRE(page != MAP_FAILED, "cannot map beyond the image");
	printf("beyond the image: %u\n", *page);
}

/* The driver looks at the size once, when it finds the function: it comes after the image. */
static void find_image(void)
{
	long free_kib = meminfo("MemFree");
	long begin;

	load_module("virtio_pmem");
	wait_for_pmem();
	printf("driver and memmap %ld KiB\n", free_kib - meminfo("MemFree"));
	begin = now_us();
	mount_image("dax=always");
	printf("mounted in %ld us\n", now_us() - begin);
	unmount_image();
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return write_data(argv[1]);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	mount_at("proc", "/proc", "proc", 0, NULL);
	mount_at("sysfs", "/sys", "sysfs", 0, NULL);
	mount_at("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	bell_open();
	load_modules();
	doorbell_ring(bell, DOORBELL_READY);
	find_image();
	check_memory();
	check_program();
	check_writes();
	show_interrupts();
	doorbell_ring(bell, DOORBELL_READY);
	check_mapped();
	check_read();
	check_program();
	check_writes();
	show_interrupts();
	doorbell_ring(bell, DOORBELL_DONE);
	read_beyond();
	end(DOORBELL_FAILED);
}
