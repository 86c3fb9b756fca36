/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: every member of every object as the decoder gives it.
 */
#include <errno.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "cleanup.h"
#include "err.h"
#include "oci.h"
#include "oci_spec_text.h"
#include "spec/spec.h"

static void assert_number(const struct oci_number *number, int64_t value)
{
	assert_true(number->set);
	assert_true(number->value == value);
}

static void assert_strings(const struct oci_strings *strings, const char *first, const char *last)
{
	assert_true(strings->count > 0);
	assert_string_equal(strings->items[0], first);
	assert_string_equal(strings->items[strings->count - 1], last);
	assert_null(strings->items[strings->count]);
}

/* --- what is decoded ------------------------------------------------------------------------- */

static void test_least(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(spec_parse, CONFIG(""));

	(void)state;
	assert_string_equal(spec->version, "1.1.0");
	assert_string_equal(spec->root_path, "rootfs");
	assert_false(spec->root_readonly);
	assert_null(spec->process);
	assert_null(spec->mounts);
	assert_null(spec->hostname);
	assert_null(spec->linux.seccomp);
	assert_false(spec->linux.resources.memory.limit.set);
	for (int i = 0; i < OCI_NS_COUNT; i++)
		assert_false(spec->linux.namespaces[i].present);
	for (int i = 0; i < OCI_HOOK_POINT_COUNT; i++)
		assert_int_equal(spec->hooks[i].count, 0);
}

static void test_null_and_empty_are_absent(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(
		spec_parse, CONFIG(",'process':null,'mounts':null,'hostname':'','hooks':null,"
				   "'annotations':{},'x':{'x':1,'x':2},"
				   "'linux':{'seccomp':null,'sysctl':null,'maskedPaths':[],"
				   "'namespaces':[{'type':'pid','path':''}],'cgroupsPath':'',"
				   "'rootfsPropagation':''}"));

	(void)state;
	assert_null(spec->process);
	assert_null(spec->hostname);
	assert_null(spec->linux.seccomp);
	assert_null(spec->linux.masked_paths.items);
	assert_null(spec->linux.cgroups_path);
	assert_null(spec->annotations.items);
	assert_int_equal(spec->linux.rootfs_propagation, 0);
	assert_true(spec->linux.namespaces[OCI_NS_PID].present);
	assert_null(spec->linux.namespaces[OCI_NS_PID].path);
}

static void test_top_level(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(
		spec_parse,
		"\xef\xbb\xbf {'ociVersion':'1.0.2-dev','root':{'path':'/r','readonly':true},"
		"'hostname':'h','domainname':'d','annotations':{'a':'1','b':''},"
		"'linux':{'namespaces':[{'type':'uts'}]}}\n ");

	(void)state;
	assert_string_equal(spec->version, "1.0.2-dev");
	assert_string_equal(spec->root_path, "/r");
	assert_true(spec->root_readonly);
	assert_string_equal(spec->hostname, "h");
	assert_string_equal(spec->domainname, "d");
	assert_int_equal(spec->annotations.count, 2);
	assert_string_equal(spec->annotations.items[0].name, "a");
	assert_string_equal(spec->annotations.items[0].value, "1");
	assert_string_equal(spec->annotations.items[1].value, "");
}

static const char process_text[] =
	"{'terminal':true,'consoleSize':{'height':24,'width':80},"
	"'user':{'uid':1000,'gid':4294967295,'umask':18,'additionalGids':[5,6],'username':'x'},"
	"'args':['sh','','-c'],'env':['A=1','B='],'cwd':'/tmp','noNewPrivileges':true,"
	"'capabilities':{'bounding':['CAP_CHOWN','CAP_X','CAP_CHECKPOINT_RESTORE'],"
	"'effective':['CAP_KILL'],'inheritable':['CAP_SETPCAP','CAP_SETUID'],"
	"'permitted':['CAP_SYS_ADMIN'],'ambient':['CAP_AUDIT_READ']},"
	"'rlimits':[{'type':'RLIMIT_NOFILE','soft':1024,'hard':18446744073709551615}],"
	"'apparmorProfile':'profile','selinuxLabel':'label','oomScoreAdj':-999,"
	"'scheduler':{'policy':'SCHED_DEADLINE','nice':-20,'priority':99,"
	"'flags':['SCHED_FLAG_RESET_ON_FORK','SCHED_FLAG_UTIL_CLAMP_MAX'],"
	"'runtime':1000,'deadline':2000,'period':3000},"
	"'ioPriority':{'class':'IOPRIO_CLASS_IDLE','priority':7}}";

