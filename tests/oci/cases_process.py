# SPDX-License-Identifier: Apache-2.0
"""Cases: the process object, hooks, annotations, and errors in the configuration."""
import json
import os
import signal
import stat
import subprocess
import time

from cases_isolation import USER
from harness import Failed, Skip, case, equal, fork, has, host_namespace, lacks, true

CASES = []
CAP = {"CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10,
       "NET_RAW": 13, "SYS_CHROOT": 18, "SYS_ADMIN": 21, "SYS_NICE": 23, "MKNOD": 27}


def caps(**sets):
    return {"process.capabilities": {name: [f"CAP_{cap}" for cap in row] for name, row in sets.items()}}


def bits(*names):
    return sum(1 << CAP[name] for name in names)


def host_can(attempt):
    """Whether a process here can do that, tried in a child."""
    def child(ready):
        attempt()
        ready()
    try:
        os.waitpid(fork(child), 0)
        return True
    except Skip:
        return False


# --- user, groups, folder, environment

@case(CASES, "process/user")
def user(box):
    seen = box.see(["ids"], {"process.user": {"uid": 1234, "gid": 4321}})["ids"]
    equal("ids", [seen[k] for k in ("uid", "euid", "gid", "egid", "groups")],
          [1234, 1234, 4321, 4321, seen["groups"] and [4321]])


@case(CASES, "process/additional-gids")
def additional_gids(box):
    seen = box.see(["ids"], {"process.user": {"uid": 9, "gid": 8, "additionalGids": [30, 20, 65000]}})["ids"]
    equal("groups", sorted(set(seen["groups"]) - {8}), [20, 30, 65000])


@case(CASES, "process/no-groups-of-the-caller")
def groups_dropped(box):
    code = "import os,sys; os.setgroups([4711]); os.execv(sys.argv[1], sys.argv[1:])"
    container = box.container(box.bundle(["ids"]))
    result = subprocess.run(["/usr/bin/python3", "-S", "-c", code, *box.runtime.command(
        ["run", "--bundle", container.bundle, container.id])], capture_output=True, text=True, check=False)
    equal("exit status", result.returncode, 0)
    lacks("groups", result.stdout, "4711")


@case(CASES, "process/umask")
def umask(box):
    equal("umask", box.see(["umask"], {"process.user.umask": 0o027})["umask"], 0o027)


@case(CASES, "process/umask-default")
def umask_default(box):
    equal("umask", box.see(["umask"])["umask"], 0o022)


@case(CASES, "process/cwd")
def cwd(box):
    bundle = box.bundle(["cwd"], {"process.cwd": "/srv/work"})
    box.add(bundle, "srv/work")
    equal("cwd", box.see([], bundle=bundle)["cwd"], "/srv/work")


@case(CASES, "process/cwd-relative")
def cwd_relative(box):
    box.refused({"process.cwd": "srv"}, "process.cwd")


@case(CASES, "process/cwd-outside")
def cwd_outside(box):
    """CVE-2024-21626: no descriptor of the runtime's is a way out."""
    for fd in range(3, 12):
        result = box.run(["cwd", "list=.", "list=/"], {"process.cwd": f"/proc/self/fd/{fd}"})
        if result.status == 0:
            equal("cwd", result.seen["cwd"], "/")
            equal("what is there", result.seen["list=."], result.seen["list=/"])


@case(CASES, "process/env-and-args")
def env_args(box):
    seen = box.see(["env", "args", "label=with space", "label=\u00fc\""],
                   {"process.env": ["PATH=/", "A=1", "EMPTY=", "A=2"]})
    has("environment", seen["env"], "EMPTY=")
    equal("A", [word for word in seen["env"] if word.startswith("A=")][-1], "A=2")
    equal("arguments", seen["args"][3], "label=with space")


@case(CASES, "process/path-lookup")
def path_lookup(box):
    seen = box.see(["args"], {"process.args": ["probe", "args"], "process.env": ["PATH=/nowhere:/"]})
    equal("name", seen["args"], ["probe", "args"])


