# SPDX-License-Identifier: Apache-2.0
"""Cases: verbs, their options, outputs and exit statuses."""
import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
import time

from cases_isolation import namespaces
from cases_process import CAP
from harness import case, equal, has, lacks, true, wait_until

CASES = []


# --- from create to delete

@case(CASES, "lifecycle/states")
def states(box):
    container = box.create(["trap=15", "out=/out/seen", "ids", "wait"], {"annotations": {"a": "b"}})
    state = container.state()
    equal("status", state["status"], "created")
    equal("id", state["id"], container.id)
    equal("pid", state["pid"], container.pid)
    equal("bundle", state["bundle"], container.bundle)
    equal("annotations", state["annotations"], {"a": "b"})
    has("ociVersion", state["ociVersion"], "1.")
    true("it runs before start", not os.path.exists(os.path.join(container.bundle, "rootfs/out/seen")))
    container.start()
    container.output()
    equal("status", container.status(), "running")
    container.kill("TERM")
    equal("exit status", container.wait(), 115)
    state = container.state()
    equal("status", state["status"], "stopped")
    equal("pid", state.get("pid", 0), 0)
    container.delete()
    true("state is told after delete", container.call("state").status != 0)


@case(CASES, "lifecycle/config-is-read-once")
def config_once(box):
    """What is in config.json after create does not matter."""
    container = box.create(["out=/out/seen", "label=first"])
    with open(os.path.join(container.bundle, "config.json"), "w", encoding="ascii") as file:
        file.write("{}")
    container.start()
    has("output", container.output(), "label=first")
    container.wait()
    container.delete()


@case(CASES, "create/pid-file")
def pid_file(box):
    container = box.create()
    with open(os.path.join(box.dir, f"{container.id}.pid"), encoding="ascii") as file:
        text = file.read()
    equal("pid file", text, str(container.state()["pid"]))
    true("no such process", os.path.isdir(f"/proc/{text}"))


@case(CASES, "create/bundle-is-default-folder")
def default_bundle(box):
    container = box.container(box.bundle(["ids"]))
    box.runtime.call("run", container.id, cwd=container.bundle).expect(0, "run").seen["ids"]


@case(CASES, "create/equals-forms")
def equals_forms(box):
    bundle = box.bundle(["ids"])
    container = box.container(bundle)
    box.runtime.call("run", f"--bundle={bundle}", f"--pid-file={box.dir}/pid", "--detach=false",
                     container.id).expect(0, "run").seen["ids"]
    true("no pid file", os.path.getsize(f"{box.dir}/pid"))


@case(CASES, "create/same-id")
def same_id(box):
    container = box.create()
    before = container.state()
    result = box.try_create(box.container(box.bundle(), container.id))
    true("a second create succeeds", result.status != 0)
    has("the error", result.err, "exist")
    equal("state", container.state(), before)
    container.start()


@case(CASES, "create/same-id-at-once")
def same_id_at_once(box):
    """One of two wins, and the other leaves it alone."""
    container = box.container(box.bundle())
    command = box.runtime.command(["create", "--bundle", container.bundle, container.id])
    both = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL) for _ in range(2)]
    equal("successes", sorted(process.wait(30) == 0 for process in both), [False, True])
    equal("status", container.status(), "created")


def bad_id(box, name):
    bundle = box.bundle()
    states = lambda: sorted(os.listdir(box.runtime.root)) if os.path.isdir(box.runtime.root) else []
    before = states()
    container = box.container(bundle)
    container.id = name
    result = box.try_create(container)
    if result.status:
        box.containers.remove(container)
    true(f"the id {name!r} is taken", result.status != 0)
    equal("state", states(), before)


for each, value in {"empty": "", "slash": "a/b", "up": "..", "space": "a b", "dot": "."}.items():
    case(CASES, f"create/bad-id/{each}", value)(bad_id)


@case(CASES, "create/bundle-missing")
def bundle_missing(box):
    result = box.runtime.call("create", "--bundle", "/nothing/there", "x")
    equal("exit status", result.status, 1)


