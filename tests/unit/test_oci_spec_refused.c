/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: the message for every kind of error, and bounds.
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

struct refusal {
	const char *text, *message;
};

static void assert_refused(parse_fn *parse, const struct refusal *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cleanup_spec struct oci_spec *spec = NULL;
		struct err err = { 0 };

		if (parse_quoted(parse, &spec, rows[i].text, &err) != -EINVAL)
			fail_msg("taken: %s", rows[i].text);
		assert_string_equal(err.message, rows[i].message);
		assert_int_equal(err.code, -EINVAL);
		assert_null(spec);
		assert_int_equal(parse_quoted(parse, &spec, rows[i].text, NULL), -EINVAL);
	}
}

static void test_refused_text(void **state)
{
	static const struct refusal rows[] = {
		{ "", "config: empty" },
		{ "{", "config: not JSON at byte 0" },
		{ "{'a':1,}", "config: not JSON at byte 7" },
		{ "[]", "config: not an object" },
		{ "null", "config: not an object" },
		{ "'x'", "config: not an object" },
		{ "{} {}", "config: something follows the JSON at byte 3" },
		{ "{'a':'\\u0000'}", "config: a NUL character in a string" },
		{ "{'a':'\\\\\\u0000'}", "config: a NUL character in a string" },
		{ "{'a\\u0000b':1}", "config: a NUL character in a string" },
		/* This one is a backslash and "u0000". */
		{ "{'a':'\\\\u0000'}", "ociVersion: missing" },
	};
	struct err err = { 0 };
	struct oci_spec *spec = NULL;

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
	assert_int_equal(spec_parse(&spec, "{\"a\":\"b\0c\"}", 11, &err), -EINVAL);
	assert_string_equal(err.message, "config: a NUL character in the text");
}

/* cJSON gives "/etc" for this path: without the check, a config would say one thing to whoever
 * reads it and another to us. */
static void test_nul_would_cut(void **state)
{
	static const struct refusal row = {
		CONFIG(",'hooks':{'prestart':[{'path':'/etc\\u0000x'}]}"),
		"config: a NUL character in a string"
	};
	cJSON *cut = cJSON_Parse("\"/etc\\u0000x\"");

	(void)state;
	assert_string_equal(cJSON_GetStringValue(cut), "/etc");
	cJSON_Delete(cut);
	assert_refused(spec_parse, &row, 1);
}

static void test_refused_top_level(void **state)
{
	static const struct refusal rows[] = {
		{ "{'root':{'path':'r'}}", "ociVersion: missing" },
		{ "{'ociVersion':null,'root':{'path':'r'}}", "ociVersion: missing" },
		{ "{'ociVersion':1.0,'root':{'path':'r'}}", "ociVersion: not a string" },
		{ "{'ociVersion':'','root':{'path':'r'}}", "ociVersion: empty" },
		{ "{'ociVersion':'0.9','root':{}}", "ociVersion: '0.9' is not a version 1.x" },
		{ "{'ociVersion':'2.0.0','root':{}}", "ociVersion: '2.0.0' is not a version 1.x" },
		{ "{'ociVersion':'1.','root':{}}", "ociVersion: '1.' is not a version 1.x" },
		{ "{'ociVersion':'1.0.0'}", "root: missing" },
		{ "{'ociVersion':'1.0.0','root':[]}", "root: not an object" },
		{ "{'ociVersion':'1.0.0','root':{}}", "root.path: missing" },
		{ "{'ociVersion':'1.0.0','root':{'path':''}}", "root.path: empty" },
		{ "{'ociVersion':'1.0.0','ociVersion':'1.0.0'}", "ociVersion: stands there twice" },
		{ "{'ociVersion':null,'ociVersion':'1.0.0'}", "ociVersion: stands there twice" },
		{ CONFIG(",'root':{'path':'s'}"), "root: stands there twice" },
		{ "{'ociVersion':'1.0.0','root':{'path':'r','readonly':1}}",
		  "root.readonly: not a boolean" },
		{ CONFIG(",'hostname':7"), "hostname: not a string" },
		{ CONFIG(",'hostname':'h'"),
		  "hostname: needs a uts namespace in linux.namespaces" },
		{ CONFIG(",'domainname':'h'"),
		  "domainname: needs a uts namespace in linux.namespaces" },
		{ CONFIG(",'hostname':'aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
			 "ffffffffff12345'"),
		  "hostname: longer than 64 bytes" },
		{ CONFIG(",'annotations':[]"), "annotations: not an object" },
		{ CONFIG(",'annotations':{'a':1}"), "annotations.a: not a string" },
		{ CONFIG(",'annotations':{'a':'','a':''}"), "annotations.a: stands there twice" },
		{ CONFIG(",'annotations':{'':''}"), "annotations.: a member without a name" },
		{ CONFIG(",'mounts':{}"), "mounts: not an array" },
		{ CONFIG(",'linux':[]"), "linux: not an object" },
		{ CONFIG(",'hooks':{'poststop':[{}]}"), "hooks.poststop[0].path: missing" },
		{ CONFIG(",'hooks':{'poststop':[{'path':'x'}]}"),
		  "hooks.poststop[0].path: not an absolute path" },
		{ CONFIG(",'hooks':{'poststop':[{'path':'/x'},{'path':'/x','timeout':0}]}"),
		  "hooks.poststop[1].timeout: 0 is not from 1 to 2147483647" },
		{ CONFIG(",'hooks':{'poststop':[7]}"), "hooks.poststop[0]: not an object" },
		{ CONFIG(",'hooks':{'poststop':[{'path':'/x','args':[1]}]}"),
		  "hooks.poststop[0].args[0]: not a string" },
	};

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
}