@case(CASES, "process/home")
def home(box):
    """HOME is found in the image's /etc/passwd when it is not given."""
    bundle = box.bundle(["env"], {"process.user": {"uid": 55, "gid": 5}})
    box.add(bundle, "etc/passwd", "root:x:0:0::/root:/x\nlib:x:55:5::/var/lib/lib:/x\n")
    has("environment", box.see([], bundle=bundle)["env"], "HOME=/var/lib/lib")


@case(CASES, "process/session")
def session(box):
    equal("session", box.see(["ids"])["ids"]["sid"], 1)


@case(CASES, "process/signals-are-default")
def signals(box):
    lines = box.see(["read=/proc/self/status"])["read=/proc/self/status"].splitlines()
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Sig")
             and "/" not in line}
    equal("blocked signals", masks["SigBlk"], 0)
    equal("ignored signals", masks["SigIgn"] & ~(1 << 12), 0)


@case(CASES, "process/no-args")
def no_args(box):
    box.refused({"process.args": []}, "process.args")


@case(CASES, "process/not-found")
def not_found(box):
    result = box.refused({"process.args": ["/nothing"]}, "process.args[0]")
    has("the error", result.err, "/nothing")


@case(CASES, "process/not-executable")
def not_executable(box):
    bundle = box.bundle([], {"process.args": ["/text"]})
    box.add(bundle, "text", "no program", 0o644)
    box.refused({}, "process.args[0]", bundle=bundle)


@case(CASES, "process/is-a-folder")
def is_folder(box):
    box.refused({"process.args": ["/tmp"]}, "process.args[0]")


# --- privileges

def one_set(box, kind, want):
    """As execve(2) leaves them: root gets what is in the bounding set."""
    sets = {name: ["KILL", "NET_RAW"] for name in want}
    seen = box.see(["caps"], caps(**sets))["caps"]
    for name in ("effective", "permitted", "inheritable", "bounding", "ambient"):
        given = name in want or (name in ("effective", "permitted") and want)
        equal(name, seen[name], bits("KILL", "NET_RAW") if given else 0)


for each, together in {
        "none": (), "bounding": ("bounding",), "permitted": ("bounding", "permitted"),
        "effective": ("bounding", "permitted", "effective"),
        "inheritable": ("bounding", "permitted", "effective", "inheritable"),
        "all": ("bounding", "permitted", "effective", "inheritable", "ambient")}.items():
    case(CASES, f"capabilities/{each}", each, together)(one_set)


@case(CASES, "capabilities/different-sets")
def different_sets(box):
    """Another user than root keeps over execve only what is ambient."""
    seen = box.see(["caps"], {**caps(bounding=["KILL", "NET_RAW", "CHOWN"], permitted=["KILL", "NET_RAW"],
                                     effective=["KILL"], inheritable=[], ambient=[]),
                              "process.user.uid": 1000})["caps"]
    equal("bounding", seen["bounding"], bits("KILL", "NET_RAW", "CHOWN"))
    equal("others", [seen[k] for k in ("effective", "permitted", "inheritable", "ambient")], [0, 0, 0, 0])


@case(CASES, "capabilities/ambient-user")
def ambient_user(box):
    """What another user than root keeps over execve."""
    row = ["NET_BIND_SERVICE"]
    seen = box.see(["caps", "ids"], {**caps(bounding=row, permitted=row, effective=row, inheritable=row,
                                            ambient=row), "process.user.uid": 1000})
    equal("uid", seen["ids"]["uid"], 1000)
    for name in ("effective", "permitted", "inheritable", "bounding", "ambient"):
        equal(name, seen["caps"][name], bits(*row))


@case(CASES, "capabilities/unknown")
def unknown_cap(box):
    """The specification: warned of and left out."""
    seen = box.see(["caps"], {"process.capabilities": {k: ["CAP_KILL", "CAP_TO_FLY"] for k in (
        "bounding", "permitted", "effective")}})["caps"]
    equal("effective", seen["effective"], bits("KILL"))


