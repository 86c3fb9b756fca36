# SPDX-License-Identifier: Apache-2.0
"""Cases: namespaces, users, names of the host, sysctl, seccomp."""
import errno
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import time

from harness import (BASE, CLONE, LIBC, Failed, Listener, Skip, case, equal, fork, has, host_namespace,
                     lacks, mount, true)

CASES = []
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 1 << 18, 0x1000
NS_SECONDS = 1000000000


def namespaces(**more):
    """The base's list, with others by name; a value is a path, True for a new one, None for none."""
    kinds = {row["type"]: True for row in BASE["linux"]["namespaces"]}
    kinds.update(more)
    rows = []
    for kind, value in kinds.items():
        if value is True:
            rows.append({"type": kind})
        elif value:
            rows.append({"type": kind, "path": value})
    return {"linux.namespaces": rows}


NOBODY = 65534
USER = {**namespaces(user=True),
        "linux.uidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}],
        "linux.gidMappings": [{"containerID": 0, "hostID": 200000, "size": 1000}]}


def kind_changes(kind, value):
    changes = namespaces(**{kind: value})
    if kind == "uts":
        changes["hostname"] = None
    return changes


def need_time_namespaces():
    if not os.path.exists("/proc/self/ns/time"):
        raise Skip("this kernel has no time namespaces")


def new_namespace(box, kind):
    changes = USER if kind == "user" else kind_changes(kind, True)
    seen = box.see(["namespaces"], changes)["namespaces"]
    true("the namespace is the host's", seen[NAMES[kind]] != host_namespace(kind))


def no_namespace(box, kind):
    seen = box.see(["namespaces"], kind_changes(kind, None))["namespaces"]
    equal("the namespace", seen[NAMES[kind]], host_namespace(kind))


def namespace_by_path(box, kind):
    if kind == "time":
        need_time_namespaces()
    pid = box.holder(kind)
    name = {"pid": "pid_for_children", "time": "time_for_children"}.get(kind, NAMES[kind])
    if kind == "pid":
        # A PID namespace lives as long as its first process.
        pid = box.holder("pid", prepare=fork_once)
    path = f"/proc/{pid}/ns/{name}"
    seen = box.see(["namespaces"], kind_changes(kind, path))["namespaces"]
    equal("the namespace", seen[NAMES[kind]], os.stat(path).st_ino)


def fork_once():
    if os.fork() == 0:
        LIBC.prctl(1, signal.SIGKILL, 0, 0, 0)
        while True:
            signal.pause()


NAMES = {"user": "user", "pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts",
         "cgroup": "cgroup", "time": "time"}
for each in NAMES:
    case(CASES, f"namespaces/new/{each}", each)(new_namespace)
for each in ("pid", "network", "ipc", "uts", "cgroup", "time", "user"):
    case(CASES, f"namespaces/absent/{each}", each)(no_namespace)
for each in ("pid", "network", "ipc", "uts", "cgroup", "time"):
    case(CASES, f"namespaces/path/{each}", each)(namespace_by_path)


@case(CASES, "namespaces/absent/mount")
def no_mount_namespace(box):
    """Either it is refused, or it runs in its root and the host's mounts stay what they are."""
    def mounts():
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            return sorted(line.split()[4] for line in file)
    before = mounts()
    result = box.run(["list=/"], {**namespaces(mount=None), "mounts": []})
    equal("the host's mounts", mounts(), before)
    if result.status == 0:
        has("root", result.seen["list=/"], "probe")
        lacks("root", result.seen["list=/"], "etc")


@case(CASES, "namespaces/path/mount")
def mount_namespace_by_path(box):
    """The container's mounts come into that namespace, and into no other."""
    pid = box.holder("mount", prepare=lambda: mount("", "/", None, MS_REC | MS_PRIVATE))
    path = f"/proc/{pid}/ns/mnt"
    seen = box.see(["namespaces", "access=/probe"], namespaces(mount=path))
    equal("the namespace", seen["namespaces"]["mnt"], os.stat(path).st_ino)
    equal("the root file system", seen["access=/probe"]["read"], "ok")