static void test_refused_process(void **state)
{
	static const struct refusal rows[] = {
		{ CONFIG(",'process':[]"), "process: not an object" },
		{ CONFIG(",'process':{'args':['a']}"), "process.cwd: missing" },
		{ CONFIG(",'process':{'args':['a'],'cwd':'x'}"),
		  "process.cwd: not an absolute path" },
		{ CONFIG(",'process':{'args':['a'],'cwd':''}"),
		  "process.cwd: not an absolute path" },
		{ CONFIG(",'process':{'cwd':'/'}"), "process.args: missing" },
		{ CONFIG(",'process':{'cwd':'/','args':[]}"), "process.args: empty" },
		{ CONFIG(",'process':{'cwd':'/','args':'sh'}"), "process.args: not an array" },
		{ CONFIG(",'process':{'cwd':'/','args':['a',null]}"),
		  "process.args[1]: not a string" },
		{ PROCESS(",'env':['A']"), "process.env[0]: not NAME=VALUE" },
		{ PROCESS(",'env':['=A']"), "process.env[0]: not NAME=VALUE" },
		{ PROCESS(",'env':['A=',7]"), "process.env[1]: not a string" },
		{ PROCESS(",'terminal':'yes'"), "process.terminal: not a boolean" },
		{ PROCESS(",'consoleSize':{'height':65536}"),
		  "process.consoleSize.height: 65536 is not from 0 to 65535" },
		{ PROCESS(",'user':{'uid':-1}"),
		  "process.user.uid: -1 is not from 0 to 4294967295" },
		{ PROCESS(",'user':{'uid':4294967296}"),
		  "process.user.uid: 4294967296 is not from 0 to 4294967295" },
		{ PROCESS(",'user':{'uid':1.5}"), "process.user.uid: not an integer" },
		{ PROCESS(",'user':{'uid':'0'}"), "process.user.uid: not an integer" },
		{ PROCESS(",'user':{'uid':1e999}"), "process.user.uid: not an integer" },
		{ PROCESS(",'user':{'umask':512}"),
		  "process.user.umask: 512 is not from 0 to 511" },
		{ PROCESS(",'user':{'additionalGids':[0,{}]}"),
		  "process.user.additionalGids[1]: not an integer" },
		{ PROCESS(",'capabilities':[]"), "process.capabilities: not an object" },
		{ PROCESS(",'capabilities':{'ambient':{}}"),
		  "process.capabilities.ambient: not an array" },
		{ PROCESS(",'capabilities':{'ambient':[5]}"),
		  "process.capabilities.ambient[0]: not a string" },
		{ PROCESS(",'rlimits':[{'type':'RLIMIT_X','soft':0,'hard':0}]"),
		  "process.rlimits[0].type: unknown value 'RLIMIT_X'" },
		{ PROCESS(",'rlimits':[{'type':'RLIMIT_AS','hard':0}]"),
		  "process.rlimits[0].soft: missing" },
		{ PROCESS(",'rlimits':[{'type':'RLIMIT_AS','soft':-1,'hard':0}]"),
		  "process.rlimits[0].soft: negative" },
		{ PROCESS(",'rlimits':[{'type':'RLIMIT_AS','soft':2,'hard':1}]"),
		  "process.rlimits[0]: soft is above hard" },
		{ PROCESS(",'rlimits':[{'type':'RLIMIT_AS','soft':1,'hard':1},"
			  "{'type':'RLIMIT_AS','soft':1,'hard':1}]"),
		  "process.rlimits: RLIMIT_AS stands there twice" },
		{ PROCESS(",'oomScoreAdj':1001"),
		  "process.oomScoreAdj: 1001 is not from -1000 to 1000" },
		{ PROCESS(",'scheduler':{}"), "process.scheduler.policy: missing" },
		{ PROCESS(",'scheduler':{'policy':'SCHED_X'}"),
		  "process.scheduler.policy: unknown value 'SCHED_X'" },
		{ PROCESS(",'scheduler':{'policy':'SCHED_RR','flags':['X']}"),
		  "process.scheduler.flags[0]: unknown value 'X'" },
		{ PROCESS(",'scheduler':{'policy':'SCHED_RR','nice':20}"),
		  "process.scheduler.nice: 20 is not from -20 to 19" },
		{ PROCESS(",'ioPriority':{'class':'IOPRIO_CLASS_NONE'}"),
		  "process.ioPriority.class: unknown value 'IOPRIO_CLASS_NONE'" },
		{ PROCESS(",'ioPriority':{'class':'IOPRIO_CLASS_RT','priority':8}"),
		  "process.ioPriority.priority: 8 is not from 0 to 7" },
	};
	static const struct refusal alone[] = {
		{ "{'cwd':'/'}", "process.args: missing" },
		{ "7", "process: not an object" },
	};

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
	assert_refused(spec_parse_process, alone, ARRAY_SIZE(alone));
}

