# SPDX-License-Identifier: Apache-2.0
"""What the cases of the behaviour suite are made with: a runtime driven through its command line,
bundles, containers, and the host's side of both (namespaces, cgroups, console sockets).

A container is looked at from inside by the program `probe`, the only one in its root file system.
"""
import array
import contextlib
import copy
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_CHILD_SUBREAPER = 36
CLONE = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
         "user": 0x10000000, "pid": 0x20000000, "network": 0x40000000, "time": 0x80}
# A namespace's name in the configuration, and below /proc/PID/ns.
NS_FILE = {"user": "user", "pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc",
           "uts": "uts", "cgroup": "cgroup", "time": "time"}
# Of this run alone: another may be going on.
CGROUP_PARENT = f"oci-behaviour-{os.getpid()}"
CALL_TIMEOUT_S = 30

BASE = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["/probe"],
        "env": ["PATH=/"],
        "cwd": "/",
        "capabilities": {},
    },
    "root": {"path": "rootfs"},
    "hostname": "behaviour",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "mode=755", "size=64k"]},
    ],
    "linux": {
        "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
    },
}


class Skip(Exception):
    """This machine cannot do what the case needs."""


class Failed(Exception):
    """The runtime did not do what the case asserts."""


def equal(what, got, want):
    if got != want:
        raise Failed(f"{what} is {short(got)}, not {short(want)}")


def has(what, whole, part):
    if part not in whole:
        raise Failed(f"{what} has no {short(part)}: {short(whole)}")


def lacks(what, whole, part):
    if part in whole:
        raise Failed(f"{what} has {short(part)}: {short(whole)}")


def true(what, value):
    if not value:
        raise Failed(what)


def short(value):
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "..."


def wait_until(what, condition, seconds=10.0):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(0.005)


def changed(config, changes):
    """Sets members by their paths: {"process.user.uid": 5}. A "+" at the end of a path adds the items
    to the list there; None removes the member."""
    config = copy.deepcopy(config)
    for path, value in changes.items():
        *parents, last = path.rstrip("+").split(".")
        at = config
        for name in parents:
            at = at.setdefault(name, {})
        if path.endswith("+"):
            at[last] = at.get(last, []) + value
        elif value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return config


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def expect(self, status, what):
        if self.status != status:
            raise Failed(f"{what} exits with {self.status} instead of {status}: "
                         f"{short(self.err or self.out) or 'and says nothing'}")
        return self

    @property
    def seen(self):
        """What probe told."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failed(f"no JSON from the probe: {short(self.out)} {short(self.err)}") from None


class Runtime:
    def __init__(self, path, root):
        self.path, self.root = path, root
        first = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        self.name, _, self.version = first.split("\n")[0].partition(" version ")

    def command(self, args, root=None):
        return [self.path, "--root", root or self.root, *map(str, args)]

    def call(self, *args, root=None, stdin=None, timeout=CALL_TIMEOUT_S, **popen):
        """Runs it to its end. `stdin` is text."""
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        popen["stdin"] = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        with subprocess.Popen(self.command(args, root), text=True, **popen) as process:
            try:
                out, err = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Failed(f"{args[0]} takes longer than {timeout} s") from None
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
        return Result(status, out or "", err or "")


class Cgroups:
    """The host's hierarchy: v2, or v1 (also beside a v2 one: hybrid)."""

    def __init__(self):
        self.v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        if self.v2:
            with open("/sys/fs/cgroup/cgroup.controllers", encoding="ascii") as file:
                self.controllers = file.read().split()
        else:
            self.controllers = sorted(os.listdir("/sys/fs/cgroup"))

    def need(self, controller):
        if controller not in self.controllers:
            raise Skip(f"no cgroup controller {controller} here")

    def folder(self, pid, controller):
        """The cgroup of a process, as a folder of the host."""
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        for _, names, path in lines:
            if self.v2 and not names:
                return "/sys/fs/cgroup" + path
            if not self.v2 and controller in names.split(","):
                return f"/sys/fs/cgroup/{controller}{path}"
        raise Failed(f"process {pid} is in no cgroup of {controller}: {lines}")

    def read(self, pid, controller, v1, v2):
        name = v2 if self.v2 else v1
        with open(os.path.join(self.folder(pid, controller), name), encoding="ascii") as file:
            return file.read().strip()

    def folders(self):
        """Those that containers of the suite have now."""
        found = []
        tops = [""] if self.v2 else self.controllers
        for top in tops:
            parent = os.path.join("/sys/fs/cgroup", top, CGROUP_PARENT)
            if os.path.isdir(parent):
                found += [e.path for e in os.scandir(parent) if e.is_dir()]
        return found

    def remove_parents(self):
        for top in [""] if self.v2 else self.controllers:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join("/sys/fs/cgroup", top, CGROUP_PARENT))