static void check_process(const struct oci_process *process)
{
	assert_true(process->terminal);
	assert_int_equal(process->console_height, 24);
	assert_int_equal(process->console_width, 80);
	assert_int_equal(process->user.uid, 1000);
	assert_true(process->user.gid == UINT32_MAX);
	assert_number(&process->user.umask, 022);
	assert_int_equal(process->user.additional_gid_count, 2);
	assert_int_equal(process->user.additional_gids[1], 6);
	assert_int_equal(process->args.count, 3);
	assert_strings(&process->args, "sh", "-c");
	assert_string_equal(process->args.items[1], "");
	assert_strings(&process->env, "A=1", "B=");
	assert_string_equal(process->cwd, "/tmp");
	assert_true(process->no_new_privileges);
	assert_string_equal(process->apparmor_profile, "profile");
	assert_string_equal(process->selinux_label, "label");
	assert_number(&process->oom_score_adj, -999);
}

static void check_process_sets(const struct oci_process *process)
{
	assert_true(process->capabilities.present);
	assert_true(process->capabilities.bounding == (UINT64_C(1) << 40 | 1));
	assert_true(process->capabilities.effective == UINT64_C(1) << 5);
	assert_true(process->capabilities.inheritable == (UINT64_C(1) << 8 | UINT64_C(1) << 7));
	assert_true(process->capabilities.permitted == UINT64_C(1) << 21);
	assert_true(process->capabilities.ambient == UINT64_C(1) << 37);
	assert_string_equal(process->capabilities.unknown, "CAP_X");
	assert_int_equal(process->rlimit_count, 1);
	assert_int_equal(process->rlimits[0].resource, RLIMIT_NOFILE);
	assert_string_equal(process->rlimits[0].name, "RLIMIT_NOFILE");
	assert_true(process->rlimits[0].soft == 1024 && process->rlimits[0].hard == RLIM_INFINITY);
	assert_true(process->scheduler.present && process->io_priority.present);
	assert_int_equal(process->scheduler.policy, SCHED_DEADLINE);
	assert_int_equal(process->scheduler.nice, -20);
	assert_int_equal(process->scheduler.priority, 99);
	assert_int_equal(process->scheduler.flags, 0x41);
	assert_int_equal(process->scheduler.runtime_ns, 1000);
	assert_int_equal(process->scheduler.deadline_ns, 2000);
	assert_int_equal(process->scheduler.period_ns, 3000);
	assert_int_equal(process->io_priority.class, IOPRIO_CLASS_IDLE);
	assert_int_equal(process->io_priority.priority, 7);
}

static void test_process(void **state)
{
	char text[sizeof(process_text) + 100];

	(void)state;
	(void)snprintf(text, sizeof(text),
		       "{'ociVersion':'1.0.0','root':{'path':'r'},'process':%s}", process_text);
	cleanup_spec struct oci_spec *spec = decode(spec_parse, text);
	cleanup_spec struct oci_spec *alone = decode(spec_parse_process, process_text);

	check_process(spec->process);
	check_process_sets(spec->process);
	check_process(alone->process);
	check_process_sets(alone->process);
	assert_null(alone->root_path);
}

static void test_process_defaults(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(spec_parse, PROCESS(""));

	(void)state;
	assert_false(spec->process->capabilities.present);
	assert_false(spec->process->scheduler.present);
	assert_false(spec->process->oom_score_adj.set);
	assert_false(spec->process->user.umask.set);
	assert_int_equal(spec->process->console_height, 0);
	assert_null(spec->process->env.items);
}

static void test_rlimit_names(void **state)
{
	static const struct {
		const char *name;
		int resource;
	} rows[] = {
		{ "AS", RLIMIT_AS },	       { "CORE", RLIMIT_CORE },
		{ "CPU", RLIMIT_CPU },	       { "DATA", RLIMIT_DATA },
		{ "FSIZE", RLIMIT_FSIZE },     { "LOCKS", RLIMIT_LOCKS },
		{ "MEMLOCK", RLIMIT_MEMLOCK }, { "MSGQUEUE", RLIMIT_MSGQUEUE },
		{ "NICE", RLIMIT_NICE },       { "NOFILE", RLIMIT_NOFILE },
		{ "NPROC", RLIMIT_NPROC },     { "RSS", RLIMIT_RSS },
		{ "RTPRIO", RLIMIT_RTPRIO },   { "RTTIME", RLIMIT_RTTIME },
		{ "STACK", RLIMIT_STACK },     { "SIGPENDING", RLIMIT_SIGPENDING },
	};
	char text[256];

	(void)state;
	assert_int_equal(ARRAY_SIZE(rows), RLIM_NLIMITS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(text, sizeof(text),
			       PROCESS(",'rlimits':[{'type':'RLIMIT_%s','soft':1,'hard':2}]"),
			       rows[i].name);
		cleanup_spec struct oci_spec *spec = decode(spec_parse, text);

		assert_int_equal(spec->process->rlimits[0].resource, rows[i].resource);
	}
}