static void test_refused_mounts(void **state)
{
	static const struct refusal rows[] = {
		{ MOUNTS("{}"), "mounts[0].destination: missing" },
		{ MOUNTS("{'destination':'/a','type':'t'},{'destination':''}"),
		  "mounts[1].destination: empty" },
		{ MOUNTS("{'destination':'/a'}"), "mounts[0].type: missing" },
		{ MOUNTS("{'destination':'/a','options':['bind']}"), "mounts[0].source: missing" },
		{ MOUNTS("{'destination':'/a','type':'t','options':'ro'}"),
		  "mounts[0].options: not an array" },
		{ MOUNTS("{'destination':'/a','type':'t','options':['ro',1]}"),
		  "mounts[0].options[1]: not a string" },
		{ MOUNTS("{'destination':'/a','type':'t','uidMappings':"
			 "[{'containerID':0,'hostID':0,'size':1}]}"),
		  "mounts[0]: uidMappings and gidMappings only go together" },
	};

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
}

static void test_refused_linux(void **state)
{
	static const struct refusal rows[] = {
		{ LINUX("'namespaces':{}"), "linux.namespaces: not an array" },
		{ LINUX("'namespaces':[{}]"), "linux.namespaces[0].type: missing" },
		{ LINUX("'namespaces':[{'type':'net'}]"),
		  "linux.namespaces[0].type: unknown value 'net'" },
		{ LINUX("'namespaces':[{'type':'pid','path':'p'}]"),
		  "linux.namespaces[0].path: not an absolute path" },
		{ LINUX("'namespaces':[{'type':'pid'},{'type':'pid','path':'/p'}]"),
		  "linux.namespaces[1]: a second namespace of that type" },
		{ LINUX("'uidMappings':[{'containerID':0,'hostID':0,'size':1}]"),
		  "linux.uidMappings: needs a user namespace in linux.namespaces" },
		{ LINUX("'gidMappings':[{'containerID':0,'hostID':0,'size':1}]"),
		  "linux.gidMappings: needs a user namespace in linux.namespaces" },
		{ LINUX("'gidMappings':[{'containerID':0,'hostID':0,'size':0}]"),
		  "linux.gidMappings[0].size: 0 is not from 1 to 4294967295" },
		{ LINUX("'gidMappings':[{'containerID':1,'hostID':0,'size':4294967295}]"),
		  "linux.gidMappings[0]: ends above the last id" },
		{ LINUX("'timeOffsets':{'monotonic':{'secs':1}}"),
		  "linux.timeOffsets: needs a new time namespace in linux.namespaces" },
		{ LINUX("'timeOffsets':{'monotonic':{'secs':1}},"
			"'namespaces':[{'type':'time','path':'/t'}]"),
		  "linux.timeOffsets: needs a new time namespace in linux.namespaces" },
		{ LINUX("'timeOffsets':{'boottime':{'nanosecs':1000000000}}"),
		  "linux.timeOffsets.boottime.nanosecs: 1000000000 is not from 0 to 999999999" },
		{ LINUX("'devices':[{'path':'/dev/a'}]"), "linux.devices[0].type: missing" },
		{ LINUX("'devices':[{'path':'/dev/a','type':'a'}]"),
		  "linux.devices[0].type: unknown value 'a'" },
		{ LINUX("'devices':[{'path':'dev/a','type':'c'}]"),
		  "linux.devices[0].path: not an absolute path" },
		{ LINUX("'devices':[{'path':'/dev/a','type':'c','major':-1}]"),
		  "linux.devices[0].major: -1 is not from 0 to 4294967295" },
		{ LINUX("'devices':[{'path':'/dev/a','type':'c','minor':1}]"),
		  "linux.devices[0].major: missing" },
		{ LINUX("'devices':[{'path':'/dev/a','type':'b','major':1}]"),
		  "linux.devices[0].minor: missing" },
		{ LINUX("'rootfsPropagation':'ro'"),
		  "linux.rootfsPropagation: unknown value 'ro'" },
		{ LINUX("'maskedPaths':['/a']"),
		  "linux.maskedPaths: needs a mount namespace in linux.namespaces" },
		{ LINUX("'readonlyPaths':['/a']"),
		  "linux.readonlyPaths: needs a mount namespace in linux.namespaces" },
		{ LINUX("'maskedPaths':['/a','b']"), "linux.maskedPaths[1]: not an absolute path" },
		{ LINUX("'maskedPaths':['']"), "linux.maskedPaths[0]: not an absolute path" },
		{ LINUX("'sysctl':{'net.a':1}"), "linux.sysctl.net.a: not a string" },
		{ LINUX("'sysctl':{'/etc/passwd':''}"),
		  "linux.sysctl./etc/passwd: not a name that is allowed here" },
		{ LINUX("'sysctl':{'net/../../sys':''}"),
		  "linux.sysctl.net/../../sys: not a name that is allowed here" },
		{ LINUX("'intelRdt':{'closID':'a/b'}"),
		  "linux.intelRdt.closID: 'a/b' is not a folder's name" },
		{ LINUX("'intelRdt':{'closID':'..'}"),
		  "linux.intelRdt.closID: '..' is not a folder's name" },
		{ LINUX("'personality':{'domain':'BSD'}"),
		  "linux.personality.domain: unknown value 'BSD'" },
		{ LINUX("'personality':{'domain':'LINUX','flags':['X']}"),
		  "linux.personality.flags: unknown value 'X'" },
	};

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
}

