# SPDX-License-Identifier: Apache-2.0
"""Attacks on the runtime's own processes, program, descriptors and files."""
import fcntl
import json
import os
import pty
import shutil
import subprocess
import termios
import time

from escape_box import ALL_CAPABILITIES, caps, contents, mapping, namespaces
from harness import Failed, Result, Skip, case, equal, has, lacks, short, true, wait_until

CASES = []
LOADER = "/lib64/ld-linux-x86-64.so.2"
FDS = range(3, 24)
SPY_MS = 1200


# The runtime's program (CVE-2019-5736).

def image_of_overwriter(box, bundle):
    box.add(bundle, "/lib64")
    shutil.copy(os.path.join(box.suite.helpers, "oci-attack-loader"), box.rootfs(bundle, LOADER))


def detached(box, runtime, *args):
    """Calls it so that it ends before the container's program does; what that one printed."""
    path = os.path.join(box.dir, f"detached{time.monotonic_ns()}")
    with open(path, "w", encoding="utf-8") as out:
        result = runtime.call(*args, stdout=out, stderr=out)

    def whole():
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read().strip()
        return text if text.endswith("}") or result.status else None
    return wait_until("the end of the attack", whole)


def by_script(box, runtime, link=False):
    bundle = box.bundle([], {"process.args": ["/evil"]})
    image_of_overwriter(box, bundle)
    if link:
        box.replace(bundle, "/evil", target="/proc/self/exe")
    else:
        os.chmod(box.add(bundle, "/evil", "#!/proc/self/exe\n"), 0o755)
    container = box.container(bundle)
    return detached(box, runtime, "run", "--detach", "--bundle", bundle, container.id)


def by_exec(box, runtime):
    bundle = box.bundle(["wait"])
    image_of_overwriter(box, bundle)
    box.replace(bundle, "/bin/sh", target="/proc/self/exe")
    container = box.container(bundle)
    box.detach(container, runtime)
    return detached(box, runtime, "exec", "--detach", container.id, "/bin/sh")


def by_holding(box, runtime):
    """With CAP_SYS_PTRACE it can reach what is not dumpable, too."""
    attack, container = box.background([f"hold={SPY_MS},2000"], caps("CAP_SYS_PTRACE"), runtime=runtime)
    end = time.monotonic() + SPY_MS / 1000
    while time.monotonic() < end:
        runtime.call("exec", container.id, "/attack", "cwd")
        if attack.has_ended():
            break
    return attack.result()


def overwrite(box, how, *more):
    runtime, program = box.copied_runtime("protected")
    before = contents(program)
    said = how(box, runtime, *more)
    equal("the runtime's program is what it was", contents(program) == before, True)
    lacks("the attack", said, '"ok"')
    true(f"the attack never came so far: {short(said)}", "unseen" not in said)
    if box.runtime.name != "run0":
        return
    runtime, program = box.copied_runtime("unprotected", protected=False)
    before = contents(program)
    said = how(box, runtime, *more)
    true(f"without protection the attack fails all the same: {short(said)}", contents(program) != before)


case(CASES, "exe/script", by_script)(overwrite)
case(CASES, "exe/link", by_script, True)(overwrite)
case(CASES, "exe/exec-link", by_exec)(overwrite)
case(CASES, "exe/hold", by_holding)(overwrite)


# Descriptors that lead out (CVE-2024-21626).

def folder_of_host(box):
    fd = os.open(box.dir, os.O_RDONLY | os.O_DIRECTORY)
    box.stack.callback(os.close, fd)
    return fd


@case(CASES, "fds/none")
def no_descriptors(box):
    fd = folder_of_host(box)
    equal("descriptors", box.attack(["fds"], pass_fds=(fd,))[0], "0 1 2")
    container = box.container(box.bundle(["wait"]))
    box.detach(container)
    result = box.runtime.call("exec", container.id, "/attack", "fds", pass_fds=(fd,))
    has("descriptors of exec", result.expect(0, "exec").out, '"0 1 2"')


def inside_or_refused(what, result):
    """A working folder outside of the root has no path from it."""
    if result.status == 0:
        cwd = json.loads(result.out)["cwd"]
        true(f"{what} is outside of the root: {cwd}", cwd.startswith("/") and "unreachable" not in cwd)


@case(CASES, "fds/cwd")
def working_folders(box):
    """The runtime's descriptors as the working folder: of create and, in exec, of each kind."""
    fd = folder_of_host(box)
    for number in FDS:
        bundle = box.bundle(["cwd"], {"process.cwd": f"/proc/self/fd/{number}"})
        inside_or_refused(f"fd {number}", box.run([], bundle=bundle, pass_fds=(fd,)))
    container = box.container(box.bundle(["cwd"], {"process.cwd": "/proc/self/fd/3"}))
    inside_or_refused("a folder that the caller hands on", handing_on(box, container))


def handing_on(box, container):
    """A run whose caller gives the container a folder of the host as descriptor 3."""
    command = box.runtime.command(["run", "--preserve-fds", "1", "--bundle", container.bundle, container.id])
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" 3<"$0"', box.dir, *command], text=True, timeout=20,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


