# SPDX-License-Identifier: Apache-2.0
"""What the escape cases are made with, beyond the behaviour suite's harness: containers as `spec`
describes them, with a program that attacks; folders of the host that must stay as they are; somebody
who exchanges files while a container is made."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import time

from harness import (CGROUP_PARENT, LIBC, Box, Runtime, Skip, changed, end_process, equal, fork,
                     short, true, wait_until)

AT_FDCWD, RENAME_EXCHANGE, SYS_RENAMEAT2 = -100, 2, 316
ALL_CAPABILITIES = [f"CAP_{name}" for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND "
    "AUDIT_READ").split()]


def caps(*names):
    """Changes: these capabilities beside the three of `spec`."""
    return {f"process.capabilities.{kind}+": list(names)
            for kind in ("bounding", "effective", "permitted")}


def namespaces(**more):
    """Changes: the namespaces of `spec`; a value is a path, True for a new one, None for none."""
    kinds = {kind: True for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")}
    kinds.update(more)
    return {"linux.namespaces": [{"type": kind, **({"path": value} if value is not True else {})}
                                 for kind, value in kinds.items() if value]}


def mapping(host_id, size=65536):
    """Changes: a user namespace whose root is that user."""
    row = [{"containerID": 0, "hostID": host_id, "size": size}]
    return {**namespaces(user=True), "linux.uidMappings": row, "linux.gidMappings": row}


def without_mounts(config, *destinations):
    return [row for row in config["mounts"] if row["destination"] not in destinations]


class Background:
    """A container whose program attacks while the case does something else."""

    def __init__(self, path):
        self.path = path

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def has_ended(self):
        return self.text().rstrip().endswith("}")

    def result(self, seconds=15):
        """What it told of its last step."""
        wait_until("the end of the attack", self.has_ended, seconds)
        return list(json.loads(self.text().strip().splitlines()[-1]).values())[-1]


class EscapeBox(Box):
    libc = LIBC

    def default_config(self):
        """As the runtime's `spec` has it."""
        path = os.path.join(self.dir, "spec")
        if not os.path.isdir(path):
            os.mkdir(path)
            self.runtime.call("spec", "--bundle", path).expect(0, "spec")
        with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
            return json.load(file)

    def bundle(self, steps=(), changes=None):
        self.count += 1
        bundle = os.path.join(self.dir, f"bundle{self.count}")
        rootfs = os.path.join(bundle, "rootfs")
        for name in ("proc", "dev", "sys", "tmp", "volume"):
            os.makedirs(os.path.join(rootfs, name))
        os.link(self.suite.probe, os.path.join(rootfs, "attack"))
        self.configure(bundle, steps, changes)
        return bundle

    def configure(self, bundle, steps=(), changes=None):
        config = changed(self.default_config(), {
            "process.args": ["/attack", *steps], "process.terminal": False,
            "linux.cgroupsPath": f"/{CGROUP_PARENT}/{self.prefix}-{self.count}"})
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(changed(config, changes or {}), file)

    def attack(self, steps, changes=None, **more):
        """What each step told, in order."""
        text = self.run(steps, changes, **more).expect(0, "run").out.strip().splitlines()
        true("the program says nothing", text)
        return list(json.loads(text[-1]).values())

    def fails(self, steps, wants, changes=None, **more):
        """Each step ends as named; several ways are divided by "|"."""
        for step, got, want in zip(steps, self.attack(steps, changes, **more), wants, strict=True):
            true(f"{step} gives {short(got)}, not {want}", got in want.split("|"))

    def is_refused(self, changes, steps=("cwd",), **more):
        """No program of the container's has run."""
        result = self.run(steps, changes, **more)
        true(f"it runs in spite of {short(changes or {})}", result.status != 0)
        true(f"its program ran: {short(result.out)}", "{" not in result.out)
        return result

    def background(self, steps, changes=None, runtime=None):
        """(Background, Container)"""
        container = self.container(self.bundle(["ready", *steps], changes))
        attack = Background(os.path.join(self.dir, f"{container.id}.out"))
        self.detach(container, runtime, attack.path)
        wait_until("the container's start", lambda: "ready\n" in attack.text())
        return attack, container

    def detach(self, container, runtime=None, path=os.devnull):
        """Runs it; the runtime has ended afterwards."""
        with open(path, "w", encoding="utf-8") as out:
            (runtime or self.runtime).call("run", "--detach", "--bundle", container.bundle, container.id,
                                           stdout=out, stderr=out).expect(0, "run --detach")

    def victim(self, name="victim"):
        """A folder of the host with a file in it; a function that tells whether it is as it was."""
        folder = os.path.join(self.dir, name)
        os.mkdir(folder)
        with open(os.path.join(folder, "file"), "w", encoding="ascii") as file:
            file.write("untouched")

        def check():
            equal("what is in the host's folder", sorted(os.listdir(folder)), ["file"])
            with open(os.path.join(folder, "file"), encoding="ascii") as file:
                equal("the host's file", file.read(), "untouched")
        return folder, check

    def rootfs(self, bundle, path=""):
        return os.path.join(bundle, "rootfs", path.lstrip("/"))

    def replace(self, bundle, path, target=None, text=None):
        """Instead of what is there: a link to `target`, or a file with `text`."""
        path = self.rootfs(bundle, path)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if target is not None:
            os.symlink(target, path)
        else:
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        return path

    def out_of_root(self, bundle, path, target):
        """`target`, an absolute path of the host, as a link at `path` in the root names it."""
        return os.path.relpath(target, os.path.dirname(self.rootfs(bundle, path)))

    @contextlib.contextmanager
    def exchanging(self, one, other):
        """Meanwhile somebody exchanges two names as fast as he can."""
        pid = fork(lambda ready: exchange(one.encode(), other.encode(), ready))
        try:
            yield
        finally:
            end_process(pid)

    def copied_runtime(self, name, protected=True):
        """The runtime in a folder of its own, whose files may be lost; (Runtime, its program)."""
        folder = os.path.join(self.dir, name)
        path = os.path.realpath(self.runtime.path)
        launched = os.path.join(os.path.dirname(path), "../libexec/quark/run0")
        os.makedirs(os.path.join(folder, "bin"))
        copy = program = shutil.copy(path, os.path.join(folder, "bin"))
        if self.runtime.name == "run0":
            os.makedirs(os.path.join(folder, "libexec/quark"))
            program = shutil.copy(launched, os.path.join(folder, "libexec/quark"))
        if not protected:
            copy = program
        runtime = Runtime(copy, self.runtime.root)
        if not protected:
            preload = os.path.join(self.suite.helpers, "liboci-unprotected.so")
            runtime.command = lambda args, root=None: [
                "/usr/bin/env", f"LD_PRELOAD={preload}", copy, "--root", root or runtime.root,
                *map(str, args)]
        return runtime, program

    @staticmethod
    def open_to_all(changes):
        """A user namespace cannot mount a sysfs or cgroups of its own everywhere: not needed here."""
        changes.update({"mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}]})

    def close(self):
        """Detached programs that have ended go first: a PID namespace waits for them, and so does
        `delete`."""
        time.sleep(0.01)
        self.reaped(0)
        return super().close()

    def only_run0(self, why):
        if self.runtime.name != "run0":
            raise Skip(f"only of run0: {why}")


def exchange(one, other, ready):
    one, other = ctypes.c_char_p(one), ctypes.c_char_p(other)
    ready()
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(1000):
            LIBC.syscall(SYS_RENAMEAT2, AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)
    os.kill(os.getpid(), signal.SIGKILL)


def contents(path):
    with open(path, "rb") as file:
        return file.read()