static void test_refused_resources(void **state)
{
	static const struct refusal rows[] = {
		{ RESOURCES("'memory':{'limit':'1'}"),
		  "linux.resources.memory.limit: not an integer" },
		{ RESOURCES("'memory':{'limit':-2}"),
		  "linux.resources.memory.limit: -2 is not from -1 to 9223372036854775807" },
		{ RESOURCES("'memory':{'limit':0.1}"),
		  "linux.resources.memory.limit: not an integer" },
		{ RESOURCES("'memory':{'swappiness':201}"),
		  "linux.resources.memory.swappiness: 201 is not from 0 to 200" },
		{ RESOURCES("'memory':{'limit':1,'limit':2}"),
		  "linux.resources.memory.limit: stands there twice" },
		{ RESOURCES("'cpu':{'cpus':'0\\n1'}"), "linux.resources.cpu.cpus: '0?1' is not a "
						       "list of numbers and ranges" },
		{ RESOURCES("'devices':[{'type':'c'}]"),
		  "linux.resources.devices[0].allow: missing" },
		{ RESOURCES("'devices':[{'allow':true,'type':'p'}]"),
		  "linux.resources.devices[0].type: unknown value 'p'" },
		{ RESOURCES("'devices':[{'allow':true,'access':'rx'}]"),
		  "linux.resources.devices[0].access: 'rx' has other letters than r, w, m" },
		{ RESOURCES("'devices':[{'allow':true,'major':-2}]"),
		  "linux.resources.devices[0].major: -2 is not from -1 to 4294967295" },
		{ RESOURCES("'hugepageLimits':[{'pageSize':'../x','limit':0}]"),
		  "linux.resources.hugepageLimits[0].pageSize: '../x' is not a size as '2MB'" },
		{ RESOURCES("'hugepageLimits':[{'pageSize':'0MB','limit':0}]"),
		  "linux.resources.hugepageLimits[0].pageSize: '0MB' is not a size as '2MB'" },
		{ RESOURCES("'hugepageLimits':[{'pageSize':'2','limit':0}]"),
		  "linux.resources.hugepageLimits[0].pageSize: '2' is not a size as '2MB'" },
		{ RESOURCES("'network':{'priorities':[{'name':'a b','priority':0}]}"),
		  "linux.resources.network.priorities[0].name: 'a b' has a character that is not "
		  "allowed" },
		{ RESOURCES("'rdma':{'a b':{}}"),
		  "linux.resources.rdma.a b: not a name that is allowed here" },
		{ RESOURCES("'rdma':{'a':{},'a':{}}"),
		  "linux.resources.rdma.a: stands there twice" },
		{ RESOURCES("'rdma':{'a':1}"), "linux.resources.rdma.a: not an object" },
		{ RESOURCES("'unified':{'../x':'1'}"),
		  "linux.resources.unified.../x: not a name that is allowed here" },
		{ RESOURCES("'unified':{'a':{}}"), "linux.resources.unified.a: not a string" },
		{ RESOURCES("'blockIO':{'weight':1001}"),
		  "linux.resources.blockIO.weight: 1001 is not from 0 to 1000" },
		{ RESOURCES("'blockIO':{'throttleReadBpsDevice':[{'major':1,'minor':2}]}"),
		  "linux.resources.blockIO.throttleReadBpsDevice[0].rate: missing" },
	};
	static const struct refusal alone[] = {
		{ "[]", "linux.resources: not an object" },
		{ "{'pids':{'limit':true}}", "linux.resources.pids.limit: not an integer" },
	};

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
	assert_refused(spec_parse_resources, alone, ARRAY_SIZE(alone));
}