@case(CASES, "namespaces/path/user")
def user_namespace_by_path(box):
    pid = box.holder("user")
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
            file.write("0 300000 100")
    path = f"/proc/{pid}/ns/user"
    seen = box.see(["namespaces", "read=/proc/self/uid_map"], namespaces(user=path))
    equal("the namespace", seen["namespaces"]["user"], os.stat(path).st_ino)
    equal("the mapping", seen["read=/proc/self/uid_map"].split(), ["0", "300000", "100"])


@case(CASES, "namespaces/path/wrong-kind")
def namespace_of_wrong_kind(box):
    box.refused(namespaces(ipc="/proc/self/ns/uts"), "linux.namespaces")


@case(CASES, "namespaces/path/missing")
def namespace_missing(box):
    box.refused(namespaces(network=os.path.join(box.dir, "nothing")), "linux.namespaces")


@case(CASES, "namespaces/unknown")
def namespace_unknown(box):
    box.refused({"linux.namespaces+": [{"type": "flux"}]}, "linux.namespaces")


@case(CASES, "namespaces/twice")
def namespace_twice(box):
    box.refused({"linux.namespaces+": [{"type": "pid"}]}, "linux.namespaces")


@case(CASES, "namespaces/pid-is-1")
def pid_is_1(box):
    seen = box.see(["ids", "list=/proc"])
    equal("pid", seen["ids"]["pid"], 1)
    equal("ppid", seen["ids"]["ppid"], 0)
    equal("processes", [name for name in seen["list=/proc"] if name.isdigit()], ["1"])


@case(CASES, "namespaces/network-loopback")
def network_loopback(box):
    seen = box.see(["read=/proc/net/dev", "read=/proc/net/route", "read=/proc/net/fib_trie"],
                   namespaces(network=True))
    devices = [line.split(":")[0].strip() for line in seen["read=/proc/net/dev"].splitlines()[2:]]
    has("devices", devices, "lo")
    lacks("devices", devices, "eth0")
    has("addresses", seen["read=/proc/net/fib_trie"], "127.0.0.1")


@case(CASES, "namespaces/time-offsets")
def time_offsets(box):
    need_time_namespaces()
    changes = {**namespaces(time=True),
               "linux.timeOffsets": {"monotonic": {"secs": 5000, "nanosecs": 7},
                                     "boottime": {"secs": 90000, "nanosecs": 0}}}
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    before_boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    seen = box.see(["clocks", "read=/proc/self/timens_offsets"], changes)
    monotonic = seen["clocks"]["monotonic"] - before
    boottime = seen["clocks"]["boottime"] - before_boot
    true(f"monotonic is {monotonic} ns on", 0 <= monotonic - 5000 * NS_SECONDS < 30 * NS_SECONDS)
    true(f"boottime is {boottime} ns on", 0 <= boottime - 90000 * NS_SECONDS < 30 * NS_SECONDS)
    has("offsets", seen["read=/proc/self/timens_offsets"].split(), "7")


@case(CASES, "namespaces/time-offsets-without")
def time_offsets_without(box):
    box.refused({"linux.timeOffsets": {"monotonic": {"secs": 1}}}, "linux.timeOffsets")


# --- users

@case(CASES, "user/mappings")
def user_mappings(box):
    steps = ["ids", "read=/proc/self/uid_map", "read=/proc/self/gid_map", "stat=/", "stat=/probe"]
    seen = box.see(steps, USER)
    equal("uid_map", seen["read=/proc/self/uid_map"].split(), ["0", "100000", "1000"])
    equal("gid_map", seen["read=/proc/self/gid_map"].split(), ["0", "200000", "1000"])
    equal("uid", seen["ids"]["uid"], 0)
    equal("owner of a file of the host's root", seen["stat=/probe"]["uid"], 65534)


@case(CASES, "user/several-mappings")
def user_several(box):
    rows = [{"containerID": 0, "hostID": 100000, "size": 10},
            {"containerID": 10, "hostID": 300000, "size": 5},
            {"containerID": 50, "hostID": 400000, "size": 1}]
    container = box.started(["out=/out/seen", "ids", "wait"],
                            {**USER, "linux.uidMappings": rows, "process.user.uid": 12})
    equal("uid inside", container.output()["ids"]["uid"], 12)
    with open(f"/proc/{container.pid}/status", encoding="utf-8") as file:
        uids = [line.split()[1:] for line in file if line.startswith("Uid:")][0]
    equal("uids outside", uids, ["300002"] * 4)