@case(CASES, "create/killed-before-start")
def killed_before_start(box):
    """start tells that it is dead; delete needs no force."""
    container = box.create()
    os.kill(container.pid, signal.SIGKILL)
    container.wait()
    equal("status", container.status(), "stopped")
    true("start succeeds", container.call("start").status != 0)
    container.delete()


@case(CASES, "create/preserve-fds")
def preserve_fds(box):
    reader, writer = os.pipe()
    with contextlib.ExitStack() as stack:
        for fd in (reader, writer):
            stack.callback(os.close, fd)
        # From 3 on: what the suite has open there is moved out of the way in the child.
        code = ("import os,sys; f=int(sys.argv[1]); os.dup2(f,3); os.dup2(f,4);"
                "os.execv(sys.argv[2], sys.argv[2:])")
        container = box.container(box.bundle(["fds"]))
        result = subprocess.run(
            ["/usr/bin/python3", "-S", "-c", code, str(writer), *box.runtime.command([
                "run", "--preserve-fds", "1", "--bundle", container.bundle, container.id])],
            pass_fds=[writer], capture_output=True, text=True, check=False)
    equal("exit status", result.returncode, 0)
    equal("descriptors", sorted(json.loads(result.stdout)["fds"]), ["0", "1", "2", "3"])


@case(CASES, "create/listen-fds")
def listen_fds(box):
    code = ("import os,sys,socket; s=socket.socket(); os.dup2(s.fileno(),3); os.set_inheritable(3, True);"
            "os.environ['LISTEN_FDS']='1'; os.environ['LISTEN_PID']=str(os.getpid());"
            "os.execv(sys.argv[1], sys.argv[1:])")
    container = box.container(box.bundle(["fds", "env", "ids"]))
    result = subprocess.run(["/usr/bin/python3", "-S", "-c", code, *box.runtime.command(
        ["run", "--bundle", container.bundle, container.id])], capture_output=True, text=True, check=False)
    equal("exit status", result.returncode, 0)
    seen = json.loads(result.stdout)
    has("environment", seen["env"], "LISTEN_FDS=1")
    has("environment", seen["env"], "LISTEN_PID=1")
    has("descriptor 3", seen["fds"]["3"], "socket:")


@case(CASES, "start/missing")
def start_missing(box):
    result = box.runtime.call("start", "nobody")
    equal("exit status", result.status, 1)
    true("nothing is said", result.err)


@case(CASES, "start/twice")
def start_twice(box):
    container = box.started()
    true("a second start succeeds", container.call("start").status != 0)
    equal("status", container.status(), "running")


@case(CASES, "start/stopped")
def start_stopped(box):
    container = box.started(["ids"])
    container.wait()
    true("start of a stopped container succeeds", container.call("start").status != 0)


@case(CASES, "start/program-missing")
def start_program_missing(box):
    """The error is told by create or by start, not by nobody."""
    container = box.container(box.bundle([], {"process.args": ["/nothing"]}))
    result = box.try_create(container)
    if result.status == 0:
        result = container.call("start")
    true("it starts", result.status != 0)
    has("the error", result.err, "/nothing")


@case(CASES, "run/detach")
def run_detach(box):
    container = box.container(box.bundle(["out=/out/seen", "ids", "wait"]))
    with open(os.devnull, "w", encoding="ascii") as null:
        box.runtime.call("run", "--detach", "--pid-file", f"{box.dir}/pid", "--bundle", container.bundle,
                         container.id, stdout=null, stderr=null).expect(0, "run")
    container.output()
    equal("status", container.status(), "running")
    with open(f"{box.dir}/pid", encoding="ascii") as file:
        equal("pid", int(file.read()), container.state()["pid"])


@case(CASES, "run/deletes")
def run_deletes(box):
    box.see(["ids"])
    true("state is left", box.containers[-1].call("state").status != 0)