static void test_mount(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(
		spec_parse,
		MOUNTS("{'destination':'/proc','type':'proc','source':'proc'},"
		       "{'destination':'dev/shm','type':'tmpfs','source':'shm','options':"
		       "['nosuid','mode=1777','size=65536k','ro','dirsync','rslave']},"
		       "{'destination':'/m','type':'bind','source':'/s'},"
		       "{'destination':'/n','source':'s','options':['rbind','rro','ridmap'],"
		       "'uidMappings':[{'containerID':0,'hostID':1000,'size':10}],"
		       "'gidMappings':[{'containerID':1,'hostID':1001,'size':11}]}"));
	const struct oci_mount *mount = spec->mounts;

	(void)state;
	assert_int_equal(spec->mount_count, 4);
	assert_string_equal(mount[0].destination, "/proc");
	assert_string_equal(mount[0].type, "proc");
	assert_string_equal(mount[0].path, "mounts[0]");
	assert_null(mount[0].data);
	assert_string_equal(mount[1].destination, "/dev/shm");
	assert_string_equal(mount[1].data, "mode=1777,size=65536k");
	assert_true(mount[1].attr_set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY));
	assert_true(mount[1].sb_flags == (MS_RDONLY | MS_DIRSYNC));
	assert_true(mount[1].propagation == (MS_SLAVE | MS_REC));
	assert_true(mount[2].bind && !mount[2].recursive);
	assert_true(mount[3].bind && mount[3].recursive);
	assert_true(mount[3].idmap && mount[3].idmap_recursive);
	assert_true(mount[3].rec_attr_set == MOUNT_ATTR_RDONLY && mount[3].attr_set == 0);
	assert_int_equal(mount[3].uid_mappings.items[0].host_id, 1000);
	assert_int_equal(mount[3].gid_mappings.items[0].container_id, 1);
	assert_int_equal(mount[3].gid_mappings.items[0].size, 11);
	assert_string_equal(mount[3].path, "mounts[3]");
}