@case(CASES, "capabilities/really-limited")
def really_limited(box):
    without = box.see(["mknod=/tmp/n:c:1:3"])
    equal("without CAP_MKNOD", without["mknod=/tmp/n:c:1:3"], "EPERM")
    row = ["MKNOD"]
    seen = box.see(["mknod=/tmp/n:c:1:3"], caps(bounding=row, permitted=row, effective=row))
    equal("with CAP_MKNOD", seen["mknod=/tmp/n:c:1:3"], "ok")


@case(CASES, "privileges/no-new-privs")
def no_new_privs(box):
    equal("set", box.see(["privileges"], {"process.noNewPrivileges": True})["privileges"]["no_new_privs"], 1)
    equal("default", box.see(["privileges"])["privileges"]["no_new_privs"], 0)


def label(box, member, folder):
    """Where the kernel has no such thing, a label is refused and not forgotten."""
    if os.path.isdir(folder):
        raise Skip("needs a loaded policy to compare with")
    box.refused({member: "some-label"}, member)


case(CASES, "privileges/apparmor-absent", "process.apparmorProfile",
     "/sys/kernel/security/apparmor")(label)
case(CASES, "privileges/selinux-absent", "process.selinuxLabel", "/sys/fs/selinux")(label)


@case(CASES, "privileges/keyring")
def keyring(box):
    """A session keyring of its own, unless the caller says otherwise."""
    seen = [box.see(["keyring"], options=options)["keyring"] for options in ([], ["--no-new-keyring"])]
    if isinstance(seen[0], dict):
        raise Failed(f"the keyring cannot be described: {seen[0]}")
    lacks("keyring", seen[0], "_uid_ses")
    true("--no-new-keyring makes no difference", seen[0].split(";")[-1] != seen[1].split(";")[-1]
         if isinstance(seen[1], str) else True)


# --- limits

@case(CASES, "limits/rlimits")
def rlimits(box):
    rows = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_STACK", "soft": 1 << 22, "hard": 1 << 23},
            {"type": "RLIMIT_CPU", "soft": 50, "hard": 60}]
    seen = box.see(["rlimits"], {"process.rlimits": rows})["rlimits"]
    for row in rows:
        equal(row["type"], seen[row["type"][7:]], [row["soft"], row["hard"]])


@case(CASES, "limits/rlimits-every-type")
def rlimits_all(box):
    names = ("AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING "
             "STACK").split()
    seen = box.see(["rlimits"])["rlimits"]
    rows = [{"type": f"RLIMIT_{n}", "soft": min(seen[n][1], 1 << 40), "hard": min(seen[n][1], 1 << 40)}
            for n in names]
    after = box.see(["rlimits"], {"process.rlimits": rows})["rlimits"]
    for row in rows:
        equal(row["type"], after[row["type"][7:]], [row["soft"], row["hard"]])


def rlimits_refused(box, rows):
    box.refused({"process.rlimits": rows}, "process.rlimits")


for each, value in {
        "unknown": [{"type": "RLIMIT_HOPE", "soft": 1, "hard": 1}],
        "twice": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 2, "hard": 2}],
        "soft-above-hard": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}.items():
    case(CASES, f"limits/refused/{each}", value)(rlimits_refused)


@case(CASES, "limits/oom-score")
def oom_score(box):
    equal("oom_score_adj", box.see(["read=/proc/self/oom_score_adj"], {"process.oomScoreAdj": 321})[
        "read=/proc/self/oom_score_adj"].strip(), "321")


@case(CASES, "limits/oom-score-negative")
def oom_score_negative(box):
    def lower():
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("-200")
    if not host_can(lower):
        box.refused({"process.oomScoreAdj": -200}, "process.oomScoreAdj")
        raise Skip("root here has no CAP_SYS_RESOURCE (that it is refused by name was checked)")
    equal("oom_score_adj", box.see(["read=/proc/self/oom_score_adj"], {"process.oomScoreAdj": -200})[
        "read=/proc/self/oom_score_adj"].strip(), "-200")