@case(CASES, "run/keep")
def run_keep(box):
    container = box.container(box.bundle(["exit=3"]))
    box.runtime.call("run", "--keep", "--bundle", container.bundle, container.id).expect(3, "run")
    equal("status", container.status(), "stopped")
    container.delete()


@case(CASES, "run/forwards-signals")
def run_forwards(box):
    container = box.container(box.bundle(["trap=10", "trap=15", "out=/out/seen", "ids", "wait"]))
    with subprocess.Popen(box.runtime.command(["run", "--bundle", container.bundle, container.id]),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        container.output()
        process.send_signal(signal.SIGUSR1)
        equal("exit status", process.wait(10), 110)


@case(CASES, "run/killed-from-outside")
def run_killed(box):
    container = box.container(box.bundle(["out=/out/seen", "ids", "wait"]))
    with subprocess.Popen(box.runtime.command(["run", "--bundle", container.bundle, container.id]),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        container.output()
        container.kill("KILL")
        equal("exit status", process.wait(10), 137)


# --- kill

def kill_with(box, name):
    container = box.started(["trap=15", "trap=10", "out=/out/seen", "ids", "wait"])
    container.output()
    box.runtime.call("kill", container.id, *([name] if name else [])).expect(0, "kill")
    equal("exit status", container.wait(), 110 if "USR1" in (name or "") or name == "10" else 115)


for each in ("TERM", "SIGTERM", "15", "USR1", "SIGUSR1", "10"):
    case(CASES, f"kill/{each}", each)(kill_with)
case(CASES, "kill/default-is-term", None)(kill_with)


@case(CASES, "kill/unknown-signal")
def kill_unknown(box):
    container = box.started()
    for name in ("WISH", "0x9", "999", "-1"):
        true(f"{name} is a signal", box.runtime.call("kill", container.id, name).status != 0)
    equal("status", container.status(), "running")


@case(CASES, "kill/dead")
def kill_dead(box):
    container = box.started(["ids"])
    container.wait()
    result = box.runtime.call("kill", container.id, "KILL")
    equal("exit status", result.status, 1)
    true("nothing is said", result.err)


@case(CASES, "kill/missing")
def kill_missing(box):
    equal("exit status", box.runtime.call("kill", "nobody", "KILL").status, 1)


@case(CASES, "kill/created")
def kill_created(box):
    container = box.create()
    container.kill("KILL")
    equal("exit status", container.wait(), -9)
    equal("status", container.status(), "stopped")


@case(CASES, "kill/all")
def kill_all(box):
    """Without a PID namespace all processes of the cgroup get it, children too."""
    container = box.started(["out=/out/seen", "fork=3", "wait"], namespaces(pid=None))
    container.output()
    pids = json.loads(box.runtime.call("ps", "--format", "json", container.id).expect(0, "ps").out)
    equal("processes", len(pids), 4)
    box.runtime.call("kill", "--all", container.id, "KILL").expect(0, "kill")
    equal("exit status", container.wait(), -9)
    wait_until("the end of all", lambda: not any(alive(pid) for pid in pids))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- delete

@case(CASES, "delete/running")
def delete_running(box):
    container = box.started()
    result = container.call("delete")
    equal("exit status", result.status, 1)
    true("nothing is said", result.err)
    equal("status", container.status(), "running")


@case(CASES, "delete/created")
def delete_created(box):
    """The specification lets only a stopped container be deleted; runc deletes a created one."""
    container = box.create()
    result = container.call("delete")
    true("it is neither there nor deleted", (result.status == 0) == (container.call("state").status != 0))


@case(CASES, "delete/force-running")
def delete_force(box):
    container = box.started()
    container.call("delete", "--force").expect(0, "delete --force")
    equal("exit status", container.wait(), -9)
    true("state is left", container.call("state").status != 0)


@case(CASES, "delete/force-again")
def delete_force_again(box):
    """containerd does so after every success."""
    container = box.started(["ids"])
    container.wait()
    container.delete()
    container.call("delete", "--force").expect(0, "delete --force")
    box.runtime.call("delete", "--force", "nobody").expect(0, "delete --force")
    equal("exit status without --force", box.runtime.call("delete", "nobody").status, 1)


@case(CASES, "delete/force-short")
def delete_force_short(box):
    container = box.started()
    container.call("delete", "-f").expect(0, "delete -f")
    container.wait()


@case(CASES, "delete/children")
def delete_children(box):
    """What the container's process left in its cgroup goes, too."""
    container = box.started(["out=/out/seen", "fork=2", "wait"], namespaces(pid=None))
    container.output()
    pids = json.loads(box.runtime.call("ps", "--format", "json", container.id).expect(0, "ps").out)
    container.call("delete", "--force").expect(0, "delete --force")
    container.wait()
    wait_until("the end of all", lambda: not any(alive(pid) for pid in pids))


# --- exec

@case(CASES, "exec/joins")
def exec_joins(box):
    container = box.started(changes=namespaces(network=True, cgroup=True))
    seen = container.exec("namespaces", "ids", "read=/proc/self/cgroup").expect(0, "exec").seen
    for kind, number in seen["namespaces"].items():
        if kind != "time":
            equal(kind, number, os.stat(f"/proc/{container.pid}/ns/{kind}").st_ino)
    true("it is the first process", seen["ids"]["pid"] > 1)


@case(CASES, "exec/cgroup")
def exec_cgroup(box):
    container = box.started()
    seen = container.exec("read=/proc/self/cgroup").expect(0, "exec").seen
    with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file:
        equal("cgroup", seen["read=/proc/self/cgroup"], file.read())


@case(CASES, "exec/status")
def exec_status(box):
    container = box.started()
    for status in (0, 3, 255):
        container.exec(f"exit={status}").expect(status, "exec")
    container.exec("raise=15").expect(143, "exec")
    container.exec("raise=9").expect(137, "exec")


@case(CASES, "exec/program-missing")
def exec_missing(box):
    container = box.started()
    result = box.runtime.call("exec", container.id, "/nothing")
    true("it succeeds", result.status in (255, 127, 1))
    has("the error", result.err, "/nothing")
    equal("status", container.status(), "running")


@case(CASES, "exec/container-missing")
def exec_container_missing(box):
    true("it succeeds", box.runtime.call("exec", "nobody", "/probe").status in (1, 255))


@case(CASES, "exec/stopped")
def exec_stopped(box):
    container = box.started(["ids"])
    container.wait()
    true("it succeeds", container.exec("ids").status != 0)


@case(CASES, "exec/options")
def exec_options(box):
    bundle = box.bundle(["wait"], {"process.env": ["PATH=/", "OF=container"]})
    box.add(bundle, "srv")
    container = box.started(bundle=bundle)
    seen = container.exec("cwd", "env", "ids", "privileges", "caps", options=[
        "--cwd", "/srv", "--env", "A=1", "--env", "B=2", "--user", "31:32", "--no-new-privs", "--cap",
        "CAP_KILL"]).expect(0, "exec").seen
    equal("cwd", seen["cwd"], "/srv")
    for word in ("A=1", "B=2", "OF=container"):
        has("environment", seen["env"], word)
    equal("ids", (seen["ids"]["uid"], seen["ids"]["gid"]), (31, 32))
    equal("no_new_privs", seen["privileges"]["no_new_privs"], 1)
    true("the capability is not in the bounding set", seen["caps"]["bounding"] >> CAP["KILL"] & 1)


@case(CASES, "exec/additional-gids")
def exec_gids(box):
    container = box.started()
    seen = container.exec("ids", options=["--additional-gids", "41", "--additional-gids", "42"]).expect(0, "exec").seen
    equal("groups", sorted(set(seen["ids"]["groups"]) - {0}), [41, 42])


@case(CASES, "exec/short-options")
def exec_short(box):
    container = box.started()
    seen = container.exec("env", "ids", "caps", options=[
        "-e", "A=1", "-e", "B=2", "-u", "31:32", "-c", "CAP_KILL", "-g", "41"]).expect(0, "exec").seen
    for word in ("A=1", "B=2"):
        has("environment", seen["env"], word)
    equal("ids", (seen["ids"]["uid"], seen["ids"]["gid"]), (31, 32))
    has("groups", seen["ids"]["groups"], 41)
    true("the capability is not in the bounding set", seen["caps"]["bounding"] >> CAP["KILL"] & 1)


@case(CASES, "exec/process-umask")
def exec_umask(box):
    container = box.started()
    path = os.path.join(box.dir, "process.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"args": ["/probe", "umask"], "cwd": "/", "user": {"uid": 5, "gid": 6, "umask": 7}}, file)
    equal("umask", box.runtime.call("exec", "--process", path, container.id).expect(0, "exec").seen["umask"], 7)


@case(CASES, "exec/cwd-outside")
def exec_cwd_outside(box):
    """CVE-2024-21626, by exec."""
    container = box.started()
    for fd in range(3, 12):
        result = container.exec("cwd", "list=.", "list=/", options=["--cwd", f"/proc/self/fd/{fd}"])
        if result.status == 0:
            equal("cwd", result.seen["cwd"], "/")
            equal("what is there", result.seen["list=."], result.seen["list=/"])


@case(CASES, "exec/process-file")
def exec_process(box):
    container = box.started()
    path = os.path.join(box.dir, "process.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"args": ["/probe", "ids", "cwd", "caps", "rlimits", "env"], "cwd": "/tmp",
                   "env": ["PATH=/", "X=y"],
                   "user": {"uid": 5, "gid": 6, "additionalGids": [7]},
                   "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 111}],
                   "capabilities": {"bounding": ["CAP_KILL"]}}, file)
    seen = box.runtime.call("exec", "--process", path, container.id).expect(0, "exec").seen
    equal("ids", (seen["ids"]["uid"], seen["ids"]["gid"]), (5, 6))
    has("groups", seen["ids"]["groups"], 7)
    equal("cwd", seen["cwd"], "/tmp")
    has("environment", seen["env"], "X=y")
    lacks("environment", " ".join(seen["env"]), "OF=")
    equal("rlimit", seen["rlimits"]["NOFILE"], [99, 111])
    equal("bounding", seen["caps"]["bounding"], 1 << CAP["KILL"])


@case(CASES, "exec/process-file-wrong")
def exec_process_wrong(box):
    container = box.started()
    path = os.path.join(box.dir, "process.json")
    for text in ("", "[]", '{"cwd": "/"}', '{"cwd": "x", "args": ["/probe"]}'):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        true(f"it takes {text!r}", box.runtime.call("exec", "--process", path, container.id).status != 0)


@case(CASES, "exec/detach")
def exec_detach(box):
    container = box.started()
    pid_path = os.path.join(box.dir, "exec.pid")
    result = container.exec("trap=15", "out=/out/exec", "ids", "wait", options=[
        "--detach", "--pid-file", pid_path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    result.expect(0, "exec")
    container.output("exec")
    with open(pid_path, encoding="ascii") as file:
        pid = int(file.read())
    os.kill(pid, signal.SIGTERM)
    status = wait_until("its end", lambda: box.reaped(pid))
    equal("exit status", os.waitstatus_to_exitcode(status[0]), 115)


@case(CASES, "exec/preserve-fds")
def exec_preserve(box):
    container = box.started()
    code = ("import os,sys; os.dup2(1,3); os.dup2(1,4); os.execv(sys.argv[1], sys.argv[1:])")
    result = subprocess.run(["/usr/bin/python3", "-S", "-c", code, *box.runtime.command(
        ["exec", "--preserve-fds", "1", container.id, "/probe", "fds"])], capture_output=True, text=True,
        check=False)
    equal("exit status", result.returncode, 0)
    equal("descriptors", sorted(json.loads(result.stdout)["fds"]), ["0", "1", "2", "3"])


@case(CASES, "exec/no-descriptors")
def exec_descriptors(box):
    container = box.started()
    equal("descriptors", sorted(container.exec("fds").expect(0, "exec").seen["fds"]), ["0", "1", "2"])


@case(CASES, "exec/stdin")
def exec_stdin(box):
    container = box.started()
    result = box.runtime.call("exec", container.id, "/probe", "stdin", stdin="hello")
    equal("standard input", result.expect(0, "exec").seen["stdin"], "hello")


@case(CASES, "exec/caps-like-container")
def exec_caps(box):
    """No more capabilities than the container's process has."""
    sets = {name: ["CAP_KILL"] for name in ("bounding", "permitted", "effective")}
    container = box.started(changes={"process.capabilities": sets})
    seen = container.exec("caps").expect(0, "exec").seen["caps"]
    equal("sets", (seen["bounding"], seen["effective"]), (1 << CAP["KILL"],) * 2)


@case(CASES, "exec/arguments-with-dashes")
def exec_dashes(box):
    """What comes after the id is the command's."""
    container = box.started()
    result = box.runtime.call("exec", container.id, "/probe", "args", "label=--tty", "label=-d")
    equal("arguments", result.expect(0, "exec").seen["args"][2:], ["label=--tty", "label=-d"])


# --- list, features, spec, and the rest

@case(CASES, "list/formats")
def list_formats(box):
    first, second = box.started(), box.create()
    rows = {row["id"]: row for row in json.loads(
        box.runtime.call("list", "--format", "json").expect(0, "list").out)}
    equal("ids", sorted(rows), sorted([first.id, second.id]))
    equal("pid", rows[first.id]["pid"], first.pid)
    equal("status", (rows[first.id]["status"], rows[second.id]["status"]), ("running", "created"))
    equal("bundle", rows[first.id]["bundle"], first.bundle)
    true("no time", rows[first.id]["created"].startswith("20"))
    table = box.runtime.call("list").expect(0, "list").out.splitlines()
    has("table's header", table[0], "PID")
    has("table's header", table[0], "STATUS")
    equal("rows", len(table), 3)
    quiet = box.runtime.call("list", "-q").expect(0, "list").out.split()
    equal("ids", sorted(quiet), sorted([first.id, second.id]))


@case(CASES, "list/empty")
def list_empty(box):
    out = box.runtime.call("list", "--format", "json", root=os.path.join(box.dir, "empty")).expect(0, "list").out
    true(f"it prints {out!r}", json.loads(out or "null") in (None, []))


@case(CASES, "list/other-root")
def list_other_root(box):
    container = box.started()
    other = os.path.join(box.dir, "other")
    true("it is found below another --root", box.runtime.call("state", container.id, root=other).status != 0)


@case(CASES, "features")
def features(box):
    told = json.loads(box.runtime.call("features").expect(0, "features").out)
    for name in ("ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux"):
        has("document", told, name)
    equal("hooks", sorted(told["hooks"]), sorted(["prestart", "createRuntime", "createContainer",
                                                  "startContainer", "poststart", "poststop"]))
    for option in ("ro", "rbind", "rro", "nosymfollow", "tmpcopyup"):
        has("mountOptions", told["mountOptions"], option)
    for kind in ("user", "pid", "network", "mount", "ipc", "uts", "cgroup"):
        has("namespaces", told["linux"]["namespaces"], kind)
    has("capabilities", told["linux"]["capabilities"], "CAP_CHOWN")
    true("no seccomp", told["linux"]["seccomp"]["enabled"])
    has("actions", told["linux"]["seccomp"]["actions"], "SCMP_ACT_ERRNO")


@case(CASES, "spec/runs")
def spec_runs(box):
    """What `spec` writes is a configuration that works."""
    bundle = box.bundle()
    path = os.path.join(bundle, "config.json")
    os.remove(path)
    box.runtime.call("spec", "--bundle", bundle).expect(0, "spec")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    equal("terminal", config["process"]["terminal"], True)
    config["process"].update(terminal=False, args=["/probe", "ids", "caps", "access=/out", "mounts"])
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    seen = box.see([], bundle=bundle)
    equal("access of the root", seen["access=/out"]["write"], "EROFS")
    true("it has all capabilities", not seen["caps"]["bounding"] >> CAP["SYS_ADMIN"] & 1)
    targets = [row["target"] for row in seen["mounts"]]
    for target in ("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"):
        has("mounts", targets, target)


@case(CASES, "spec/there-already")
def spec_there(box):
    bundle = box.bundle()
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        before = file.read()
    true("it is written over", box.runtime.call("spec", "--bundle", bundle).status != 0)
    with open(path, encoding="utf-8") as file:
        equal("config.json", file.read(), before)


@case(CASES, "spec/rootless")
def spec_rootless(box):
    bundle = os.path.join(box.dir, "rootless")
    os.mkdir(bundle)
    box.runtime.call("spec", "--rootless", "--bundle", bundle).expect(0, "spec")
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    has("namespaces", [row["type"] for row in config["linux"]["namespaces"]], "user")
    true("no mappings", config["linux"]["uidMappings"] and config["linux"]["gidMappings"])


@case(CASES, "log/json")
def log_json(box):
    """containerd reads the last error there."""
    log = os.path.join(box.dir, "log.json")
    result = box.runtime.call("--log", log, "--log-format", "json", "start", "nobody")
    equal("exit status", result.status, 1)
    with open(log, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    equal("level", lines[-1]["level"], "error")
    true("no message", lines[-1]["msg"])
    true("no time", lines[-1]["time"])


@case(CASES, "log/text")
def log_text(box):
    log = os.path.join(box.dir, "log")
    box.runtime.call("--log", log, "start", "nobody")
    with open(log, encoding="utf-8") as file:
        true("the log is empty", file.read())


@case(CASES, "log/appends")
def log_appends(box):
    log = os.path.join(box.dir, "log")
    for _ in range(2):
        box.runtime.call("--log", log, "--log-format", "json", "start", "nobody")
    with open(log, encoding="utf-8") as file:
        equal("errors", len([line for line in file if json.loads(line)["level"] == "error"]), 2)


@case(CASES, "cli/version")
def version(box):
    lines = box.runtime.call("--version").expect(0, "--version").out.splitlines()
    true(f"it begins with {lines[0]!r}", lines[0].startswith(f"{box.runtime.name} version "))
    true("no version of the specification", any(line.startswith("spec: 1.") for line in lines))


def usage(box, *words):
    result = box.runtime.call(*words)
    true("it succeeds", result.status != 0)
    true("nothing is said", result.err + result.out)


for each, value in {"verb": ("dance",), "option": ("state", "--dance", "x"), "no-id": ("state",),
                    "too-many": ("state", "a", "b")}.items():
    case(CASES, f"cli/wrong/{each}", *value)(usage)


@case(CASES, "cli/help")
def show_help(box):
    out = box.runtime.call("--help").expect(0, "--help").out
    for verb in ("create", "start", "run", "state", "kill", "delete", "exec", "ps", "list", "pause",
                 "resume", "update", "spec"):
        has("help", out, verb)


@case(CASES, "events/until-the-end")
def events_until_end(box):
    """Lines at each interval, and an end with the container's."""
    container = box.started()
    with subprocess.Popen(box.runtime.command(["events", "--interval", "100ms", container.id]),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as process:
        killer = threading.Timer(10, process.kill)
        killer.start()
        lines = [json.loads(process.stdout.readline() or "null") for _ in range(2)]
        os.kill(container.pid, signal.SIGKILL)
        # Also the end must be seen by a runtime whose container is a zombie for a while.
        time.sleep(0.05)
        os.waitpid(container.pid, 0)
        box.ended[container.pid] = 9
        status = process.wait(15)
        killer.cancel()
    equal("types", [line and line["type"] for line in lines], ["stats", "stats"])
    equal("exit status", status, 0)


@case(CASES, "state/folder-is-private")
def state_private(box):
    box.started()
    equal("mode of the state's folder", stat.S_IMODE(os.stat(box.runtime.root).st_mode) & 0o077 & ~0o11, 0)
