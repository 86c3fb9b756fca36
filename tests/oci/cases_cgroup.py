# SPDX-License-Identifier: Apache-2.0
"""Cases: cgroups. What the kernel has is read on the host, and some limits are tried from inside."""
import json
import os
import select
import subprocess
import time

from cases_process import caps
from harness import CGROUP_PARENT, Skip, case, equal, has, true, wait_until

CASES = []
RESOURCES = "linux.resources"
MIB = 1 << 20


def limit(box, controller, resources, v1, v2):
    """Sets a limit and reads it where the kernel has it: v1 and v2 are (file, text), or None."""
    want = v2 if box.cgroups.v2 else v1
    if want is None:
        raise Skip(f"cgroup v{2 if box.cgroups.v2 else 1} has no such limit")
    box.cgroups.need(controller)
    container = box.create(changes={RESOURCES: resources})
    folder = box.cgroups.folder(container.pid, controller)
    if not os.path.exists(os.path.join(folder, want[0])):
        raise Skip(f"this kernel has no {want[0]}")
    with open(os.path.join(folder, want[0]), encoding="ascii") as file:
        equal(want[0], file.read().strip(), want[1])


for each, kind, value, old, new in (
        ("memory/limit", "memory", {"memory": {"limit": 64 * MIB}},
         ("memory.limit_in_bytes", str(64 * MIB)), ("memory.max", str(64 * MIB))),
        ("memory/unlimited", "memory", {"memory": {"limit": -1}},
         ("memory.limit_in_bytes", "9223372036854771712"), ("memory.max", "max")),
        ("memory/reservation", "memory", {"memory": {"reservation": 32 * MIB}},
         ("memory.soft_limit_in_bytes", str(32 * MIB)), ("memory.low", str(32 * MIB))),
        ("memory/swap", "memory", {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}},
         ("memory.memsw.limit_in_bytes", str(96 * MIB)), ("memory.swap.max", str(32 * MIB))),
        ("memory/swappiness", "memory", {"memory": {"swappiness": 33}},
         ("memory.swappiness", "33"), None),
        ("pids/limit", "pids", {"pids": {"limit": 77}}, ("pids.max", "77"), ("pids.max", "77")),
        ("pids/unlimited", "pids", {"pids": {"limit": -1}}, ("pids.max", "max"), ("pids.max", "max")),
        ("cpu/quota", "cpu", {"cpu": {"quota": 25000, "period": 50000}},
         ("cpu.cfs_quota_us", "25000"), ("cpu.max", "25000 50000")),
        ("cpu/period", "cpu", {"cpu": {"period": 50000}},
         ("cpu.cfs_period_us", "50000"), ("cpu.max", "max 50000")),
        ("cpu/burst", "cpu", {"cpu": {"quota": 25000, "period": 50000, "burst": 10000}},
         ("cpu.cfs_burst_us", "10000"), ("cpu.max.burst", "10000")),
        ("cpu/shares", "cpu", {"cpu": {"shares": 512}}, ("cpu.shares", "512"), ("cpu.weight", "20")),
        ("cpu/idle", "cpu", {"cpu": {"idle": 1}}, ("cpu.idle", "1"), ("cpu.idle", "1")),
        ("cpuset/cpus", "cpuset", {"cpu": {"cpus": "0"}}, ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
        ("cpuset/mems", "cpuset", {"cpu": {"mems": "0"}}, ("cpuset.mems", "0"), ("cpuset.mems", "0")),
        ("io/weight", "io", {"blockIO": {"weight": 300}}, None, ("io.bfq.weight", "default 300")),
        ("hugetlb/limit", "hugetlb", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
         ("hugetlb.2MB.limit_in_bytes", str(4 * MIB)), ("hugetlb.2MB.max", str(4 * MIB))),
        ("unified/one", "memory", {"unified": {"memory.high": str(50 * MIB)}}, None,
         ("memory.high", str(50 * MIB))),
        ("unified/wins", "pids", {"unified": {"pids.max": "55"}}, None, ("pids.max", "55"))):
    case(CASES, f"cgroup/{each}", kind, value, old, new)(limit)


def first_disk():
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(("loop", "ram", "zram")):
            with open(f"/sys/block/{name}/dev", encoding="ascii") as file:
                return tuple(map(int, file.read().strip().split(":")))
    raise Skip("no disk here")