@case(CASES, "limits/oom-score-inherited")
def oom_score_inherited(box):
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        want = file.read().strip()
    equal("oom_score_adj", box.see(["read=/proc/self/oom_score_adj"])[
        "read=/proc/self/oom_score_adj"].strip(), want)


@case(CASES, "limits/personality")
def personality(box):
    equal("personality", box.see(["personality"], {"linux.personality": {"domain": "LINUX32"}})["personality"], 8)


@case(CASES, "limits/personality-refused")
def personality_refused(box):
    box.refused({"linux.personality": {"domain": "VAX"}}, "linux.personality.domain")


def scheduler(box, config, want):
    if config["policy"] in ("SCHED_FIFO", "SCHED_RR") and os.path.exists(
            "/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        raise Skip("a v1 cgroup lets no process be real-time unless it has a share of that")
    seen = box.see(["schedule"], {"process.scheduler": config,
                                  **caps(**{k: ["SYS_NICE"] for k in ("bounding", "permitted", "effective")})})
    for name, value in want.items():
        equal(name, seen["schedule"][name], value)


for each, value, want_seen in (
        ("other", {"policy": "SCHED_OTHER", "nice": 7}, {"policy": 0, "nice": 7}),
        ("batch", {"policy": "SCHED_BATCH", "nice": 3}, {"policy": 3, "nice": 3}),
        ("idle", {"policy": "SCHED_IDLE"}, {"policy": 5}),
        ("fifo", {"policy": "SCHED_FIFO", "priority": 11}, {"policy": 1, "priority": 11}),
        ("round-robin", {"policy": "SCHED_RR", "priority": 12, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
         {"policy": 2, "priority": 12, "flags": 1}),
        ("deadline", {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 10000000,
                      "period": 10000000}, {"policy": 6, "runtime": 1000000, "deadline": 10000000,
                                            "period": 10000000})):
    case(CASES, f"scheduler/{each}", value, want_seen)(scheduler)


@case(CASES, "scheduler/refused")
def scheduler_refused(box):
    box.refused({"process.scheduler": {"policy": "SCHED_WISH"}}, "process.scheduler.policy")


def io_priority(box, config, want):
    seen = box.see(["schedule"], {"process.ioPriority": config})["schedule"]
    equal("class and level", (seen["io_class"], seen["io_level"]), want)


for each, value, want_seen in (
        ("best-effort", {"class": "IOPRIO_CLASS_BE", "priority": 6}, (2, 6)),
        ("idle", {"class": "IOPRIO_CLASS_IDLE", "priority": 0}, (3, 0)),
        ("real-time", {"class": "IOPRIO_CLASS_RT", "priority": 3}, (1, 3))):
    case(CASES, f"io-priority/{each}", value, want_seen)(io_priority)


@case(CASES, "io-priority/refused")
def io_priority_refused(box):
    box.refused({"process.ioPriority": {"class": "IOPRIO_CLASS_VIP", "priority": 1}}, "process.ioPriority")


# --- hooks

POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(box, bundle, point, *steps, inside=False, **more):
    """One that adds a line to rootfs/out/hooks; `inside`: it is run in the container's root."""
    out = "/out/hooks" if inside else os.path.join(bundle, "rootfs/out/hooks")
    return {"path": "/probe" if inside else box.suite.probe,
            "args": ["hook", f"out=+{out}", f"label={point}", *steps], **more}


def with_hooks(box, steps, hooks, changes=None):
    """A bundle whose config has hooks(bundle)."""
    bundle = box.bundle(steps, changes)
    rows = hooks(bundle)
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["hooks"] = rows
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return bundle


def told(bundle):
    """What the hooks wrote, in order: (point, what it saw)."""
    path = os.path.join(bundle, "rootfs/out/hooks")
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        lines = [json.loads(line) for line in file]
    return [(next(k for k in line if k.startswith("label=")), line) for line in lines]


def every_hook(box, *steps):
    def hooks(bundle):
        return {point: [hook(box, bundle, point, *steps, inside=point == "startContainer")]
                for point in POINTS}
    return with_hooks(box, ["trap=15", "out=/out/seen", "ids", "wait"], hooks, {"annotations": {"org.example": "yes"}})


def end(container):
    """By a signal, which the first process of a PID namespace must be ready for."""
    container.output()
    container.kill("TERM")
    container.wait()


@case(CASES, "hooks/order")
def hooks_order(box):
    bundle = every_hook(box)
    points = lambda: [name[6:] for name, _ in told(bundle)]
    container = box.create(bundle=bundle)
    equal("after create", points(), list(POINTS[:3]))
    container.start()
    equal("after start", points(), list(POINTS[:5]))
    end(container)
    equal("after its end", points(), list(POINTS[:5]))
    container.delete()
    equal("after delete", points(), list(POINTS))


@case(CASES, "hooks/state-on-stdin")
def hooks_state(box):
    bundle = every_hook(box, "stdin", "ids")
    container = box.create(bundle=bundle)
    container.start()
    end(container)
    container.delete()
    status = {"prestart": ("creating", "created"), "createRuntime": ("creating", "created"),
              "createContainer": ("creating", "created"), "startContainer": ("created",),
              "poststart": ("running",), "poststop": ("stopped",)}
    for name, seen in told(bundle):
        point, state = name[6:], json.loads(seen["stdin"])
        equal(f"{point}: id", state["id"], container.id)
        equal(f"{point}: bundle", state["bundle"], bundle)
        equal(f"{point}: annotations", state["annotations"], {"org.example": "yes"})
        true(f"{point}: no ociVersion", state.get("ociVersion"))
        true(f"{point}: status is {state['status']}", state["status"] in status[point])
        if point in ("prestart", "createRuntime", "poststart"):
            equal(f"{point}: pid", state["pid"], container.pid)


@case(CASES, "hooks/where")
def hooks_where(box):
    """Which are in the runtime's namespaces, and which in the container's."""
    bundle = every_hook(box, "namespaces", "cwd")
    container = box.create(bundle=bundle)
    inside = {k: host_namespace(k, container.pid) for k in ("mount", "uts", "ipc")}
    container.start()
    end(container)
    container.delete()
    for name, seen in told(bundle):
        point = name[6:]
        for kind, file in (("mount", "mnt"), ("uts", "uts"), ("ipc", "ipc")):
            want = inside[kind] if point in ("createContainer", "startContainer") else host_namespace(kind)
            equal(f"{point}: {kind} namespace", seen["namespaces"][file], want)


@case(CASES, "hooks/args-and-env")
def hooks_args(box):
    bundle = with_hooks(box, ["ids"], lambda b: {"createRuntime": [
        hook(box, b, "createRuntime", "args", "env", env=["ONLY=this"])]})
    box.see([], bundle=bundle)
    (_, seen), = told(bundle)
    equal("name", seen["args"][0], "hook")
    equal("environment", seen["env"], ["ONLY=this"])


@case(CASES, "hooks/several-in-order")
def hooks_several(box):
    bundle = with_hooks(box, ["ids"], lambda b: {"createRuntime": [
        hook(box, b, f"{i}") for i in range(3)]})
    box.see([], bundle=bundle)
    equal("order", [name[6:] for name, _ in told(bundle)], ["0", "1", "2"])


def hooks_fail_create(box, point):
    """The container is not made, the process never runs, nothing is left; later hooks do not run."""
    bundle = with_hooks(box, ["out=/out/seen", "ids"], lambda b: {
        point: [hook(box, b, "first", "exit=9"), hook(box, b, "second")],
        "poststop": [hook(box, b, "poststop")]})
    container = box.container(bundle)
    result = box.try_create(container)
    true("create succeeds", result.status != 0)
    if box.runtime.name == "run0":
        has("the error", result.err, f"hooks.{point}[0]")
    lacks("hooks that ran", [name for name, _ in told(bundle)], "label=second")
    true("state is left", container.call("state").status != 0)
    true("the process ran", not os.path.exists(os.path.join(bundle, "rootfs/out/seen")))


for each in POINTS[:3]:
    case(CASES, f"hooks/failing/{each}", each)(hooks_fail_create)


@case(CASES, "hooks/failing/startContainer")
def hooks_fail_start(box):
    bundle = with_hooks(box, ["out=/out/seen", "ids"], lambda b: {
        "startContainer": [hook(box, b, "first", "exit=9", inside=True)]})
    container = box.create(bundle=bundle)
    result = container.call("start")
    true("start succeeds", result.status != 0)
    if box.runtime.name == "run0":
        has("the error", result.err, "hooks.startContainer[0]")
    container.wait()
    true("the process ran", not os.path.exists(os.path.join(bundle, "rootfs/out/seen")))


@case(CASES, "hooks/failing/poststart")
def hooks_fail_poststart(box):
    """Warned of, and all the same the others run and the container lives."""
    bundle = with_hooks(box, ["wait"], lambda b: {
        "poststart": [hook(box, b, "first", "exit=9"), hook(box, b, "second")]})
    container = box.create(bundle=bundle)
    result = container.call("start").expect(0, "start")
    if box.runtime.name == "run0":
        has("the warning", result.err, "hooks.poststart[0]")
    equal("status", container.status(), "running")
    equal("hooks", [name[6:] for name, _ in told(bundle)], ["first", "second"])


@case(CASES, "hooks/failing/poststop")
def hooks_fail_poststop(box):
    """Warned of, and all the same the others run and the container is deleted."""
    bundle = with_hooks(box, ["ids"], lambda b: {
        "poststop": [hook(box, b, "first", "exit=9"), hook(box, b, "second")]})
    container = box.create(bundle=bundle)
    container.start()
    container.wait()
    container.delete()
    true("state is left", container.call("state").status != 0)
    equal("hooks", [name[6:] for name, _ in told(bundle)], ["first", "second"])


@case(CASES, "hooks/time-out")
def hooks_timeout(box):
    bundle = with_hooks(box, ["ids"], lambda b: {
        "createRuntime": [hook(box, b, "slow", "flush", "sleep=60000", timeout=1)]})
    began = time.monotonic()
    result = box.run([], bundle=bundle)
    took = time.monotonic() - began
    true("it runs", result.status != 0)
    true(f"it takes {took:.1f} s", 0.9 < took < 8)
    if box.runtime.name == "run0":
        has("the error", result.err, "hooks.createRuntime[0]")


@case(CASES, "hooks/missing-program")
def hooks_missing(box):
    box.refused({"hooks": {"createRuntime": [{"path": "/nothing/there"}]}}, "hooks.createRuntime[0]")


@case(CASES, "hooks/relative-path")
def hooks_relative(box):
    box.refused({"hooks": {"createRuntime": [{"path": "probe"}]}}, "hooks.createRuntime[0].path")


@case(CASES, "hooks/no-descriptors")
def hooks_descriptors(box):
    """A hook has no descriptors of the runtime's."""
    bundle = with_hooks(box, ["ids"], lambda b: {"createRuntime": [hook(box, b, "fds", "fds")]})
    box.see([], bundle=bundle)
    (_, seen), = told(bundle)
    equal("descriptors", sorted(seen["fds"]), ["0", "1", "2"])


# --- errors that name the member

def wrong(box, changes, names):
    box.refused(changes, names)


for each, value, member in (
        ("cwd-type", {"process.cwd": 5}, "process.cwd"),
        ("args-type", {"process.args": "/probe"}, "process.args"),
        ("args-item", {"process.args": ["/probe", 7]}, "process.args[1]"),
        ("uid-negative", {"process.user.uid": -1}, "process.user.uid"),
        ("uid-text", {"process.user.uid": "root"}, "process.user.uid"),
        ("env-type", {"process.env": {"A": "b"}}, "process.env"),
        ("terminal-type", {"process.terminal": "yes"}, "process.terminal"),
        ("root-absent", {"root": None}, "root"),
        ("root-path", {"root.path": 3}, "root.path"),
        ("mounts-type", {"mounts": {"destination": "/a"}}, "mounts"),
        ("mount-destination", {"mounts": [{"type": "tmpfs"}]}, "mounts[0].destination"),
        ("hostname-type", {"hostname": ["a"]}, "hostname"),
        ("hostname-long", {"hostname": "a" * 65}, "hostname"),
        ("namespaces-type", {"linux.namespaces": "all"}, "linux.namespaces"),
        ("memory-type", {"linux.resources.memory": {"limit": "much"}}, "linux.resources.memory.limit"),
        ("pids-type", {"linux.resources.pids": {"limit": "few"}}, "linux.resources.pids.limit"),
        ("propagation", {"linux.rootfsPropagation": "wild"}, "linux.rootfsPropagation"),
        ("masked-relative", {"linux.maskedPaths": [5]}, "linux.maskedPaths[0]"),
        ("version-absent", {"ociVersion": None}, "ociVersion"),
        ("version-future", {"ociVersion": "9.0.0"}, "ociVersion"),
        ("oom-score", {"process.oomScoreAdj": 1001}, "process.oomScoreAdj")):
    case(CASES, f"config/refused/{each}", value, member)(wrong)


def broken_config(box, text):
    bundle = box.bundle()
    path = os.path.join(bundle, "config.json")
    if text is None:
        os.remove(path)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    result = box.refused({}, "config.json", bundle=bundle)
    true("status", result.status in (1, 125))


for each, value in {"missing": None, "empty": "", "cut": '{"ociVersion": "1.0.2", "process": {',
                    "no-object": "[]", "binary": "\x00\x01\x02", "deep": "[" * 100000}.items():
    case(CASES, f"config/broken/{each}", value)(broken_config)


@case(CASES, "config/unknown-members")
def unknown_members(box):
    """The specification: ignored."""
    box.see(["ids"], {"extension": {"a": 1}, "process.extension": True, "linux.extension": [1],
                      "linux.resources.extension": 1})


@case(CASES, "config/is-a-folder")
def config_is_folder(box):
    bundle = box.bundle()
    path = os.path.join(bundle, "config.json")
    os.remove(path)
    os.mkdir(path)
    box.refused({}, "config.json", bundle=bundle)


@case(CASES, "config/is-a-fifo")
def config_is_fifo(box):
    bundle = box.bundle()
    path = os.path.join(bundle, "config.json")
    os.remove(path)
    os.mkfifo(path)
    true("a fifo was made", stat.S_ISFIFO(os.stat(path).st_mode))
    if box.runtime.name != "run0":
        raise Skip("runc and crun wait for ever")
    box.refused({}, "config.json", bundle=bundle)


@case(CASES, "process/exit-status")
def exit_status(box):
    for status in (0, 1, 42, 255):
        box.run([f"exit={status}"]).expect(status, "run")


@case(CASES, "process/killed-status")
def killed_status(box):
    # Without a PID namespace, as its first process takes no signal that it does not catch.
    kinds = [{"type": kind} for kind in ("mount", "ipc", "uts")]
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
        box.run([f"raise={int(number)}"], {"linux.namespaces": kinds}).expect(128 + number, "run")


@case(CASES, "process/stdio")
def stdio(box):
    result = box.run(["stdin", "fds"], stdin="to the container")
    equal("standard input", result.expect(0, "run").seen["stdin"], "to the container")


@case(CASES, "process/user-in-user-namespace")
def user_in_userns(box):
    seen = box.see(["ids", "umask"], {**USER, "process.user": {
        "uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o77}})
    equal("ids", [seen["ids"][k] for k in ("uid", "gid")], [5, 6])
    has("groups", seen["ids"]["groups"], 7)
    equal("umask", seen["umask"], 0o77)