@case(CASES, "fds/exec-cwd")
def working_folders_of_exec(box):
    fd = folder_of_host(box)
    container = box.container(box.bundle(["wait"]))
    box.detach(container)
    for number in FDS:
        result = box.runtime.call("exec", "--cwd", f"/proc/self/fd/{number}", container.id, "/attack", "cwd",
                                  pass_fds=(fd,))
        inside_or_refused(f"exec, fd {number}", result)


@case(CASES, "fds/args0")
def programs_by_descriptor(box):
    """A program of the host, found through a folder that the runtime has open, or is handed."""
    fd = folder_of_host(box)
    program = shutil.copy(box.suite.probe, os.path.join(box.dir, "outside"))
    up = "../" * 12
    container = box.container(box.bundle(["wait"]))
    box.detach(container)
    for number in FDS:
        for way in (f"/proc/self/fd/{number}/{up}{program}", f"/proc/self/fd/{number}/outside"):
            lacks("run", box.run([], {"process.args": [way, "cwd"]}, pass_fds=(fd,)).out, "cwd")
            lacks("exec", box.runtime.call("exec", container.id, way, "cwd", pass_fds=(fd,)).out, "cwd")
    container = box.container(box.bundle([], {"process.args": ["/proc/self/fd/3/outside", "cwd"]}))
    has("with a folder that the caller hands on the attack", handing_on(box, container).out, "cwd")


# Looking into the runtime's processes.

def spied(container, attack, how):
    """What the program could do to the runtime's processes that `how` brings under its eyes."""
    end = time.monotonic() + SPY_MS / 1000 + 0.2
    while time.monotonic() < end and not attack.has_ended():
        how()
    return attack.result()


def exec_into(box, container):
    return lambda: box.runtime.call("exec", container.id, "/attack", "cwd")


NOTHING = "files 0 traced 0 memory 0 folders 0"


@case(CASES, "ptrace/exec")
def spy_on_exec(box):
    attack, container = box.background([f"spy={SPY_MS}"])
    equal("access to exec", spied(container, attack, exec_into(box, container)), NOTHING)
    attack, container = box.background([f"spy={SPY_MS}"], caps("CAP_SYS_PTRACE"))
    said = spied(container, attack, exec_into(box, container))
    true(f"even with CAP_SYS_PTRACE nothing is seen: {said}", "files 1" in said)


@case(CASES, "ptrace/user-namespace")
def spy_in_user_namespace(box):
    """All capabilities, but over a namespace that the runtime's memory is not of."""
    changes = {**mapping(100000), **{f"process.capabilities.{kind}": ALL_CAPABILITIES
                                     for kind in ("bounding", "effective", "permitted")}}
    box.open_to_all(changes)
    attack, container = box.background([f"spy={SPY_MS}"], changes)
    equal("access to exec", spied(container, attack, exec_into(box, container)), NOTHING)


def joining(container, changes, box):
    """Makes containers in the PID namespace of another one."""
    pid = container.state()["pid"]
    paths = {kind: f"/proc/{pid}/ns/{kind}" for kind in changes.pop("joined")}
    more = changes.pop("more", {})
    config = {**changes, **namespaces(**paths, **more)}

    def make():
        # The namespace ends with the attack, and what has joined it.
        if box.run(["cwd"], config).status == 0:
            made.append(True)
    made = []
    return make, made


@case(CASES, "ptrace/create")
def spy_on_create(box):
    attack, container = box.background([f"spy={SPY_MS}"])
    how, made = joining(container, {"joined": ["pid"]}, box)
    equal("access to create", spied(container, attack, how), NOTHING)
    true("no container could join", made)


@case(CASES, "ptrace/time-namespace")
def spy_on_time(box):
    """Of a neighbour in the same user namespace, whose time is set by a file of its /proc."""
    box.only_run0("others have no time namespaces, or another way to them")
    if not os.path.exists("/proc/self/ns/time"):
        raise Skip("this kernel has no time namespaces")
    changes = {**mapping(100000), **{f"process.capabilities.{kind}": ALL_CAPABILITIES
                                     for kind in ("bounding", "effective", "permitted")}}
    box.open_to_all(changes)
    attack, container = box.background([f"spy={SPY_MS}"], changes)
    how, made = joining(container, {**changes, "joined": ["pid", "user"], "more": {"time": True},
                                    "linux.timeOffsets": {"boottime": {"secs": 5}}}, box)
    equal("access to create", spied(container, attack, how), NOTHING)
    true("no container could join", made)


# The caller's terminal and keyring.

def in_session_of(terminal):
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def type_into(terminal, command):
    """What a command says whose terminal it is."""
    # pylint: disable=subprocess-popen-preexec-fn
    done = subprocess.run(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: in_session_of(terminal), timeout=20, check=False)
    if done.returncode:
        raise Failed(f"it does not run: {short(done.stderr)}")
    return done.stdout