class Container:
    def __init__(self, box, name, bundle):
        self.box, self.id, self.bundle = box, name, bundle
        self.pid = None

    def call(self, verb, *args, **options):
        return self.box.runtime.call(verb, *args, self.id, **options)

    def start(self):
        self.call("start").expect(0, "start")
        return self

    def state(self):
        return json.loads(self.call("state").expect(0, "state").out)

    def status(self):
        return self.state()["status"]

    def kill(self, signal_name="KILL"):
        self.box.runtime.call("kill", self.id, signal_name).expect(0, "kill")

    def wait(self, seconds=10):
        """Its exit status. The suite is the reaper of what a detached runtime leaves behind."""
        status = wait_until("the end of the container", lambda: self.box.reaped(self.pid), seconds)
        return os.waitstatus_to_exitcode(status[0])

    def output(self, name="seen"):
        """What the probe wrote to /out/NAME, once it is whole."""
        path = os.path.join(self.bundle, "rootfs/out", name)

        def whole():
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
                text = file.read()
                return text if text.endswith("\n") else None
        return json.loads(wait_until(f"output {name} of the probe", whole))

    def exec(self, *steps, options=(), **more):
        return self.box.runtime.call("exec", *options, self.id, "/probe", *steps, **more)

    def delete(self):
        self.call("delete").expect(0, "delete")


class Box:
    """What one case has: a folder, and the means to make containers that are gone afterwards."""

    def __init__(self, suite, name):
        self.suite, self.runtime, self.cgroups = suite, suite.runtime, suite.cgroups
        self.dir = os.path.join(suite.dir, "case")
        os.mkdir(self.dir, 0o755)
        self.prefix = f"b-{name.replace('/', '-')}"
        self.count = 0
        self.containers = []
        self.stack = contextlib.ExitStack()
        self.ended = {}

    def reaped(self, pid):
        """(status,) once the process has ended; other orphans are kept for whoever asks for them."""
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not ended:
                break
            self.ended[ended] = status
        return (self.ended[pid],) if pid in self.ended else None

    def bundle(self, steps=(), changes=None):
        """A folder with config.json and a root file system; its path."""
        self.count += 1
        bundle = os.path.join(self.dir, f"bundle{self.count}")
        rootfs = os.path.join(bundle, "rootfs")
        for name in ("proc", "dev", "sys", "tmp", "out"):
            os.makedirs(os.path.join(rootfs, name))
        os.chmod(os.path.join(rootfs, "out"), 0o777)
        os.link(self.suite.probe, os.path.join(rootfs, "probe"))
        config = changed(BASE, {"process.args": ["/probe", *steps],
                                "linux.cgroupsPath": f"/{CGROUP_PARENT}/{self.prefix}-{self.count}"})
        config = changed(config, changes or {})
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        return bundle

    def add(self, bundle, path, text=None, mode=None):
        """A folder, or with `text` a file, in the bundle's root file system; its path on the host."""
        path = os.path.join(bundle, "rootfs", path.lstrip("/"))
        if text is None:
            os.makedirs(path)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def container(self, bundle, name=None):
        container = Container(self, name or f"{self.prefix}-{self.count}-{len(self.containers)}", bundle)
        self.containers.append(container)
        return container

    def run(self, steps, changes=None, options=(), bundle=None, **more):
        """`run` in the foreground; the Result."""
        container = self.container(bundle or self.bundle(steps, changes))
        return self.runtime.call("run", "--bundle", container.bundle, *options, container.id, **more)

    def see(self, steps, changes=None, **more):
        """What the probe tells when it is run so; it has to end well."""
        result = self.run(steps, changes, **more).expect(0, "run")
        return result.seen

    def try_create(self, container, *options, **more):
        """What a container inherits must not be a pipe that the suite waits for the end of."""
        with open(os.path.join(self.dir, "stderr"), "w+", encoding="utf-8") as err:
            result = self.runtime.call("create", "--bundle", container.bundle, *options, container.id,
                                       stdout=subprocess.DEVNULL, stderr=err, **more)
            err.seek(0)
            result.err = err.read()
        return result

    def create(self, steps=("wait",), changes=None, options=(), bundle=None, **more):
        container = self.container(bundle or self.bundle(steps, changes))
        pid_file = os.path.join(self.dir, f"{container.id}.pid")
        self.try_create(container, "--pid-file", pid_file, *options, **more).expect(0, "create")
        with open(pid_file, encoding="ascii") as file:
            container.pid = int(file.read())
        return container

    def started(self, steps=("wait",), changes=None, **more):
        return self.create(steps, changes, **more).start()

    def refused(self, changes, names, steps=("ids",), bundle=None, **more):
        """It must not run, and run0's error must name this member of the configuration."""
        result = self.run(steps, changes, bundle=bundle, **more)
        true(f"it runs in spite of {short(changes)}", result.status != 0)
        lacks("output", result.out, '"ids"')
        if self.runtime.name == "run0":
            has("the error", result.err, names)
            equal("lines of error", result.err.count("\n"), 1)
        return result

    def holder(self, *kinds, prepare=None):
        """A process in new namespaces of these kinds; its pid, and it lives as long as the case."""
        flags = 0
        for kind in kinds:
            flags |= CLONE[kind]
        pid = fork(lambda ready: hold(flags, prepare, ready))
        self.stack.callback(end_process, pid)
        return pid

    def close(self):
        problems = []
        for container in self.containers:
            result = self.runtime.call("delete", "--force", container.id)
            if result.status:
                problems.append(f"delete --force exits with {result.status}: {short(result.err)}")
        self.stack.close()
        problems += self.leftovers()
        shutil.rmtree(self.dir, ignore_errors=True)
        return problems

    def leftovers(self):
        problems = []
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split()[4] for line in file if self.dir in line]
        for mount in reversed(mounts):
            problems.append(f"a mount is left: {mount}")
            LIBC.umount2(mount.encode(), 2)
        ids = {c.id for c in self.containers}
        for name in set(os.listdir(self.runtime.root)) & ids if os.path.isdir(self.runtime.root) else ():
            problems.append(f"state is left: {name}")
        for folder in self.cgroups.folders():
            problems.append(f"a cgroup is left: {folder}")
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        with contextlib.suppress(Failed):
            wait_until("the end of orphans", lambda: not self.orphans(), 2)
        for pid in self.orphans():
            problems.append(f"a process is left: {pid}")
            end_process(pid)
        return problems

    def orphans(self):
        self.reaped(0)
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]