@case(CASES, "user/files-owned-outside")
def user_files(box):
    bundle = box.bundle(["write=/out/file:x"], USER)
    box.run([], bundle=bundle).expect(0, "run")
    st = os.stat(os.path.join(bundle, "rootfs/out/file"))
    equal("owner", (st.st_uid, st.st_gid), (100000, 200000))


@case(CASES, "user/devices")
def user_devices(box):
    """mknod is not for user namespaces: the host's are bound."""
    seen = box.see(["stat=/dev/null", "access=/dev/null", "access=/dev/zero"], USER)
    equal("/dev/null", (seen["stat=/dev/null"]["type"], seen["stat=/dev/null"]["major"],
                        seen["stat=/dev/null"]["minor"]), ("char", 1, 3))
    equal("access", seen["access=/dev/null"], {"read": "ok", "write": "ok"})


@case(CASES, "user/capabilities-only-inside")
def user_capabilities(box):
    """All capabilities inside are none outside: of the host's files nothing can be changed."""
    sets = {name: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"]
            for name in ("bounding", "effective", "permitted")}
    bundle = box.bundle(["access=/host"], {**USER, "process.capabilities": sets})
    box.add(bundle, "host", "the host's", 0o600)
    seen = box.see([], bundle=bundle)
    equal("access", seen["access=/host"], {"read": "EACCES", "write": "EACCES"})


@case(CASES, "user/exec")
def user_exec(box):
    container = box.started(changes=USER)
    seen = container.exec("namespaces", "ids", options=["--user", "3:4"]).expect(0, "exec").seen
    equal("user namespace", seen["namespaces"]["user"], host_namespace("user", container.pid))
    equal("ids", (seen["ids"]["uid"], seen["ids"]["gid"]), (3, 4))


@case(CASES, "user/no-mappings")
def user_no_mappings(box):
    box.refused(namespaces(user=True), "linux.uidMappings")


@case(CASES, "user/mappings-without-namespace")
def user_mappings_without(box):
    box.refused({"linux.uidMappings": USER["linux.uidMappings"],
                 "linux.gidMappings": USER["linux.gidMappings"]}, "linux.uidMappings")


@case(CASES, "user/unmapped-uid")
def user_unmapped(box):
    box.refused({**USER, "process.user.uid": 4000}, "process.user.uid")


def need_reachable(*paths):
    def child(ready):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        for path in paths:
            os.stat(path)
        ready()
    os.waitpid(fork(child), 0)


def as_nobody(box, subids):
    """Runs a rootless container as user nobody and tells what it saw."""
    need_reachable(box.dir, box.runtime.path)
    mappings = lambda host, sub: [{"containerID": 0, "hostID": host, "size": 1}] + (
        [{"containerID": 1, "hostID": sub, "size": 1000}] if subids else [])
    changes = {**namespaces(user=True), "linux.cgroupsPath": None,
               "linux.uidMappings": mappings(NOBODY, 600000), "linux.gidMappings": mappings(NOBODY, 700000)}
    bundle = box.bundle(["ids", "read=/proc/self/uid_map", "read=/proc/self/gid_map"], changes)
    home = os.path.join(box.dir, "run")
    os.mkdir(home)
    os.chown(home, NOBODY, NOBODY)
    name = f"{box.prefix}-rootless"
    command = [box.runtime.path, "--root", os.path.join(home, "state"), "run", "--bundle", bundle, name]

    def enter():
        """Only this process sees these subordinate ids, and a v2 cgroup that it cannot write to."""
        if subids:
            for kind in ("uid", "gid"):
                mount(os.path.join(box.dir, f"sub{kind}"), f"/etc/sub{kind}", None, MS_BIND)

    if subids:
        for kind, first in (("uid", 600000), ("gid", 700000)):
            with open(os.path.join(box.dir, f"sub{kind}"), "w", encoding="ascii") as file:
                file.write(f"nobody:{first}:65536\n")
    out = os.path.join(box.dir, "rootless.out")

    def child(ready):
        LIBC.unshare(CLONE["mount"])
        mount("", "/", None, MS_REC | MS_PRIVATE)
        enter()
        with open(out, "w", encoding="utf-8") as file:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT, user=NOBODY, group=NOBODY, extra_groups=[],
                                    env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": home},
                                    check=False, timeout=30).returncode
            file.write(f"\n{status}")
        ready()
    os.waitpid(fork(child), 0)
    with open(out, encoding="utf-8") as file:
        text, status = file.read().rsplit("\n", 1)
    if status != "0":
        raise Failed(f"run exits with {status}: {text}")
    return json.loads(text)