@case(CASES, "cgroup/io/throttle")
def io_throttle(box):
    box.cgroups.need("io" if box.cgroups.v2 else "blkio")
    major, minor = first_disk()
    row = {"major": major, "minor": minor, "rate": MIB}
    container = box.create(changes={RESOURCES: {"blockIO": {"throttleReadBpsDevice": [row],
                                                            "throttleWriteIOPSDevice": [{**row, "rate": 99}]}}})
    read = lambda name: box.cgroups.read(container.pid, "blkio", name, "io.max")
    if box.cgroups.v2:
        has("io.max", read("").split(), f"rbps={MIB}")
        has("io.max", read("").split(), "wiops=99")
    else:
        equal("read", read("blkio.throttle.read_bps_device"), f"{major}:{minor} {MIB}")
        equal("write", read("blkio.throttle.write_iops_device"), f"{major}:{minor} 99")


@case(CASES, "cgroup/refused/no-controller")
def no_controller(box):
    """What no hierarchy here can do is an error, and not forgotten."""
    if not box.cgroups.v2 and "net_cls" in box.cgroups.controllers:
        raise Skip("net_cls is here")
    box.refused({RESOURCES: {"network": {"classID": 1048577}}}, "linux.resources.network")


@case(CASES, "cgroup/refused/intel-rdt")
def no_intel_rdt(box):
    if os.path.exists("/sys/fs/resctrl/schemata"):
        raise Skip("resctrl is mounted here")
    box.refused({"linux.intelRdt": {"closID": "group", "l3CacheSchema": "L3:0=f"}}, "linux.intelRdt")


@case(CASES, "cgroup/path")
def path(box):
    container = box.create()
    want = f"/{CGROUP_PARENT}/{box.prefix}-1"
    has("cgroup", box.cgroups.folder(container.pid, "memory"), want)


@case(CASES, "cgroup/path-absent")
def path_absent(box):
    """There is one all the same, it is the container's own, and goes with it."""
    container = box.create(changes={"linux.cgroupsPath": None})
    folder = box.cgroups.folder(container.pid, "memory")
    has("cgroup", folder, container.id)
    container.kill()
    container.wait()
    container.delete()
    true("the cgroup is left", not os.path.exists(folder))


@case(CASES, "cgroup/removed")
def removed(box):
    container = box.started()
    folder = box.cgroups.folder(container.pid, "pids")
    true("there is none", os.path.isdir(folder))
    container.kill()
    container.wait()
    container.delete()
    true("the cgroup is left", not os.path.exists(folder))


@case(CASES, "cgroup/memory/kills")
def memory_kills(box):
    box.cgroups.need("memory")
    changes = {RESOURCES: {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}}
    equal("less than the limit", box.see(["hog=6"], changes)["hog=6"], "ok")
    box.run(["hog=64"], changes).expect(137, "run")


@case(CASES, "cgroup/pids/holds")
def pids_hold(box):
    box.cgroups.need("pids")
    seen = box.see(["fork=20"], {RESOURCES: {"pids": {"limit": 8}}})
    equal("children", seen["fork=20"], 7)


@case(CASES, "cgroup/cpuset/holds")
def cpuset_holds(box):
    box.cgroups.need("cpuset")
    equal("CPUs", box.see(["cpus"], {RESOURCES: {"cpu": {"cpus": "0"}}})["cpus"], [0])


@case(CASES, "cgroup/cpu/throttles")
def cpu_throttles(box):
    box.cgroups.need("cpu")
    container = box.started(["hog=3000", "wait"], {RESOURCES: {"cpu": {"quota": 2000, "period": 20000},
                                                               "memory": {"limit": 4000 * MIB}}})
    throttled = lambda: [line for line in box.cgroups.read(container.pid, "cpu", "cpu.stat", "cpu.stat")
                         .splitlines() if line.startswith("nr_throttled") and line.split()[1] != "0"]
    wait_until("throttling", throttled)


DENY_ALL = {"allow": False, "access": "rwm"}
KMSG = {"linux.devices": [{"path": "/dev/note", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}],
        **caps(**{k: ["SYSLOG", "MKNOD"] for k in ("bounding", "permitted", "effective")})}


def devices(box, rules, want):
    if not box.cgroups.v2:
        box.cgroups.need("devices")
    seen = box.see(["access=/dev/note", "access=/dev/null"], {**KMSG, f"{RESOURCES}.devices": rules})
    equal("access of the device", seen["access=/dev/note"], {"read": want[0], "write": want[1]})
    equal("access of /dev/null", seen["access=/dev/null"], {"read": "ok", "write": "ok"})


NOTE = {"type": "c", "major": 1, "minor": 11}
for each, value, expected in (
        ("denied", [DENY_ALL], ("EPERM", "EPERM")),
        ("allowed", [DENY_ALL, {"allow": True, **NOTE, "access": "rwm"}], ("ok", "ok")),
        ("read-only", [DENY_ALL, {"allow": True, **NOTE, "access": "r"}], ("ok", "EPERM")),
        ("write-only", [DENY_ALL, {"allow": True, **NOTE, "access": "w"}], ("EPERM", "ok")),
        ("any-minor", [DENY_ALL, {"allow": True, "type": "c", "major": 1, "access": "rw"}], ("ok", "ok")),
        ("other-type", [DENY_ALL, {"allow": True, "type": "b", "major": 1, "minor": 11, "access": "rw"}],
         ("EPERM", "EPERM")),
        ("later-wins", [DENY_ALL, {"allow": True, **NOTE, "access": "rw"},
                        {"allow": False, **NOTE, "access": "w"}], ("ok", "EPERM"))):
    case(CASES, f"cgroup/devices/{each}", value, expected)(devices)