/* Each option alone, and pairs of which the later wins. */
static void test_mount_options(void **state)
{
	enum { TIMES = MOUNT_ATTR__ATIME };
	static const struct {
		const char *options;
		struct oci_mount mount;
	} rows[] = {
		{ "'defaults'", { 0 } },
		{ "'ro'", { .attr_set = MOUNT_ATTR_RDONLY, .sb_flags = MS_RDONLY } },
		{ "'rw'", { .attr_clear = MOUNT_ATTR_RDONLY } },
		{ "'ro','rw'", { .attr_clear = MOUNT_ATTR_RDONLY } },
		{ "'rw','ro'", { .attr_set = MOUNT_ATTR_RDONLY, .sb_flags = MS_RDONLY } },
		{ "'nosuid'", { .attr_set = MOUNT_ATTR_NOSUID } },
		{ "'suid'", { .attr_clear = MOUNT_ATTR_NOSUID } },
		{ "'nodev'", { .attr_set = MOUNT_ATTR_NODEV } },
		{ "'dev'", { .attr_clear = MOUNT_ATTR_NODEV } },
		{ "'noexec'", { .attr_set = MOUNT_ATTR_NOEXEC } },
		{ "'exec'", { .attr_clear = MOUNT_ATTR_NOEXEC } },
		{ "'nosymfollow'", { .attr_set = MOUNT_ATTR_NOSYMFOLLOW } },
		{ "'symfollow'", { .attr_clear = MOUNT_ATTR_NOSYMFOLLOW } },
		{ "'nodiratime'", { .attr_set = MOUNT_ATTR_NODIRATIME } },
		{ "'diratime'", { .attr_clear = MOUNT_ATTR_NODIRATIME } },
		{ "'noatime'", { .attr_set = MOUNT_ATTR_NOATIME, .attr_clear = TIMES } },
		{ "'atime'", { .attr_clear = TIMES } },
		{ "'relatime'", { .attr_clear = TIMES } },
		{ "'norelatime'", { .attr_clear = TIMES } },
		{ "'strictatime'", { .attr_set = MOUNT_ATTR_STRICTATIME, .attr_clear = TIMES } },
		{ "'nostrictatime'", { .attr_clear = TIMES } },
		{ "'noatime','strictatime'",
		  { .attr_set = MOUNT_ATTR_STRICTATIME, .attr_clear = TIMES } },
		{ "'noatime','nodiratime','relatime'",
		  { .attr_set = MOUNT_ATTR_NODIRATIME, .attr_clear = TIMES } },
		{ "'rro'", { .rec_attr_set = MOUNT_ATTR_RDONLY } },
		{ "'rrw'", { .rec_attr_clear = MOUNT_ATTR_RDONLY } },
		{ "'rnosuid'", { .rec_attr_set = MOUNT_ATTR_NOSUID } },
		{ "'rsuid'", { .rec_attr_clear = MOUNT_ATTR_NOSUID } },
		{ "'rnodev'", { .rec_attr_set = MOUNT_ATTR_NODEV } },
		{ "'rdev'", { .rec_attr_clear = MOUNT_ATTR_NODEV } },
		{ "'rnoexec'", { .rec_attr_set = MOUNT_ATTR_NOEXEC } },
		{ "'rexec'", { .rec_attr_clear = MOUNT_ATTR_NOEXEC } },
		{ "'rnosymfollow'", { .rec_attr_set = MOUNT_ATTR_NOSYMFOLLOW } },
		{ "'rsymfollow'", { .rec_attr_clear = MOUNT_ATTR_NOSYMFOLLOW } },
		{ "'rnodiratime'", { .rec_attr_set = MOUNT_ATTR_NODIRATIME } },
		{ "'rdiratime'", { .rec_attr_clear = MOUNT_ATTR_NODIRATIME } },
		{ "'rnoatime'",
		  { .rec_attr_set = MOUNT_ATTR_NOATIME, .rec_attr_clear = TIMES } },
		{ "'ratime'", { .rec_attr_clear = TIMES } },
		{ "'rrelatime'", { .rec_attr_clear = TIMES } },
		{ "'rnorelatime'", { .rec_attr_clear = TIMES } },
		{ "'rstrictatime'",
		  { .rec_attr_set = MOUNT_ATTR_STRICTATIME, .rec_attr_clear = TIMES } },
		{ "'rnostrictatime'", { .rec_attr_clear = TIMES } },
		{ "'rw','rro'",
		  { .attr_clear = MOUNT_ATTR_RDONLY, .rec_attr_set = MOUNT_ATTR_RDONLY } },
		{ "'sync'", { .sb_flags = MS_SYNCHRONOUS } },
		{ "'sync','async'", { 0 } },
		{ "'dirsync'", { .sb_flags = MS_DIRSYNC } },
		{ "'mand'", { .sb_flags = MS_MANDLOCK } },
		{ "'mand','nomand'", { 0 } },
		{ "'lazytime'", { .sb_flags = MS_LAZYTIME } },
		{ "'lazytime','nolazytime'", { 0 } },
		{ "'iversion'", { .sb_flags = MS_I_VERSION } },
		{ "'iversion','noiversion'", { 0 } },
		{ "'silent'", { .sb_flags = MS_SILENT } },
		{ "'silent','loud'", { 0 } },
		{ "'shared'", { .propagation = MS_SHARED } },
		{ "'rshared'", { .propagation = MS_SHARED | MS_REC } },
		{ "'slave'", { .propagation = MS_SLAVE } },
		{ "'rslave'", { .propagation = MS_SLAVE | MS_REC } },
		{ "'private'", { .propagation = MS_PRIVATE } },
		{ "'rprivate'", { .propagation = MS_PRIVATE | MS_REC } },
		{ "'unbindable'", { .propagation = MS_UNBINDABLE } },
		{ "'runbindable'", { .propagation = MS_UNBINDABLE | MS_REC } },
		{ "'shared','rprivate'", { .propagation = MS_PRIVATE | MS_REC } },
		{ "'bind'", { .bind = true } },
		{ "'rbind'", { .bind = true, .recursive = true } },
		{ "'remount'", { .remount = true } },
		{ "'tmpcopyup'", { .tmpcopyup = true } },
		{ "'copy-symlink'", { .copy_symlink = true } },
		{ "'idmap'", { .idmap = true } },
		{ "'ridmap'", { .idmap = true, .idmap_recursive = true } },
		{ "'','a','','b=c,d'", { .data = "a,b=c,d" } },
		{ "'RO'", { .data = "RO" } },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(
			text, sizeof(text),
			MOUNTS("{'destination':'/m','type':'t','source':'s','options':[%s]}"),
			rows[i].options);
		cleanup_spec struct oci_spec *spec = decode(spec_parse, text);
		struct oci_mount mount = spec->mounts[0], expected = rows[i].mount;

		if (expected.data)
			assert_string_equal(mount.data, expected.data);
		else
			assert_null(mount.data);
		if (mount.attr_set != expected.attr_set ||
		    mount.attr_clear != expected.attr_clear ||
		    mount.rec_attr_set != expected.rec_attr_set ||
		    mount.rec_attr_clear != expected.rec_attr_clear ||
		    mount.sb_flags != expected.sb_flags ||
		    mount.propagation != expected.propagation || mount.bind != expected.bind ||
		    mount.recursive != expected.recursive || mount.remount != expected.remount ||
		    mount.tmpcopyup != expected.tmpcopyup ||
		    mount.copy_symlink != expected.copy_symlink ||
		    mount.idmap != expected.idmap ||
		    mount.idmap_recursive != expected.idmap_recursive)
			fail_msg("%s is decoded wrongly", rows[i].options);
	}
}