@case(CASES, "rootless/one-id")
def rootless_one(box):
    seen = as_nobody(box, False)
    equal("uid", seen["ids"]["uid"], 0)
    equal("uid_map", seen["read=/proc/self/uid_map"].split(), ["0", "65534", "1"])


@case(CASES, "rootless/newuidmap")
def rootless_newuidmap(box):
    if not shutil.which("newuidmap"):
        raise Skip("newuidmap is not installed (package uidmap)")
    seen = as_nobody(box, True)
    equal("uid_map", seen["read=/proc/self/uid_map"].split(), ["0", "65534", "1", "1", "600000", "1000"])
    equal("gid_map", seen["read=/proc/self/gid_map"].split(), ["0", "65534", "1", "1", "700000", "1000"])


# --- names of the host, sysctl

@case(CASES, "names/hostname")
def hostname(box):
    before = os.uname().nodename
    equal("hostname", box.see(["uts"], {"hostname": "elsewhere"})["uts"]["hostname"], "elsewhere")
    equal("hostname of the host", os.uname().nodename, before)


@case(CASES, "names/hostname-without-namespace")
def hostname_without(box):
    box.refused({**namespaces(uts=None), "hostname": "elsewhere"}, "hostname")


@case(CASES, "names/domainname")
def domainname(box):
    equal("domainname", box.see(["uts"], {"domainname": "example.org"})["uts"]["domainname"],
          "example.org")


@case(CASES, "sysctl/network")
def sysctl_network(box):
    changes = {**namespaces(network=True), "linux.sysctl": {"net.ipv4.ip_forward": "1",
                                                            "net.ipv4.ip_default_ttl": "77"}}
    seen = box.see(["sysctl=net.ipv4.ip_forward", "sysctl=net.ipv4.ip_default_ttl"], changes)
    equal("net.ipv4.ip_forward", seen["sysctl=net.ipv4.ip_forward"].strip(), "1")
    equal("net.ipv4.ip_default_ttl", seen["sysctl=net.ipv4.ip_default_ttl"].strip(), "77")


@case(CASES, "sysctl/ipc")
def sysctl_ipc(box):
    seen = box.see(["sysctl=kernel.msgmax", "sysctl=fs.mqueue.msg_max"],
                   {"linux.sysctl": {"kernel.msgmax": "65000", "fs.mqueue.msg_max": "99"}})
    equal("kernel.msgmax", seen["sysctl=kernel.msgmax"].strip(), "65000")
    equal("fs.mqueue.msg_max", seen["sysctl=fs.mqueue.msg_max"].strip(), "99")


def sysctl_refused(box, changes):
    box.refused(changes, "linux.sysctl")


for row_name, row in {
        "of-the-host": {"linux.sysctl": {"vm.swappiness": "60"}},
        "no-ipc-namespace": {**namespaces(ipc=None), "linux.sysctl": {"kernel.msgmax": "65000"}},
        "no-network-namespace": {"linux.sysctl": {"net.ipv4.ip_forward": "1"}},
        "path-tricks": {**namespaces(network=True), "linux.sysctl": {"net/../vm/swappiness": "60"}},
        "unknown": {**namespaces(network=True), "linux.sysctl": {"net.nothing": "1"}},
}.items():
    case(CASES, f"sysctl/refused/{row_name}", row)(sysctl_refused)


# --- seccomp: 39 is getpid, 72 fcntl, and 111 getpgrp, which no runtime needs itself

ARCH = ["SCMP_ARCH_X86_64"]
PROFILE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../unit/golden/oci/seccomp.json")


def filtered(*rules, default="SCMP_ACT_ALLOW", **more):
    return {"linux.seccomp": {"defaultAction": default, "architectures": ARCH, "syscalls": list(rules),
                              **more}}


def rule(action, *names, **more):
    return {"names": list(names), "action": action, **more}