def resources_refused(box, resources, names):
    if "unified" in resources and not box.cgroups.v2:
        names = "linux.resources.unified"
    box.refused({RESOURCES: resources}, names)


for each, value, member in (
        ("unified-unknown", {"unified": {"memory.wish": "1"}}, "linux.resources.unified"),
        ("unified-path", {"unified": {"../cgroup.procs": "1"}}, "linux.resources.unified"),
        ("unified-value", {"unified": {"memory.max": "banana"}}, "linux.resources.unified"),
        ("cpus", {"cpu": {"cpus": "banana"}}, "linux.resources.cpu.cpus"),
        ("cpus-absent", {"cpu": {"cpus": "4000"}}, "linux.resources.cpu.cpus"),
        ("quota", {"cpu": {"quota": 1, "period": 100000}}, "linux.resources.cpu.quota"),
        ("hugetlb-size", {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]},
         "linux.resources.hugepageLimits"),
        ("rdma-device", {"rdma": {"no_such_device": {"hcaHandles": 3}}}, "linux.resources.rdma"),
        ("swap-below-memory", {"memory": {"limit": 64 * MIB, "swap": 32 * MIB}},
         "linux.resources.memory.swap")):
    case(CASES, f"cgroup/refused/{each}", value, member)(resources_refused)


@case(CASES, "cgroup/manager-disabled")
def disabled(box):
    if box.runtime.name == "runc":
        raise Skip("runc has no --cgroup-manager")
    bundle = box.bundle(["read=/proc/self/cgroup"])
    container = box.container(bundle)
    result = box.runtime.call("--cgroup-manager=disabled", "run", "--bundle", bundle, container.id)
    with open("/proc/self/cgroup", encoding="ascii") as file:
        equal("cgroup", result.expect(0, "run").seen["read=/proc/self/cgroup"], file.read())


@case(CASES, "cgroup/systemd-absent")
def systemd_absent(box):
    """Without systemd its driver is refused, and nothing is made in its stead."""
    if os.path.isdir("/run/systemd/system"):
        raise Skip("systemd runs here")
    bundle = box.bundle(["ids"], {"linux.cgroupsPath": "system.slice:run0:x"})
    container = box.container(bundle)
    result = box.runtime.call("--systemd-cgroup", "run", "--bundle", bundle, container.id)
    true("it runs", result.status != 0)
    true("it says nothing", "systemd" in result.err or "dbus" in result.err.lower()
         or "D-Bus" in result.err or "bus" in result.err)


# --- verbs on a running container's cgroup

def frozen(box, pid):
    if box.cgroups.v2:
        with open(os.path.join(box.cgroups.folder(pid, "freezer"), "cgroup.events"), encoding="ascii") as file:
            return "frozen 1" in file.read()
    return box.cgroups.read(pid, "freezer", "freezer.state", "") == "FROZEN"


@case(CASES, "pause/and-resume")
def pause_resume(box):
    container = box.started()
    container.call("pause").expect(0, "pause")
    equal("status", container.status(), "paused")
    true("it is not frozen", frozen(box, container.pid))
    container.call("resume").expect(0, "resume")
    equal("status", container.status(), "running")
    true("it is frozen", not frozen(box, container.pid))


@case(CASES, "pause/not-running")
def pause_stopped(box):
    container = box.started(["ids"])
    container.wait()
    true("a stopped container is paused", container.call("pause").status != 0)
    true("a stopped container is resumed", container.call("resume").status != 0)


@case(CASES, "pause/exec")
def pause_exec(box):
    container = box.started()
    container.call("pause").expect(0, "pause")
    true("exec enters a paused container", container.exec("ids").status != 0)
    container.call("resume").expect(0, "resume")
    container.exec("ids").expect(0, "exec")


@case(CASES, "pause/force-delete")
def pause_delete(box):
    """The frozen can be killed and deleted, too."""
    container = box.started()
    container.call("pause").expect(0, "pause")
    container.call("delete", "--force").expect(0, "delete --force")
    container.wait()
    true("state is left", container.call("state").status != 0)


@case(CASES, "pause/kill")
def pause_kill(box):
    """KILL ends it at the latest when it is resumed."""
    container = box.started()
    container.call("pause").expect(0, "pause")
    container.kill("KILL")
    container.call("resume")
    equal("status", container.wait(), -9)


