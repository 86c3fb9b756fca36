/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User, groups and capabilities of the container's program.
 *
 * All calls are made directly: the process is a raw clone of the runtime with one thread, so
 * glibc's broadcasting of setuid to all threads has nothing to do, and libcap would ask the kernel
 * for its highest capability before it does anything.
 *
 * An exec computes permitted and effective afresh, from the inheritable, bounding and ambient sets;
 * what is set here for those two counts between here and the exec, and, with no_new_privs, as an
 * upper bound afterwards.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "process/process_priv.h"
#include "spec/spec.h"

enum { CAPABILITY_BITS = 64 };

#define BIT(capability) (UINT64_C(1) << (capability))

/* The kernel's structure: low and high words of each set. */
struct capability_words {
	struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
};

/* Dropping what is not there needs the privilege too: without it, it is enough that it is gone. */
static bool bounding_drop(int capability)
{
	return prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 ||
	       (errno == EPERM && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 0);
}

int capabilities_bound(const struct oci_capabilities *capabilities, struct err *err)
{
	/* EINVAL: beyond the kernel's last capability. */
	for (int i = 0; i < CAPABILITY_BITS; i++) {
		if ((capabilities->bounding & BIT(i)) || bounding_drop(i))
			continue;
		if (errno == EINVAL)
			return 0;
		return err_set(err, -errno,
			       "process.capabilities.bounding: cannot drop capability %d: %s", i,
			       strerror(errno));
	}
	return 0;
}

/* A user namespace whose maker lacked the right to map groups has setgroups denied for good
 * (user_namespaces(7)): there the groups stay, and only more of them cannot be had. */
static int groups_set(const struct oci_user *user, struct err *err)
{
	const long r = syscall(SYS_setgroups, user->additional_gid_count, user->additional_gids);

	if (r == 0 || (errno == EPERM && user->additional_gid_count == 0))
		return 0;
	return err_set(err, -errno, "process.user.additionalGids: %s", strerror(errno));
}

int user_switch(const struct oci_user *user, struct err *err)
{
	int r;

	/* The exec clears this bit again. */
	if (user->uid != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "PR_SET_KEEPCAPS: %s", strerror(errno));
	r = groups_set(user, err);
	if (r < 0)
		return r;
	if (syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0)
		return err_set(err, -errno, "process.user.gid: cannot become group %u: %s",
			       user->gid, strerror(errno));
	if (syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
		return err_set(err, -errno, "process.user.uid: cannot become user %u: %s",
			       user->uid, strerror(errno));
	return 0;
}

static struct capability_words words_of(uint64_t effective, uint64_t permitted,
					uint64_t inheritable)
{
	struct capability_words sets = { 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sets.words); i++)
		sets.words[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(effective >> (32 * i)),
			.permitted = (uint32_t)(permitted >> (32 * i)),
			.inheritable = (uint32_t)(inheritable >> (32 * i)),
		};
	return sets;
}

/* What the calling thread holds; nothing when that cannot be told. */
static uint64_t permitted_now(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct capability_words sets = { 0 };

	if (syscall(SYS_capget, &header, sets.words) < 0)
		return 0;
	return sets.words[0].permitted | (uint64_t)sets.words[1].permitted << 32;
}

/* The kernel says EPERM for each of three rules; tells which one it was, and for which
 * capability. */
static int explain_refusal(const struct oci_capabilities *capabilities, struct err *err)
{
	const int code = -errno;
	const struct {
		const char *member, *why;
		uint64_t bad;
	} rules[] = {
		{ "permitted", "not held by the runtime",
		  capabilities->permitted & ~permitted_now() },
		{ "effective", "not in permitted",
		  capabilities->effective & ~capabilities->permitted },
		{ "inheritable", "not in bounding",
		  capabilities->inheritable & ~capabilities->bounding },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].bad) {
			char *name = cap_to_name((cap_value_t)__builtin_ctzll(rules[i].bad));

			(void)err_set(err, code, "process.capabilities.%s: %s is %s",
				      rules[i].member, name ? name : "a capability", rules[i].why);
			(void)cap_free(name);
			return code;
		}
	}
	return err_set(err, code, "process.capabilities: %s", strerror(-code));
}

/* As runc and crun: an ambient capability that is not permitted and inheritable too has
 * no effect. */
static int ambient_set(const struct oci_capabilities *capabilities, struct err *err)
{
	const uint64_t possible = capabilities->permitted & capabilities->inheritable;
	uint64_t ambient = capabilities->ambient & possible;

	/* capset has taken away what is not in both. */
	if (possible == 0)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_set(err, -errno, "process.capabilities.ambient: %s", strerror(errno));
	for (; ambient; ambient &= ambient - 1)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, __builtin_ctzll(ambient), 0, 0) < 0)
			return err_set(err, -errno, "process.capabilities.ambient: %s",
				       strerror(errno));
	return 0;
}

int capabilities_set(const struct oci_capabilities *capabilities, uint64_t extra, struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct capability_words sets = words_of(capabilities->effective | extra,
						      capabilities->permitted | extra,
						      capabilities->inheritable);

	if (syscall(SYS_capset, &header, sets.words) < 0)
		return explain_refusal(capabilities, err);
	return ambient_set(capabilities, err);
}