@case(CASES, "seccomp/errno")
def seccomp_errno(box):
    seen = box.see(["syscall=111", "syscall=39", "privileges"],
                   filtered(rule("SCMP_ACT_ERRNO", "getpgrp"),
                            rule("SCMP_ACT_ERRNO", "getpid", errnoRet=errno.ENOTTY)))
    equal("getpgrp", seen["syscall=111"], {"error": "EPERM"})
    equal("getpid", seen["syscall=39"], {"error": "ENOTTY"})
    equal("mode", seen["privileges"]["seccomp"], 2)


@case(CASES, "seccomp/default-errno")
def seccomp_default(box):
    with open(PROFILE, encoding="ascii") as file:
        names = {name for row in json.load(file)["syscalls"] for name in row["names"]}
    needed = sorted(names - {"getpgrp"})
    seen = box.see(["syscall=111"], filtered(rule("SCMP_ACT_ALLOW", *needed), default="SCMP_ACT_ERRNO",
                                             defaultErrnoRet=errno.ENOSYS))
    equal("getpgrp", seen["syscall=111"], {"error": "ENOSYS"})


def seccomp_kills(box, action, status):
    result = box.run(["flush", "syscall=111", "label=lives"], filtered(rule(action, "getpgrp")))
    result.expect(status, "run")
    lacks("output", result.out, "lives")


for row_name in ("KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"):
    # The first process of a PID namespace takes SIGSYS like any other: the kernel forces it.
    case(CASES, f"seccomp/{row_name.lower()}", f"SCMP_ACT_{row_name}", 128 + signal.SIGSYS)(seccomp_kills)


@case(CASES, "seccomp/log")
def seccomp_log(box):
    equal("getpgrp", box.see(["syscall=111"], filtered(rule("SCMP_ACT_LOG", "getpgrp")))["syscall=111"], 1)


@case(CASES, "seccomp/trace")
def seccomp_trace(box):
    """Without a tracer the call is refused."""
    equal("getpgrp", box.see(["syscall=111"], filtered(rule("SCMP_ACT_TRACE", "getpgrp")))["syscall=111"],
          {"error": "ENOSYS"})