static void test_linux(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(
		spec_parse,
		LINUX("'namespaces':[{'type':'user','path':'/u'},{'type':'pid'},"
		      "{'type':'network','path':'/n'},{'type':'mount'},{'type':'ipc'},"
		      "{'type':'uts'},{'type':'cgroup'},{'type':'time'}],"
		      "'uidMappings':[{'containerID':0,'hostID':1000,'size':1},"
		      "{'containerID':1,'hostID':100000,'size':65535}],"
		      "'gidMappings':[{'containerID':0,'hostID':1001,'size':1}],"
		      "'timeOffsets':{'monotonic':{'secs':-5,'nanosecs':6},'boottime':{'secs':7}},"
		      "'cgroupsPath':'/a/b','mountLabel':'l','rootfsPropagation':'rslave',"
		      "'sysctl':{'net.ipv4.ip_forward':'1','net/ipv4/conf/a.1/rp_filter':'0'},"
		      "'maskedPaths':['/a','/b'],'readonlyPaths':['/c'],"
		      "'intelRdt':{'closID':'c','l3CacheSchema':'L3','memBwSchema':'MB',"
		      "'enableCMT':true,'enableMBM':true},"
		      "'personality':{'domain':'LINUX32','flags':[]}"));
	const struct oci_linux *linux_part = &spec->linux;

	(void)state;
	for (int i = 0; i < OCI_NS_COUNT; i++)
		assert_true(linux_part->namespaces[i].present);
	assert_string_equal(linux_part->namespaces[OCI_NS_USER].path, "/u");
	assert_string_equal(linux_part->namespaces[OCI_NS_NETWORK].path, "/n");
	assert_null(linux_part->namespaces[OCI_NS_TIME].path);
	assert_int_equal(linux_part->uid_mappings.count, 2);
	assert_int_equal(linux_part->uid_mappings.items[1].host_id, 100000);
	assert_int_equal(linux_part->gid_mappings.items[0].host_id, 1001);
	assert_true(linux_part->monotonic.set && linux_part->boottime.set);
	assert_true(linux_part->monotonic.seconds == -5 && linux_part->monotonic.nanoseconds == 6);
	assert_true(linux_part->boottime.seconds == 7 && linux_part->boottime.nanoseconds == 0);
	assert_string_equal(linux_part->cgroups_path, "/a/b");
	assert_string_equal(linux_part->mount_label, "l");
	assert_true(linux_part->rootfs_propagation == (MS_SLAVE | MS_REC));
	assert_int_equal(linux_part->sysctl.count, 2);
	assert_string_equal(linux_part->sysctl.items[1].name, "net/ipv4/conf/a.1/rp_filter");
	assert_strings(&linux_part->masked_paths, "/a", "/b");
	assert_strings(&linux_part->readonly_paths, "/c", "/c");
	assert_true(linux_part->intel_rdt.present && linux_part->intel_rdt.enable_cmt &&
		    linux_part->intel_rdt.enable_mbm);
	assert_string_equal(linux_part->intel_rdt.clos_id, "c");
	assert_string_equal(linux_part->intel_rdt.l3_cache_schema, "L3");
	assert_string_equal(linux_part->intel_rdt.mem_bw_schema, "MB");
	assert_number(&linux_part->personality, PER_LINUX32);
}

static void test_device_nodes(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(
		spec_parse,
		LINUX("'devices':[{'path':'/dev/fuse','type':'c','major':10,'minor':229,"
		      "'fileMode':67109302,'uid':1,'gid':2},{'path':'/dev/u','type':'u','major':1,"
		      "'minor':2},{'path':'/dev/b','type':'b','major':8,'minor':0},"
		      "{'path':'/dev/p','type':'p'}]"));
	const struct oci_device_node *node = spec->linux.devices;

	(void)state;
	assert_int_equal(spec->linux.device_count, 4);
	assert_string_equal(node[0].path, "/dev/fuse");
	assert_int_equal(node[0].type, 'c');
	assert_true(node[0].major == 10 && node[0].minor == 229);
	assert_number(&node[0].file_mode, 0666);
	assert_number(&node[0].uid, 1);
	assert_number(&node[0].gid, 2);
	assert_int_equal(node[1].type, 'c');
	assert_false(node[1].file_mode.set || node[1].uid.set);
	assert_int_equal(node[2].type, 'b');
	assert_int_equal(node[3].type, 'p');
}

