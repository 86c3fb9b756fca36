/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `run0 spec` writes: a config.json to start from, as other runtimes have it. Text, so that it
 * reads well in an editor; the two kinds are put together from the same pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci.h"

/* What a user without privileges cannot do is left out: networks, limits, groups of others, a fresh
 * sysfs. The process is root of a namespace with one user. */

#define CAPABILITIES "[\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]"

#define HEAD                                                                                    \
	"{\n"                                                                                   \
	"\t\"ociVersion\": \"1.1.0\",\n"                                                        \
	"\t\"process\": {\n"                                                                    \
	"\t\t\"terminal\": true,\n"                                                             \
	"\t\t\"user\": {\"uid\": 0, \"gid\": 0},\n"                                             \
	"\t\t\"args\": [\"sh\"],\n"                                                             \
	"\t\t\"env\": [\n"                                                                      \
	"\t\t\t\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\n"        \
	"\t\t\t\"TERM=xterm\"\n"                                                                \
	"\t\t],\n"                                                                              \
	"\t\t\"cwd\": \"/\",\n"                                                                 \
	"\t\t\"capabilities\": {\n"                                                             \
	"\t\t\t\"bounding\": " CAPABILITIES ",\n"                                               \
	"\t\t\t\"effective\": " CAPABILITIES ",\n"                                              \
	"\t\t\t\"permitted\": " CAPABILITIES "\n"                                               \
	"\t\t},\n"                                                                              \
	"\t\t\"rlimits\": [\n"                                                                  \
	"\t\t\t{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}\n"                 \
	"\t\t],\n"                                                                              \
	"\t\t\"noNewPrivileges\": true\n"                                                       \
	"\t},\n"                                                                                \
	"\t\"root\": {\"path\": \"rootfs\", \"readonly\": true},\n"                             \
	"\t\"hostname\": \"run0\",\n"                                                           \
	"\t\"mounts\": [\n"

#define MOUNT(destination, type, source, options)                                  \
	"\t\t{\n"                                                                  \
	"\t\t\t\"destination\": \"" destination "\",\n"                            \
	"\t\t\t\"type\": \"" type "\",\n"                                          \
	"\t\t\t\"source\": \"" source "\",\n"                                      \
	"\t\t\t\"options\": [" options "]\n"                                       \
	"\t\t}"

#define CLOSED "\"nosuid\", \"noexec\", \"nodev\""
#define TERMINALS "\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\""

#define PROC MOUNT("/proc", "proc", "proc", CLOSED) ",\n"
#define DEV                                                                                     \
	MOUNT("/dev", "tmpfs", "tmpfs",                                                         \
	      "\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"") ",\n"
#define SHM                                                                                  \
	MOUNT("/dev/shm", "tmpfs", "shm", CLOSED ", \"mode=1777\", \"size=65536k\"") ",\n"   \
	MOUNT("/dev/mqueue", "mqueue", "mqueue", CLOSED) ",\n"
#define CGROUP MOUNT("/sys/fs/cgroup", "cgroup", "cgroup", CLOSED ", \"relatime\", \"ro\"") "\n"

#define PRIVILEGED_MOUNTS                                                              \
	PROC DEV MOUNT("/dev/pts", "devpts", "devpts", TERMINALS ", \"gid=5\"") ",\n" SHM \
		MOUNT("/sys", "sysfs", "sysfs", CLOSED ", \"ro\"") ",\n" CGROUP
#define ROOTLESS_MOUNTS                                                       \
	PROC DEV MOUNT("/dev/pts", "devpts", "devpts", TERMINALS) ",\n" SHM       \
		MOUNT("/sys", "none", "/sys", "\"rbind\", " CLOSED ", \"ro\"") ",\n" CGROUP

#define MIDDLE                \
	"\t],\n"              \
	"\t\"linux\": {\n"

#define PRIVILEGED_PART                                                         \
	"\t\t\"resources\": {\n"                                                \
	"\t\t\t\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]\n"        \
	"\t\t},\n"                                                              \
	"\t\t\"namespaces\": [\n"                                               \
	"\t\t\t{\"type\": \"network\"},\n"
#define ROOTLESS_PART                                                                           \
	"\t\t\"uidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n"           \
	"\t\t\"gidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n"           \
	"\t\t\"namespaces\": [\n"                                                               \
	"\t\t\t{\"type\": \"user\"},\n"

#define TAIL                                                                            \
	"\t\t\t{\"type\": \"pid\"},\n"                                                  \
	"\t\t\t{\"type\": \"ipc\"},\n"                                                  \
	"\t\t\t{\"type\": \"uts\"},\n"                                                  \
	"\t\t\t{\"type\": \"mount\"},\n"                                                \
	"\t\t\t{\"type\": \"cgroup\"}\n"                                                \
	"\t\t],\n"                                                                      \
	"\t\t\"maskedPaths\": [\n"                                                      \
	"\t\t\t\"/proc/acpi\",\n"                                                       \
	"\t\t\t\"/proc/asound\",\n"                                                     \
	"\t\t\t\"/proc/kcore\",\n"                                                      \
	"\t\t\t\"/proc/keys\",\n"                                                       \
	"\t\t\t\"/proc/latency_stats\",\n"                                              \
	"\t\t\t\"/proc/timer_list\",\n"                                                 \
	"\t\t\t\"/proc/timer_stats\",\n"                                                \
	"\t\t\t\"/proc/sched_debug\",\n"                                                \
	"\t\t\t\"/sys/firmware\",\n"                                                    \
	"\t\t\t\"/sys/devices/virtual/powercap\",\n"                                    \
	"\t\t\t\"/proc/scsi\"\n"                                                        \
	"\t\t],\n"                                                                      \
	"\t\t\"readonlyPaths\": [\n"                                                    \
	"\t\t\t\"/proc/bus\",\n"                                                        \
	"\t\t\t\"/proc/fs\",\n"                                                         \
	"\t\t\t\"/proc/irq\",\n"                                                        \
	"\t\t\t\"/proc/sys\",\n"                                                        \
	"\t\t\t\"/proc/sysrq-trigger\"\n"                                               \
	"\t\t]\n"                                                                       \
	"\t}\n"                                                                         \
	"}\n"

char *oci_default_spec_json(bool rootless)
{
	char *json = NULL;

	if (!rootless)
		return strdup(HEAD PRIVILEGED_MOUNTS MIDDLE PRIVILEGED_PART TAIL);
	if (asprintf(&json, HEAD ROOTLESS_MOUNTS MIDDLE ROOTLESS_PART TAIL, geteuid(),
		     getegid()) < 0)
		return NULL;
	return json;
}