@case(CASES, "terminal/tiocsti")
def typing(box):
    """A process with the caller's terminal as its stdin types a command for the caller's shell."""
    primary, terminal = pty.openpty()
    box.stack.callback(os.close, primary)
    box.stack.callback(os.close, terminal)
    outside = type_into(terminal, ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin",
                                   box.suite.probe, "tiocsti=0"])
    if '"ok"' not in outside:
        raise Skip("this kernel lets nobody type into a terminal")
    container = box.container(box.bundle(["tiocsti=0"]))
    inside = type_into(terminal, box.runtime.command(["run", "--bundle", container.bundle, container.id]))
    lacks("the container", inside, '"ok"')


SYS_ADD_KEY, SYS_KEYCTL, JOIN_SESSION_KEYRING, SESSION_KEYRING = 248, 250, 1, -3


@case(CASES, "keyring/session")
def keyring(box):
    """The caller's session keyring, and what is in it."""
    libc = box.libc
    if libc.syscall(SYS_KEYCTL, JOIN_SESSION_KEYRING, None) < 0:
        raise Skip("no session keyring can be made")
    if libc.syscall(SYS_ADD_KEY, b"user", b"escape-key", b"secret", 6, SESSION_KEYRING) < 0:
        raise Skip("no key can be added")
    box.fails(["key=escape-key"], ["ENOKEY"])
    box.fails(["key=escape-key"], ["ok secret"], options=["--no-new-keyring"])


# Names and folders of the runtime.

@case(CASES, "names/id")
def ids(box):
    """An id is the name of a folder in the state root. Never tried on other runtimes: crun 1.8.1 takes
    a path for an id, and removes what is there."""
    box.only_run0("others may remove what such an id leads to")
    folder, untouched = box.victim()
    for name in ("../victim", "..", ".", "", "a/../../victim", "/nowhere/x", "a/b", folder,
                 "x" * 300, "a\nb"):
        container = box.container(box.bundle(["cwd"]), name)
        result = box.runtime.call("run", "--bundle", container.bundle, name)
        true(f"the id '{name[:20]}' is taken", result.status != 0)
        lacks("the output", result.out, "cwd")
        box.containers.remove(container)
        for verb in (["state"], ["kill"], ["start"], ["delete"], ["delete", "--force"]):
            true(f"{verb} takes the id '{name[:20]}'", box.runtime.call(*verb, name).status != 0)
        untouched()


@case(CASES, "names/bundle-link")
def bundle_link(box):
    """A bundle by a link that is exchanged later: all verbs keep to what was there at create."""
    first, second = box.bundle(["wait"]), box.bundle(["wait"])
    link = os.path.join(box.dir, "link")
    os.symlink(first, link)
    container = box.container(link)
    box.detach(container)
    os.unlink(link)
    os.symlink(second, link)
    state = container.state()
    equal("the bundle", state["bundle"], first)
    equal("the root", os.path.samestat(os.stat(f"/proc/{state['pid']}/root/attack"),
                                       os.stat(box.rootfs(first, "attack"))), True)


@case(CASES, "names/rootfs-link")
def rootfs_link(box):
    """A root that is a link is that folder; what is mounted stays below it."""
    bundle = box.bundle(["read=/proc/self/comm", "list=/tmp"])
    real = os.path.join(box.dir, "elsewhere")
    os.rename(box.rootfs(bundle), real)
    os.symlink(real, box.rootfs(bundle).rstrip("/"))
    result = box.run([], bundle=bundle)
    if result.status == 0:
        equal("/tmp", json.loads(result.out)["list=/tmp"], "0")
    equal("mounts of the host", real in contents("/proc/self/mountinfo").decode(), False)


def remove(path):
    if os.path.islink(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)


@case(CASES, "state/others")
def state_of_others(box):
    """A state root that others may write to, or own."""
    box.only_run0("others trust the folder")
    root = os.path.join(box.dir, "root")
    os.mkdir(root)
    for mode, owner in ((0o777, 0), (0o1777, 0), (0o700, 65534)):
        os.chmod(root, mode)
        os.chown(root, owner, owner)
        container = box.container(box.bundle(["cwd"]))
        for args in (["run", "--bundle", container.bundle], ["state"], ["delete", "--force"], ["kill"]):
            result = box.runtime.call(*args, container.id, root=root)
            true(f"{args[0]} trusts a folder of mode {mode:o}, owner {owner}", result.status != 0)
            has("the error", result.err, "state root")
        equal("what is in it", os.listdir(root), [])


@case(CASES, "state/planted")
def planted_state(box):
    """Links in the state root that lead to a folder with another's files, or to a state of his."""
    box.only_run0("others follow them")
    folder, untouched = box.victim()
    container = box.container(box.bundle(["wait"]), "real")
    box.detach(container)
    link = os.path.join(box.runtime.root, "planted")
    os.symlink(folder, link)
    box.stack.callback(remove, link)
    for args in (["state"], ["kill"], ["delete"], ["start"], ["run", "--bundle", container.bundle]):
        result = box.runtime.call(*args, "planted")
        true(f"{args[0]} follows the link", result.status != 0)
    box.runtime.call("delete", "--force", "planted")
    untouched()
    true("the link was removed", os.path.islink(link))