static const char resources_text[] =
	"{'devices':[{'allow':false,'access':'rwm'},"
	"{'allow':true,'type':'c','major':10,'minor':-1,'access':'rw'},{'allow':true,'type':'b'}],"
	"'memory':{'limit':9223372036854771712,'reservation':-1,'swap':9223372036854775807,"
	"'kernel':3,'kernelTCP':4,'swappiness':60,'disableOOMKiller':false,'useHierarchy':true,"
	"'checkBeforeUpdate':true},"
	"'cpu':{'shares':1024,'quota':-1,'burst':5,'period':100000,'realtimeRuntime':6,"
	"'realtimePeriod':7,'idle':1,'cpus':'0-3,7','mems':'0'},'pids':{'limit':100},"
	"'blockIO':{'weight':500,'leafWeight':10,"
	"'weightDevice':[{'major':8,'minor':0,'weight':11,'leafWeight':12}],"
	"'throttleReadBpsDevice':[{'major':8,'minor':1,'rate':600}],"
	"'throttleWriteBpsDevice':[{'major':8,'minor':2,'rate':18446744073709551615}],"
	"'throttleReadIOPSDevice':[{'major':8,'minor':3,'rate':602}],"
	"'throttleWriteIOPSDevice':[{'major':8,'minor':4,'rate':603},"
	"{'major':8,'minor':5,'rate':0}]},"
	"'hugepageLimits':[{'pageSize':'2MB','limit':4096},{'pageSize':'1GB','limit':0}],"
	"'network':{'classID':1048577,'priorities':[{'name':'eth0','priority':500}]},"
	"'rdma':{'mlx5_1':{'hcaHandles':3,'hcaObjects':10000},'mlx4_0':{}},"
	"'unified':{'cgroup.max.depth':'5','memory.high':''}}";

static void check_resources(const struct oci_resources *resources)
{
	const struct oci_device_rule *rule = resources->devices;

	assert_int_equal(resources->device_count, 3);
	assert_true(!rule[0].allow && rule[0].type == 'a' && !rule[0].major.set);
	assert_true(rule[0].read && rule[0].write && rule[0].mknod);
	assert_true(rule[1].allow && rule[1].type == 'c' && !rule[1].minor.set);
	assert_true(rule[1].read && rule[1].write && !rule[1].mknod);
	assert_number(&rule[1].major, 10);
	assert_true(rule[2].type == 'b' && rule[2].read && rule[2].write && rule[2].mknod);
	assert_number(&resources->memory.limit, 9223372036854771712);
	assert_number(&resources->memory.reservation, -1);
	assert_number(&resources->memory.swap, INT64_MAX);
	assert_number(&resources->memory.kernel, 3);
	assert_number(&resources->memory.kernel_tcp, 4);
	assert_number(&resources->memory.swappiness, 60);
	assert_true(resources->memory.disable_oom_killer.set);
	assert_false(resources->memory.disable_oom_killer.value);
	assert_true(resources->memory.use_hierarchy.value);
	assert_true(resources->memory.check_before_update.value);
	assert_number(&resources->cpu.shares, 1024);
	assert_number(&resources->cpu.quota, -1);
	assert_number(&resources->cpu.burst, 5);
	assert_number(&resources->cpu.period, 100000);
	assert_number(&resources->cpu.realtime_runtime, 6);
	assert_number(&resources->cpu.realtime_period, 7);
	assert_number(&resources->cpu.idle, 1);
	assert_string_equal(resources->cpu.cpus, "0-3,7");
	assert_string_equal(resources->cpu.mems, "0");
	assert_number(&resources->pids_limit, 100);
}

static void check_more_resources(const struct oci_resources *resources)
{
	assert_number(&resources->block_io.weight, 500);
	assert_number(&resources->block_io.leaf_weight, 10);
	assert_int_equal(resources->block_io.weight_device_count, 1);
	assert_number(&resources->block_io.weight_devices[0].weight, 11);
	assert_number(&resources->block_io.weight_devices[0].leaf_weight, 12);
	assert_true(resources->block_io.weight_devices[0].major == 8);
	assert_true(resources->block_io.read_bps.items[0].rate == 600);
	assert_true(resources->block_io.write_bps.items[0].rate == UINT64_MAX);
	assert_true(resources->block_io.read_iops.items[0].rate == 602);
	assert_int_equal(resources->block_io.write_iops.count, 2);
	assert_true(resources->block_io.write_iops.items[1].minor == 5);
	assert_int_equal(resources->hugepage_count, 2);
	assert_string_equal(resources->hugepages[1].page_size, "1GB");
	assert_true(resources->hugepages[0].limit == 4096);
	assert_number(&resources->network.class_id, 1048577);
	assert_int_equal(resources->network.priority_count, 1);
	assert_string_equal(resources->network.priorities[0].name, "eth0");
	assert_int_equal(resources->network.priorities[0].priority, 500);
	assert_int_equal(resources->rdma_count, 2);
	assert_string_equal(resources->rdma[0].device, "mlx5_1");
	assert_number(&resources->rdma[0].hca_handles, 3);
	assert_number(&resources->rdma[0].hca_objects, 10000);
	assert_false(resources->rdma[1].hca_handles.set);
	assert_int_equal(resources->unified.count, 2);
	assert_string_equal(resources->unified.items[0].name, "cgroup.max.depth");
	assert_string_equal(resources->unified.items[0].value, "5");
}