static void test_refused_seccomp(void **state)
{
	static const struct refusal rows[] = {
		{ LINUX("'seccomp':{}"), "linux.seccomp.defaultAction: missing" },
		{ LINUX("'seccomp':{'defaultAction':'ALLOW'}"),
		  "linux.seccomp.defaultAction: unknown value 'ALLOW'" },
		{ SECCOMP(",'architectures':['X86']"),
		  "linux.seccomp.architectures[0]: unknown value 'X86'" },
		{ SECCOMP(",'flags':['X']"), "linux.seccomp.flags[0]: unknown value 'X'" },
		{ SECCOMP(",'defaultErrnoRet':65536"),
		  "linux.seccomp.defaultErrnoRet: 65536 is not from 0 to 65535" },
		{ SECCOMP(",'listenerPath':'l'"),
		  "linux.seccomp.listenerPath: not an absolute path" },
		{ SECCOMP(",'syscalls':[{'action':'SCMP_ACT_ALLOW'}]"),
		  "linux.seccomp.syscalls[0].names: missing" },
		{ SECCOMP(",'syscalls':[{'names':[],'action':'SCMP_ACT_ALLOW'}]"),
		  "linux.seccomp.syscalls[0].names: empty" },
		{ SECCOMP(",'syscalls':[{'names':['a'],'action':'X'}]"),
		  "linux.seccomp.syscalls[0].action: unknown value 'X'" },
		{ SECCOMP(",'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW','args':"
			  "[{'index':6,'value':0,'op':'SCMP_CMP_EQ'}]}]"),
		  "linux.seccomp.syscalls[0].args[0].index: 6 is not from 0 to 5" },
		{ SECCOMP(",'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW','args':"
			  "[{'index':0,'value':0,'op':'EQ'}]}]"),
		  "linux.seccomp.syscalls[0].args[0].op: unknown value 'EQ'" },
		{ SECCOMP(",'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW','args':"
			  "[{'index':0,'value':18446744073709551616,'op':'SCMP_CMP_EQ'}]}]"),
		  "linux.seccomp.syscalls[0].args[0].value: not an integer of 64 bits" },
		{ SECCOMP(",'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW','args':"
			  "[{'index':0,'value':1.8e19,'op':'SCMP_CMP_EQ'}]}]"),
		  "linux.seccomp.syscalls[0].args[0].value: not an integer of 64 bits" },
		{ SECCOMP(",'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW','args':"
			  "[{'index':0,'value':-1,'op':'SCMP_CMP_EQ'}]}]"),
		  "linux.seccomp.syscalls[0].args[0].value: negative" },
	};

	(void)state;
	assert_refused(spec_parse, rows, ARRAY_SIZE(rows));
}