@case(CASES, "update/flags")
def update_flags(box):
    for controller in ("memory", "pids", "cpu"):
        box.cgroups.need(controller)
    container = box.started(changes={RESOURCES: {"pids": {"limit": 50}}})
    container.call("update", "--memory", 48 * MIB, "--cpu-quota", "30000", "--cpu-period",
                   "60000").expect(0, "update")
    read = lambda *names: box.cgroups.read(container.pid, *names)
    equal("memory", read("memory", "memory.limit_in_bytes", "memory.max"), str(48 * MIB))
    equal("cpu", read("cpu", "cpu.cfs_quota_us", "cpu.max"), "30000 60000" if box.cgroups.v2 else "30000")
    equal("pids, which was not named", read("pids", "pids.max", "pids.max"), "50")
    container.call("update", "--pids-limit", "60").expect(0, "update")
    equal("pids", read("pids", "pids.max", "pids.max"), "60")
    equal("memory, which was not named", read("memory", "memory.limit_in_bytes", "memory.max"), str(48 * MIB))


@case(CASES, "update/resources")
def update_resources(box):
    box.cgroups.need("pids")
    container = box.started()
    box.runtime.call("update", "--resources", "-", container.id,
                     stdin=json.dumps({"pids": {"limit": 31}})).expect(0, "update")
    equal("pids", box.cgroups.read(container.pid, "pids", "pids.max", "pids.max"), "31")
    name = os.path.join(box.dir, "resources.json")
    with open(name, "w", encoding="ascii") as file:
        json.dump({"pids": {"limit": 32}}, file)
    box.runtime.call("update", f"--resources={name}", container.id).expect(0, "update")
    equal("pids", box.cgroups.read(container.pid, "pids", "pids.max", "pids.max"), "32")


@case(CASES, "update/devices-stay")
def update_keeps_devices(box):
    """An update of a limit does not open devices."""
    if not box.cgroups.v2:
        box.cgroups.need("devices")
    container = box.started(changes={**KMSG, f"{RESOURCES}.devices": [DENY_ALL]})
    container.call("update", "--pids-limit", "60").expect(0, "update")
    seen = container.exec("access=/dev/note", options=["--cap", "CAP_SYSLOG"]).expect(0, "exec").seen
    equal("access", seen["access=/dev/note"]["read"], "EPERM")


@case(CASES, "update/refused")
def update_refused(box):
    container = box.started()
    result = box.runtime.call("update", "--resources", "-", container.id,
                              stdin='{"pids": {"limit": "many"}}')
    true("it is taken", result.status != 0)
    if box.runtime.name == "run0":
        has("the error", result.err, "pids.limit")
    equal("status", container.status(), "running")


@case(CASES, "events/stats")
def events_stats(box):
    container = box.started()
    told = json.loads(container.call("events", "--stats").expect(0, "events").out)
    equal("type", told["type"], "stats")
    equal("id", told["id"], container.id)
    equal("processes", told["data"]["pids"]["current"], 1)
    true("no memory is used", told["data"]["memory"]["usage"]["usage"] > 0)
    true("no time is used", told["data"]["cpu"]["usage"]["total"] > 0)


@case(CASES, "events/oom")
def events_oom(box):
    """A line when the kernel killed a process of the container for want of memory."""
    box.cgroups.need("memory")
    container = box.started(changes={RESOURCES: {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}})
    with subprocess.Popen(box.runtime.command(["events", "--interval", "1h", container.id]),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as process:
        try:
            time.sleep(1 if box.cgroups.v2 else 0.3)
            container.exec("hog=64").expect(137, "exec")
            true("nothing is told", select.select([process.stdout], [], [], 10)[0])
            told = json.loads(process.stdout.readline() or "null")
        finally:
            process.kill()
    equal("event", told and (told["type"], told["id"]), ("oom", container.id))
    equal("status", container.status(), "running")


@case(CASES, "ps/children")
def ps_children(box):
    container = box.started(["out=/out/seen", "fork=3", "wait"])
    container.output()
    pids = json.loads(box.runtime.call("ps", "--format", "json", container.id).expect(0, "ps").out)
    equal("processes", len(pids), 4)
    has("processes", pids, container.pid)
    table = box.runtime.call("ps", container.id).expect(0, "ps").out.splitlines()
    true(f"the header is {table[0]!r}", table[0].split()[:3] == ["UID", "PID", "PPID"])
    equal("rows", len(table), 5)


@case(CASES, "ps/format-equals")
def ps_equals(box):
    container = box.started()
    equal("processes", json.loads(box.runtime.call("ps", "--format=json", container.id).expect(0, "ps").out),
          [container.pid])