static void test_resources(void **state)
{
	char text[sizeof(resources_text) + 100];

	(void)state;
	(void)snprintf(text, sizeof(text),
		       "{'ociVersion':'1.0.0','root':{'path':'r'},'linux':{'resources':%s}}",
		       resources_text);
	cleanup_spec struct oci_spec *spec = decode(spec_parse, text);
	cleanup_spec struct oci_spec *alone = decode(spec_parse_resources, resources_text);

	check_resources(&spec->linux.resources);
	check_more_resources(&spec->linux.resources);
	check_resources(&alone->linux.resources);
	check_more_resources(&alone->linux.resources);
}

static void test_hooks(void **state)
{
	cleanup_spec struct oci_spec *spec =
		decode(spec_parse,
		       CONFIG(",'hooks':{'prestart':[{'path':'/0','args':['a','b'],'env':['C=d'],"
			      "'timeout':5},{'path':'/01'}],'createRuntime':[{'path':'/1'}],"
			      "'createContainer':[{'path':'/2'}],'startContainer':[{'path':'/3'}],"
			      "'poststart':[{'path':'/4'}],'poststop':[{'path':'/5'}]}"));

	(void)state;
	assert_int_equal(spec->hooks[OCI_HOOK_PRESTART].count, 2);
	assert_strings(&spec->hooks[OCI_HOOK_PRESTART].items[0].args, "a", "b");
	assert_strings(&spec->hooks[OCI_HOOK_PRESTART].items[0].env, "C=d", "C=d");
	assert_number(&spec->hooks[OCI_HOOK_PRESTART].items[0].timeout, 5);
	assert_false(spec->hooks[OCI_HOOK_PRESTART].items[1].timeout.set);
	for (int i = 0; i < OCI_HOOK_POINT_COUNT; i++) {
		const char path[] = { '/', (char)('0' + i), 0 };

		assert_string_equal(spec->hooks[i].items[0].path, path);
	}
}

static void test_seccomp(void **state)
{
	static const char object[] =
		"{ 'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':1,"
		"'architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_X86'],"
		"'flags':['SECCOMP_FILTER_FLAG_LOG'],'listenerPath':'/l',"
		"'listenerMetadata':'m\\\"]}',"
		"'syscalls':[{'names':['read','write'],'action':'SCMP_ACT_ALLOW'},"
		"{'names':['clone3'],'action':'SCMP_ACT_ERRNO','errnoRet':38,'args':"
		"[{'index':5,'value':18446744073709551614,'valueTwo':9007199254740993,"
		"'op':'SCMP_CMP_MASKED_EQ'},{'index':0,'value':0,'op':'SCMP_CMP_NE'}]}] }";
	char text[sizeof(object) + 200];

	(void)state;
	(void)snprintf(text, sizeof(text),
		       "\xef\xbb\xbf { 'ociVersion':'1.0.0','root' : {'path':'{\\\"['}, "
		       "'x' : [1,2,{}],'linux':{'y':'\\\\', 'seccomp'\n:\t%s\n,'z':0}}",
		       object);
	cleanup_spec struct oci_spec *spec = decode(spec_parse, text);
	const struct oci_seccomp *seccomp = spec->linux.seccomp;

	assert_string_equal(seccomp->default_action, "SCMP_ACT_ERRNO");
	assert_number(&seccomp->default_errno_ret, 1);
	assert_strings(&seccomp->architectures, "SCMP_ARCH_X86_64", "SCMP_ARCH_X86");
	assert_strings(&seccomp->flags, "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_LOG");
	assert_string_equal(seccomp->listener_path, "/l");
	assert_string_equal(seccomp->listener_metadata, "m\"]}");
	assert_int_equal(seccomp->rule_count, 2);
	assert_strings(&seccomp->rules[0].names, "read", "write");
	assert_string_equal(seccomp->rules[0].action, "SCMP_ACT_ALLOW");
	assert_false(seccomp->rules[0].errno_ret.set);
	assert_number(&seccomp->rules[1].errno_ret, 38);
	assert_int_equal(seccomp->rules[1].arg_count, 2);
	assert_int_equal(seccomp->rules[1].args[0].index, 5);
	/* Doubles would make 2^64 and 2^53 of them. */
	assert_true(seccomp->rules[1].args[0].value == UINT64_MAX - 1);
	assert_true(seccomp->rules[1].args[0].value_two == 9007199254740993);
	assert_string_equal(seccomp->rules[1].args[0].op, "SCMP_CMP_MASKED_EQ");
	assert_int_equal(seccomp->rules[1].args[1].value, 0);
	assert_int_equal(strlen(seccomp->text), sizeof(object) - 1);
	for (size_t i = 0; i < sizeof(object); i++)
		assert_int_equal(seccomp->text[i], object[i] == '\'' ? '"' : object[i]);
}