/* --- bounds ---------------------------------------------------------------------------------- */

/* `head`, then `piece` `count` times with commas between, then `tail`. "#" in the piece becomes its
 * number. The caller frees. */
static char *repeat(const char *head, const char *piece, size_t count, const char *tail)
{
	const size_t bytes = strlen(head) + (strlen(piece) + 22) * count + strlen(tail) + 1;
	const int before = (int)strcspn(piece, "#");
	char *text = malloc(bytes), *at;

	assert_non_null(text);
	at = stpcpy(text, head);
	for (size_t i = 0; i < count; i++)
		at += snprintf(at, bytes - (size_t)(at - text), "%s%.*s%zu%s", i ? "," : "", before,
			       piece, i, piece + before + 1);
	(void)stpcpy(at, tail);
	return text;
}

static void test_bounds(void **state)
{
	static const struct {
		const char *head, *piece, *tail;
		size_t most;
		const char *message;
	} rows[] = {
		{ CONFIG(",'linux':{'namespaces':[{'type':'user'}],'uidMappings':["),
		  "{'containerID':#,'hostID':0,'size':1}", "]}}", 340,
		  "linux.uidMappings: more than 340 elements" },
		{ CONFIG(",'annotations':{"), "'a#':''", "}}", 4096,
		  "annotations: more than 4096 members" },
		{ CONFIG(",'process':{'cwd':'/','args':["), "'#'", "]}}", 131072,
		  "process.args: more than 131072 elements" },
		{ CONFIG(",'linux':{'resources':{'rdma':{"), "'a#':{}", "}}}}", 256,
		  "linux.resources.rdma: more than 256 members" },
		{ CONFIG(",'linux':{'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','syscalls':["),
		  "{'names':['a'],'action':'SCMP_ACT_LOG','args':"
		  "[{'index':0,'op':'SCMP_CMP_EQ','value':18446744073709551#}]}",
		  "]}}}", 64,
		  "linux.seccomp.syscalls[64].args[0].value: more than 64 numbers above 2^53" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_spec struct oci_spec *spec = NULL;
		struct err err = { 0 };
		/* CONFIG ends in a brace, which the tail brings. */
		cleanup_free char *head = strndup(rows[i].head, strlen(rows[i].head) - 1);
		cleanup_free char *most =
			repeat(head, rows[i].piece, rows[i].most, rows[i].tail);
		cleanup_free char *more =
			repeat(head, rows[i].piece, rows[i].most + 1, rows[i].tail);

		if (parse_quoted(spec_parse, &spec, most, &err) < 0)
			fail_msg("%s", err.message);
		spec = spec_free(spec);
		assert_int_equal(parse_quoted(spec_parse, &spec, more, &err), -EINVAL);
		assert_string_equal(err.message, rows[i].message);
	}
}

static void test_long_paths(void **state)
{
	enum { LONGEST = PATH_MAX - 1 };
	char path[PATH_MAX + 1], text[PATH_MAX + 200];
	struct err err = { 0 };

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[LONGEST] = '\0';
	(void)snprintf(text, sizeof(text), CONFIG(",'process':{'args':['a'],'cwd':'%s'}"), path);
	cleanup_spec struct oci_spec *spec = decode(spec_parse, text);
	cleanup_spec struct oci_spec *none = NULL;

	assert_int_equal(strlen(spec->process->cwd), LONGEST);
	path[LONGEST] = 'a';
	path[LONGEST + 1] = '\0';
	(void)snprintf(text, sizeof(text), CONFIG(",'process':{'args':['a'],'cwd':'%s'}"), path);
	assert_int_equal(parse_quoted(spec_parse, &none, text, &err), -EINVAL);
	assert_string_equal(err.message, "process.cwd: longer than 4095 bytes");
	(void)snprintf(text, sizeof(text),
		       MOUNTS("{'destination':'/m','type':'t','options':['ro','%s']}"), path);
	assert_int_equal(parse_quoted(spec_parse, &none, text, &err), -EINVAL);
	assert_string_equal(err.message, "mounts[0].options: longer than 4095 bytes");
	(void)snprintf(text, sizeof(text), MOUNTS("{'destination':'%s','type':'t'}"), path);
	assert_int_equal(parse_quoted(spec_parse, &none, text, &err), -EINVAL);
	assert_string_equal(err.message, "mounts[0].destination: longer than 4094 bytes");
}

static void test_too_large(void **state)
{
	cleanup_free char *text = malloc(SPEC_MAX_BYTES + 1);
	struct oci_spec *spec = NULL;
	struct err err = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, ' ', SPEC_MAX_BYTES + 1);
	assert_int_equal(spec_parse(&spec, text, SPEC_MAX_BYTES + 1, &err), -EINVAL);
	assert_string_equal(err.message, "config: larger than 4194304 bytes");
	memcpy(text, least, LEAST_BYTES);
	assert_int_equal(spec_parse(&spec, text, SPEC_MAX_BYTES, &err), 0);
	spec = spec_free(spec);
	memset(text, '[', SPEC_MAX_BYTES);
	assert_int_equal(spec_parse(&spec, text, SPEC_MAX_BYTES, &err), -EINVAL);
}

/* Configs are quoted in messages: no line break, no escape sequence, no endless name. */
static void test_messages_are_clean(void **state)
{
	cleanup_free char *name = malloc(100001);
	cleanup_free char *text = NULL;
	struct oci_spec *spec = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse_quoted(spec_parse, &spec,
				      CONFIG(",'annotations':{'a\\n\\t\\u001b[31m':0}"), &err),
			 -EINVAL);
	assert_string_equal(err.message, "annotations.a???[31m: not a string");
	memset(name, 'n', 100000);
	name[100000] = '\0';
	assert_true(asprintf(&text, CONFIG(",'annotations':{'%s':0}"), name) > 0);
	assert_int_equal(parse_quoted(spec_parse, &spec, text, &err), -EINVAL);
	assert_true(strlen(err.message) < 100);
	assert_non_null(strstr(err.message, ": not a string"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_text),
		cmocka_unit_test(test_nul_would_cut),
		cmocka_unit_test(test_refused_top_level),
		cmocka_unit_test(test_refused_process),
		cmocka_unit_test(test_refused_mounts),
		cmocka_unit_test(test_refused_linux),
		cmocka_unit_test(test_refused_resources),
		cmocka_unit_test(test_refused_seccomp),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_messages_are_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
