/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the guest of tests/kvm/generation.c: rings READY, and once its generation id has changed
 * says what its kernel saw of that: which id, how many interrupts, and, where the kernel has a
 * driver for it, that it reseeded its random numbers. Rings DONE, or FAILED when there was nothing.
 */
#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "doorbell.h"
#include "mailbox.h"

#define DEVICE "/sys/bus/acpi/devices/QRKV0001:00"
#define DRIVER DEVICE "/driver"
#define RESEEDED "virtual machine fork"

enum { GENERATION_GPA = 0xf0000, GUID_BYTES = 16, PAGE = 4096, TRIES = 200, TRY_US = 10000 };

static volatile uint32_t *bell;

static void bell_open(void)
{
	int fd = open("/sys/bus/pci/devices/0000:00:01.0/enable", O_WRONLY | O_CLOEXEC);
	uint8_t *bar;

	if (fd < 0 || write(fd, "1", 1) != 1)
		return;
	(void)close(fd);
	fd = open(DOORBELL_SYSFS, O_RDWR | O_CLOEXEC);
	bar = mmap(NULL, DOORBELL_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bar != MAP_FAILED)
		bell = (volatile uint32_t *)(bar + DOORBELL_REGISTER_OFFSET);
	(void)close(fd);
}

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

static void mount_at(const char *type, const char *target)
{
	(void)mkdir(target, 0755);
	if (mount(type, target, type, 0, NULL) < 0)
		end(DOORBELL_FAILED);
}

/* How often the generic event device was interrupted, on all CPUs (there is one). */
static long interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[256];
	long count = -1, n;

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, "Ged") && sscanf(line, " %*d: %ld", &n) == 1)
			count = n;
	if (file)
		(void)fclose(file);
	return count;
}

static int has_reseeded(void)
{
	char line[1024];
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), found = 0;
	ssize_t n;

	while (fd >= 0 && !found && (n = read(fd, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		found = strstr(line, RESEEDED) != NULL;
	}
	if (fd >= 0)
		(void)close(fd);
	return found;
}

static void print_guid(void)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	const uint8_t *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, GENERATION_GPA);

	if (page == MAP_FAILED)
		end(DOORBELL_FAILED);
	printf("guid ");
	for (int i = 0; i < GUID_BYTES; i++)
		printf("%02x", page[i]);
	putchar('\n');
}

/* Only a kernel whose random numbers are ready has something to reseed. What they are made from
 * does not matter here. */
static void make_random_ready(void)
{
	/* As struct rand_pool_info, which ends in an open array. */
	static const struct {
		int entropy_count, buf_size;
		uint32_t words[16];
	} entropy = { .entropy_count = 512, .buf_size = sizeof(entropy.words) };
	int fd = open("/dev/random", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &entropy) < 0)
		end(DOORBELL_FAILED);
	(void)close(fd);
}

int main(void)
{
	long before, after;
	int reseeded = 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("devtmpfs", "/dev");
	bell_open();
	make_random_ready();
	before = interrupts();
	if (!bell || access(DEVICE, F_OK) < 0 || before < 0 || has_reseeded())
		end(DOORBELL_FAILED);
	doorbell_ring(bell, DOORBELL_READY);
	for (int i = 0; i < TRIES && (after = interrupts()) == before; i++)
		(void)usleep(TRY_US);
	for (int i = 0; i < TRIES && access(DRIVER, F_OK) == 0 && !reseeded; i++) {
		reseeded = has_reseeded();
		(void)usleep(TRY_US);
	}
	print_guid();
	printf("interrupts %ld\ndriver %s\nreseeded %s\n", after - before,
	       access(DRIVER, F_OK) == 0 ? "yes" : "no", reseeded ? "yes" : "no");
	end(DOORBELL_DONE);
}