/* --- files, memory, documents ---------------------------------------------------------------- */

static void test_load(void **state)
{
	cleanup_spec struct oci_spec *spec = NULL;
	struct err err = { 0 };
	char path[] = "/tmp/test_oci_spec.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, least, LEAST_BYTES), LEAST_BYTES);
	assert_int_equal(close(fd), 0);
	assert_int_equal(spec_load(&spec, path, &err), 0);
	assert_string_equal(spec->root_path, "r");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(spec_load(&spec, path, &err), -ENOENT);
	assert_non_null(strstr(err.message, path));
}

static void test_alloc(void **state)
{
	cleanup_spec struct oci_spec *spec = decode(spec_parse, CONFIG(""));
	static const size_t sizes[] = { 0, 1, 7, 16, 4000, 5000, 100000, 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned char *piece = spec_alloc(spec, sizes[i]);

		assert_non_null(piece);
		assert_int_equal((uintptr_t)piece % 16, 0);
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(piece[j], 0);
		memset(piece, 0xff, sizes[i]);
	}
	assert_null(spec_alloc(spec, SIZE_MAX));
	assert_null(spec_alloc(spec, SIZE_MAX - 8));
}

static void test_default_spec(void **state)
{
	(void)state;
	for (int rootless = 0; rootless < 2; rootless++) {
		cleanup_free char *json = oci_default_spec_json(rootless);
		cleanup_spec struct oci_spec *spec = NULL;
		struct err err = { 0 };

		assert_non_null(json);
		if (spec_parse(&spec, json, strlen(json), &err) < 0)
			fail_msg("%s", err.message);
		assert_strings(&spec->process->args, "sh", "sh");
		assert_int_equal(spec->mount_count, 7);
		assert_true(spec->linux.namespaces[OCI_NS_MOUNT].present);
		assert_int_equal(spec->linux.namespaces[OCI_NS_USER].present, rootless);
		assert_int_equal(spec->linux.namespaces[OCI_NS_NETWORK].present, !rootless);
		assert_int_equal(spec->linux.resources.device_count, !rootless);
		assert_int_equal(spec->linux.uid_mappings.count, rootless);
		if (rootless)
			assert_int_equal(spec->linux.uid_mappings.items[0].host_id, geteuid());
	}
}

/* What features promises, the decoder takes. */
static void test_features(void **state)
{
	cleanup_free char *json = oci_features_json();
	char option[64], text[256];
	const char *at, *end;
	int count = 0;

	(void)state;
	assert_non_null(json);
	assert_non_null(strstr(json, "\"ociVersionMin\":\t\"1.0.0\""));
	assert_non_null(strstr(json, "\"ociVersionMax\":\t\"1.1.0\""));
	assert_non_null(strstr(json, "\"io.github.seccomp.libseccomp.version\":\t\""));
	assert_non_null(strstr(json, "\"SCMP_ACT_NOTIFY\""));
	assert_non_null(strstr(json, "\"CAP_CHECKPOINT_RESTORE\""));
	at = strstr(json, "\"mountOptions\":\t[");
	assert_non_null(at);
	end = strchr(at, ']');
	at = strchr(at, '[');
	while (sscanf(at, "%*[^\"]\"%63[^\"]\"", option) == 1 && at < end) {
		(void)snprintf(text, sizeof(text),
			       MOUNTS("{'destination':'/m','type':'t','source':'s',"
				      "'options':['%s']}"),
			       option);
		cleanup_spec struct oci_spec *spec = decode(spec_parse, text);

		assert_null(spec->mounts[0].data);
		at = strstr(at, option) + strlen(option) + 1;
		count++;
		if (at + 1 >= end)
			break;
	}
	assert_int_equal(count, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_null_and_empty_are_absent),
		cmocka_unit_test(test_top_level),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_defaults),
		cmocka_unit_test(test_rlimit_names),
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_mount_options),
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_device_nodes),
		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_default_spec),
		cmocka_unit_test(test_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