def seccomp_args(box, op, value, value_two, denied, allowed):
    """On fcntl(9, F_DUPFD..., X): closed, so that EBADF means allowed."""
    arg = {"index": 2, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": value_two}
    steps = [f"syscall=72,200,0,{number}" for number in (*denied, *allowed)]
    seen = box.see(steps, filtered(rule("SCMP_ACT_ERRNO", "fcntl", errnoRet=errno.EXDEV, args=[
        {"index": 0, "op": "SCMP_CMP_EQ", "value": 200}, arg])))
    for step, number in zip(steps, (*denied, *allowed)):
        equal(f"with {number}", seen[step], {"error": "EXDEV" if number in denied else "EBADF"})


BIG = 1 << 40
for row_name, row in {
        "EQ": (7, 0, (7,), (6, 8, BIG + 7)),
        "NE": (7, 0, (6, 8), (7,)),
        "LT": (7, 0, (6,), (7, 8, BIG)),
        "LE": (7, 0, (6, 7), (8, BIG)),
        "GE": (7, 0, (7, 8, BIG), (6,)),
        "GT": (7, 0, (8, BIG), (6, 7)),
        "MASKED_EQ": (0xf0, 0x30, (0x30, 0x3f), (0x40, 0x130 - 0x100 + 0x40)),
}.items():
    case(CASES, f"seccomp/args/{row_name.lower()}", row_name, *row)(seccomp_args)


@case(CASES, "seccomp/args/any-of-one-index")
def seccomp_any(box):
    """Two conditions on one argument mean either of them, as with runc."""
    args = [{"index": 0, "op": "SCMP_CMP_EQ", "value": 201}, {"index": 0, "op": "SCMP_CMP_EQ", "value": 202}]
    seen = box.see(["syscall=72,200", "syscall=72,201", "syscall=72,202"],
                   filtered(rule("SCMP_ACT_ERRNO", "fcntl", errnoRet=errno.EXDEV, args=args)))
    equal("answers", [seen[f"syscall=72,{n}"]["error"] for n in (200, 201, 202)],
          ["EBADF", "EXDEV", "EXDEV"])


@case(CASES, "seccomp/unknown-call")
def seccomp_unknown_call(box):
    """Profiles name calls that this kernel's libraries do not know yet."""
    seen = box.see(["syscall=111"], filtered(rule("SCMP_ACT_ERRNO", "getpgrp", "call_of_2040")))
    equal("getpgrp", seen["syscall=111"], {"error": "EPERM"})


@case(CASES, "seccomp/flags")
def seccomp_flags(box):
    seen = box.see(["syscall=111"], filtered(rule("SCMP_ACT_ERRNO", "getpgrp"), flags=[
        "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]))
    equal("getpgrp", seen["syscall=111"], {"error": "EPERM"})


@case(CASES, "seccomp/with-no-new-privs")
def seccomp_nnp(box):
    seen = box.see(["syscall=111", "privileges"], {
        **filtered(rule("SCMP_ACT_ERRNO", "getpgrp")), "process.noNewPrivileges": True,
        "process.user.uid": 1000})
    equal("getpgrp", seen["syscall=111"], {"error": "EPERM"})
    equal("privileges", seen["privileges"], {"no_new_privs": 1, "seccomp": 2})


@case(CASES, "seccomp/without-no-new-privs")
def seccomp_no_nnp(box):
    seen = box.see(["syscall=111", "privileges"], {
        **filtered(rule("SCMP_ACT_ERRNO", "getpgrp")), "process.user.uid": 1000})
    equal("getpgrp", seen["syscall=111"], {"error": "EPERM"})
    equal("privileges", seen["privileges"], {"no_new_privs": 0, "seccomp": 2})


@case(CASES, "seccomp/32-bit-is-not-a-way-around")
def seccomp_arch(box):
    """Calls of an architecture that the profile does not name do not pass: x32's are such."""
    result = box.run(["flush", f"syscall={0x40000000 + 111}", "label=lives"],
                     filtered(rule("SCMP_ACT_ERRNO", "getpgrp")))
    if result.status == 0:
        equal("answer", result.seen.get(f"syscall={0x40000000 + 111}"), {"error": "ENOSYS"})


@case(CASES, "seccomp/exec")
def seccomp_exec(box):
    container = box.started(changes=filtered(rule("SCMP_ACT_ERRNO", "getpgrp")))
    equal("getpgrp", container.exec("syscall=111").expect(0, "exec").seen["syscall=111"], {"error": "EPERM"})


def seccomp_refused(box, changes):
    box.refused(changes, "linux.seccomp")


for row_name, row in {
        "action": filtered(rule("SCMP_ACT_DANCE", "getpgrp")),
        "default-action": filtered(default="SCMP_ACT_DANCE"),
        "operator": filtered(rule("SCMP_ACT_ERRNO", "getpgrp", args=[
            {"index": 0, "op": "SCMP_CMP_ALMOST", "value": 1}])),
        "index": filtered(rule("SCMP_ACT_ERRNO", "getpgrp", args=[
            {"index": 6, "op": "SCMP_CMP_EQ", "value": 1}])),
        "architecture": {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                                           "architectures": ["SCMP_ARCH_ABACUS"]}},
        "flag": filtered(flags=["SECCOMP_FILTER_FLAG_WISH"]),
        "notify-without-listener": filtered(rule("SCMP_ACT_NOTIFY", "getpgrp")),
}.items():
    case(CASES, f"seccomp/refused/{row_name}", row)(seccomp_refused)

NOTIF_RECV, NOTIF_SEND = 0xc0502100, 0xc0182101


@case(CASES, "seccomp/notify")
def seccomp_notify(box):
    """The listener is sent the container's state with the descriptor, and answers a call."""
    listener = Listener(box, "seccomp")
    changes = filtered(rule("SCMP_ACT_NOTIFY", "getpgrp"), listenerPath=listener.path,
                       listenerMetadata="for the agent")
    container = box.create(["out=/out/seen", "syscall=111", "wait"], changes)
    container.start()
    text, fd = listener.receive()
    told = json.loads(text)
    equal("metadata", told["metadata"], "for the agent")
    equal("names of descriptors", told["fds"], ["seccompFd"])
    equal("pid", told["pid"], container.pid)
    equal("id", told["state"]["id"], container.id)
    request = bytearray(80)
    fcntl.ioctl(fd, NOTIF_RECV, request, True)
    number, pid = struct.unpack_from("QI", request)
    equal("caller", pid, container.pid)
    fcntl.ioctl(fd, NOTIF_SEND, bytearray(struct.pack("QqiI", number, 4321, 0, 0)), True)
    equal("answer", container.output()["syscall=111"], 4321)