def fork(child):
    """A child that runs child(ready) and is waited for until it calls ready()."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        told = os.read(reader, 200)
        os.close(reader)
        if told != b"ready":
            os.waitpid(pid, 0)
            raise Skip(f"a helper process fails: {told.decode() or 'it died'}")
        return pid
    try:
        os.close(reader)
        child(lambda: os.write(writer, b"ready"))
    except BaseException as error:  # pylint: disable=broad-except
        os.write(writer, str(error).encode()[:200])
    finally:
        os._exit(1)


def end_process(pid):
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def unshare(flags):
    if LIBC.unshare(flags):
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")


def hold(flags, prepare, ready):
    unshare(flags)
    if prepare:
        prepare()
    ready()
    while True:
        signal.pause()


def mount(source, target, kind, flags, data=None):
    if LIBC.mount(source.encode(), target.encode(), kind and kind.encode(), flags,
                  data and data.encode()):
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")


def become_subreaper():
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def host_namespace(kind, pid="self"):
    return os.stat(f"/proc/{pid}/ns/{NS_FILE[kind]}").st_ino


class Listener:
    """A Unix socket that is sent a descriptor: a console's, or seccomp's."""

    def __init__(self, box, name):
        self.path = os.path.join(box.dir, name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The name may be longer than a socket's address can be.
        old = os.getcwd()
        os.chdir(box.dir)
        self.socket.bind(name)
        os.chdir(old)
        self.socket.listen()
        box.stack.callback(self.socket.close)
        self.stack = box.stack

    def receive(self, seconds=10):
        """(text, descriptor)"""
        if not select.select([self.socket], [], [], seconds)[0]:
            raise Failed("nobody connects to the socket")
        connection, _ = self.socket.accept()
        with connection:
            connection.settimeout(seconds)
            text, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fd = array.array("i", data)[0]
                self.stack.callback(os.close, fd)
                return text, fd
        raise Failed("the socket was sent no descriptor")


def read_terminal(fd, seconds=10):
    """What comes until the probe's object is whole, or the other side closed."""
    text = b""
    end = time.monotonic() + seconds
    while not text.rstrip().endswith(b"}}"):
        if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            break
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    return text.decode()


def case(cases, name, *arguments):
    """Adds a function, with these arguments after the box, to the cases."""
    def add(function):
        cases.append((name, lambda box: function(box, *arguments)))
        return function
    return add
