# SPDX-License-Identifier: Apache-2.0
"""Cases: the root file system, mounts, masked and read-only paths, devices, terminals."""
import fcntl
import json
import os
import pty
import stat
import struct
import subprocess
import termios

from cases_isolation import USER, namespaces
from harness import (BASE, Failed, Listener, Skip, case, equal, has, lacks, mount, read_terminal, true, wait_until)

CASES = []
MS_REC, MS_PRIVATE, MS_BIND, MS_SHARED = 0x4000, 1 << 18, 0x1000, 1 << 20


def at(seen, target):
    """The last mount there: the one that is seen."""
    found = [row for row in seen["mounts"] if row["target"] == target]
    if not found:
        raise Failed(f"nothing is mounted at {target}: {[m['target'] for m in seen['mounts']]}")
    return found[-1]


def options_of(seen, target):
    row = at(seen, target)
    return row["options"].split(",") + row["super"].split(",")


def bind(source, target, *options, recursive=False, **more):
    kind = "rbind" if recursive else "bind"
    return {"mounts+": [{"destination": target, "type": "bind", "source": source,
                         "options": [kind, *options], **more}]}


def tree(box, *submounts):
    """A folder on the host with a file, and with tmpfs mounts below it."""
    path = os.path.join(box.dir, "tree")
    os.makedirs(os.path.join(path, "folder"))
    with open(os.path.join(path, "file"), "w", encoding="ascii") as file:
        file.write("of the host\n")
    for name in submounts:
        target = os.path.join(path, name)
        os.mkdir(target)
        mount("tmpfs", target, "tmpfs", 0)
        box.stack.callback(subprocess.run, ["umount", "-l", target], check=False)
    return path


# --- the root

@case(CASES, "root/read-only")
def root_read_only(box):
    seen = box.see(["access=/out", "access=/dev", "mounts"], {"root.readonly": True})
    equal("access", seen["access=/out"], {"read": "ok", "write": "EROFS"})
    equal("access of a mount in it", seen["access=/dev"]["write"], "ok")


@case(CASES, "root/writable")
def root_writable(box):
    equal("access", box.see(["access=/out"])["access=/out"], {"read": "ok", "write": "ok"})


@case(CASES, "root/nothing-of-the-host")
def root_only(box):
    """No mount but the container's own is left, and the root has no parent."""
    seen = box.see(["mounts", "list=/", "list=/..", "fds"])
    equal("mounts", sorted({row["target"] for row in seen["mounts"]}), ["/", "/dev", "/proc"])
    equal("folders above", sorted(seen["list=/.."]), sorted(seen["list=/"]))
    equal("descriptors", sorted(seen["fds"]), ["0", "1", "2"])


@case(CASES, "root/no-pivot")
def root_no_pivot(box):
    seen = box.see(["list=/", "access=/out"], options=["--no-pivot"])
    has("files", seen["list=/"], "probe")
    lacks("files", seen["list=/"], "etc")


@case(CASES, "root/absolute-path")
def root_absolute(box):
    bundle = box.bundle()
    changes = {"root.path": os.path.join(bundle, "rootfs")}
    has("files", box.see(["list=/"], changes)["list=/"], "probe")


@case(CASES, "root/missing")
def root_missing(box):
    box.refused({"root.path": "nowhere"}, "root.path")


def root_propagation(box, value, tagged):
    seen = box.see(["mounts"], {"linux.rootfsPropagation": value})
    kinds = sorted({word.split(":")[0] for word in at(seen, "/")["propagation"]})
    equal("propagation of /", kinds, tagged)


for each, want in {"private": [], "rprivate": [], "unbindable": ["unbindable"], "shared": ["shared"],
                   "rshared": ["shared"]}.items():
    case(CASES, f"root/propagation/{each}", each, want)(root_propagation)


def root_slave(box, value):
    """A mount that the host makes later below a shared folder comes into the container."""
    bundle = box.bundle(["out=/out/seen", "mounts", "wait"], {"linux.rootfsPropagation": value})
    rootfs = os.path.join(bundle, "rootfs")
    mount(rootfs, rootfs, None, MS_BIND)
    box.stack.callback(subprocess.run, ["umount", "-R", "-l", rootfs], check=False)
    mount("", rootfs, None, MS_SHARED)
    box.add(bundle, "later")
    container = box.started(bundle=bundle)
    kinds = {word.split(":")[0] for word in at(container.output(), "/")["propagation"]}
    has("propagation of /", kinds, "master")
    mount("tmpfs", os.path.join(rootfs, "later"), "tmpfs", 0, "size=64k")
    seen = container.exec("mounts").expect(0, "exec").seen
    at(seen, "/later")


for each in ("slave", "rslave"):
    case(CASES, f"root/propagation/{each}", each)(root_slave)


# --- mounts

def mount_options(box, options, want):
    """Of a bind mount, which has its own."""
    row = bind(tree(box), "/tree", *options)
    seen = box.see(["mounts"], row)
    for word in want:
        if word.startswith("!"):
            lacks("options", options_of(seen, "/tree"), word[1:])
        else:
            has("options", at(seen, "/tree")["options"].split(","), word)


for each, want in {
        "ro": ["ro"], "rw": ["rw"], "nosuid": ["nosuid"], "suid": ["!nosuid"], "nodev": ["nodev"],
        "dev": ["!nodev"], "noexec": ["noexec"], "exec": ["!noexec"], "noatime": ["noatime"],
        "nodiratime": ["nodiratime"], "relatime": ["relatime"], "strictatime": ["!noatime", "!relatime"],
        "nosymfollow": ["nosymfollow"]}.items():
    case(CASES, f"mounts/option/{each}", [each], want)(mount_options)
case(CASES, "mounts/option/several", ["ro", "nosuid", "nodev", "noexec", "noatime"],
     ["ro", "nosuid", "nodev", "noexec", "noatime"])(mount_options)
case(CASES, "mounts/option/last-wins", ["ro", "noexec", "rw", "exec"], ["rw", "!noexec"])(mount_options)


@case(CASES, "mounts/read-only-is-read-only")
def mount_read_only(box):
    seen = box.see(["access=/tree", "access=/tree/file"], bind(tree(box), "/tree", "ro"))
    equal("folder", seen["access=/tree"]["write"], "EROFS")
    equal("file", seen["access=/tree/file"], {"read": "ok", "write": "EROFS"})


def mount_recursive(box, option, want):
    """Options in r-form reach what is mounted below; the host's own mounts stay as they are."""
    path = tree(box, "below")
    seen = box.see(["mounts", "access=/tree/below"], bind(path, "/tree", option, recursive=True))
    for target in ("/tree", "/tree/below"):
        has(f"options of {target}", at(seen, target)["options"].split(","), want)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        host = [line.split()[5] for line in file if line.split()[4].endswith("/tree/below")]
    lacks("options on the host", host[0].split(","), want)


for each, want in {"rro": "ro", "rnosuid": "nosuid", "rnodev": "nodev", "rnoexec": "noexec",
                   "rnoatime": "noatime", "rnodiratime": "nodiratime",
                   "rnosymfollow": "nosymfollow"}.items():
    case(CASES, f"mounts/recursive/{each}", each, want)(mount_recursive)


@case(CASES, "mounts/recursive/ro-is-not")
def mount_ro_not_recursive(box):
    seen = box.see(["access=/tree", "access=/tree/below"],
                   bind(tree(box, "below"), "/tree", "ro", recursive=True))
    equal("folder", seen["access=/tree"]["write"], "EROFS")
    equal("mount below", seen["access=/tree/below"]["write"], "ok")


@case(CASES, "mounts/bind-without-below")
def mount_bind_only(box):
    seen = box.see(["mounts"], bind(tree(box, "below"), "/tree"))
    lacks("targets", [row["target"] for row in seen["mounts"]], "/tree/below")


@case(CASES, "mounts/bind-file")
def mount_file(box):
    """The target is made when there is none, folders above included."""
    path = os.path.join(tree(box), "file")
    seen = box.see(["read=/a/b/file", "stat=/a/b/file"], bind(path, "/a/b/file"))
    equal("text", seen["read=/a/b/file"], "of the host\n")


@case(CASES, "mounts/copy-symlink")
def mount_copy_link(box):
    """A link is made again in the container, not followed."""
    link = os.path.join(tree(box), "link")
    os.symlink("/anywhere/else", link)
    seen = box.see(["stat=/there"], bind(link, "/there", "copy-symlink"))
    equal("link", seen["stat=/there"].get("link"), "/anywhere/else")


@case(CASES, "mounts/bind-relative-source")
def mount_relative(box):
    bundle = box.bundle(["read=/there/file"], bind("beside", "/there"))
    os.mkdir(os.path.join(bundle, "beside"))
    with open(os.path.join(bundle, "beside/file"), "w", encoding="ascii") as file:
        file.write("beside config.json")
    equal("text", box.see([], bundle=bundle)["read=/there/file"], "beside config.json")


def mount_propagation(box, option, want):
    """Beside a root that lets them be so, as clients give it."""
    root = "shared" if "shared" in option else "private"
    seen = box.see(["mounts"], {**bind(tree(box), "/tree", option), "linux.rootfsPropagation": root})
    equal("propagation", sorted({w.split(":")[0] for w in at(seen, "/tree")["propagation"]}), want)


for each, want in {"private": [], "rprivate": [], "shared": ["shared"], "rshared": ["shared"],
                   "unbindable": ["unbindable"]}.items():
    case(CASES, f"mounts/propagation/{each}", each, want)(mount_propagation)


@case(CASES, "mounts/propagation/rslave")
def mount_slave(box):
    """Mounts that the host makes later arrive; the container's own do not go out."""
    path = tree(box)
    mount(path, path, None, MS_BIND)
    box.stack.callback(subprocess.run, ["umount", "-R", "-l", path], check=False)
    mount("", path, None, MS_SHARED)
    container = box.started(changes={**bind(path, "/tree", "rslave", recursive=True),
                                     "linux.rootfsPropagation": "rslave"})
    mount("tmpfs", os.path.join(path, "folder"), "tmpfs", 0)
    at(container.exec("mounts").expect(0, "exec").seen, "/tree/folder")


@case(CASES, "mounts/tmpfs")
def mount_tmpfs(box):
    row = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
           "options": ["mode=1711", "size=128k", "uid=7", "gid=8", "noexec"]}
    seen = box.see(["mounts", "stat=/tmp"], {"mounts+": [row]})
    found = seen["stat=/tmp"]
    equal("mode and owner", (found["mode"], found["uid"], found["gid"]), (0o1711, 7, 8))
    has("options", options_of(seen, "/tmp"), "size=128k")
    has("options", options_of(seen, "/tmp"), "noexec")


@case(CASES, "mounts/tmpcopyup")
def mount_copyup(box):
    bundle = box.bundle(["read=/data/sub/file", "stat=/data/sub/file", "stat=/data/link", "stat=/data",
                         "write=/data/new:x", "mounts"], {"mounts+": [
                             {"destination": "/data", "type": "tmpfs", "source": "tmpfs",
                              "options": ["tmpcopyup"]}]})
    path = box.add(bundle, "data/sub/file", "of the image", 0o644)
    os.chown(path, 11, 12)
    os.symlink("sub/file", os.path.join(bundle, "rootfs/data/link"))
    seen = box.see([], bundle=bundle)
    equal("type", at(seen, "/data")["type"], "tmpfs")
    equal("text", seen["read=/data/sub/file"], "of the image")
    found = seen["stat=/data/sub/file"]
    equal("mode and owner", (found["mode"], found["uid"], found["gid"]), (0o644, 11, 12))
    equal("link", seen["stat=/data/link"].get("link"), "sub/file")
    equal("write", seen["write=/data/new:x"], "ok")
    true("the image was changed", not os.path.exists(os.path.join(bundle, "rootfs/data/new")))


def see_mapped(box, bundle):
    result = box.run([], bundle=bundle)
    if result.status and ("idmap" in result.err or "mount_setattr" in result.err) and \
            "nvalid argument" in result.err:
        raise Skip("the file system of the temporary folder has no idmapped mounts")
    return result.expect(0, "run").seen


def mount_idmap(box, recursive):
    """The host's root's file belongs to 1000 inside, and what 1000 makes belongs to the host's root."""
    path = tree(box, "below") if recursive else tree(box)
    maps = [{"containerID": 0, "hostID": 1000, "size": 2000}]
    row = bind(path, "/tree", "ridmap" if recursive else "idmap", recursive=recursive,
               uidMappings=maps, gidMappings=maps)
    changes = {**row, "process.user": {"uid": 1000, "gid": 1000}}
    os.chmod(path, 0o755)
    steps = ["stat=/tree/file", "write=/tree/new:x"] + (["stat=/tree/below"] if recursive else [])
    seen = see_mapped(box, box.bundle(steps, changes))
    equal("owner inside", seen["stat=/tree/file"]["uid"], 1000)
    equal("write", seen["write=/tree/new:x"], "ok")
    equal("owner outside", os.stat(os.path.join(path, "new")).st_uid, 0)
    if recursive:
        equal("owner of the mount below", seen["stat=/tree/below"]["uid"], 1000)


case(CASES, "mounts/idmap", False)(mount_idmap)
case(CASES, "mounts/ridmap", True)(mount_idmap)


@case(CASES, "mounts/idmap-userns")
def mount_idmap_userns(box):
    """With the container's own mapping the host's root's files are the container's root's."""
    row = bind(tree(box), "/tree", "idmap", uidMappings=USER["linux.uidMappings"],
               gidMappings=USER["linux.gidMappings"])
    bundle = box.bundle(["stat=/tree/file"], {**USER, **row})
    box.add(bundle, "tree")
    equal("owner inside", see_mapped(box, bundle)["stat=/tree/file"]["uid"], 0)


def mount_kind(box, row, target, kind, more):
    seen = box.see(["mounts"], {**more, "mounts+": [row]})
    equal("type", at(seen, target)["type"], kind)


for each, want, extra in (
        ("devpts", {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": [
            "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}, {}),
        ("mqueue", {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                    "options": ["nosuid", "noexec", "nodev"]}, {}),
        ("sysfs", {"destination": "/sys", "type": "sysfs", "source": "sysfs",
                   "options": ["nosuid", "noexec", "nodev", "ro"]}, namespaces(network=True))):
    case(CASES, f"mounts/type/{each}", want, want["destination"], each, extra)(mount_kind)

SYS = [{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}]


@case(CASES, "mounts/type/cgroup")
def mount_cgroup(box):
    """The container sees its own cgroup, read-only."""
    row = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
           "options": ["ro", "nosuid", "noexec", "nodev"]}
    folder = "/sys/fs/cgroup" if box.cgroups.v2 else "/sys/fs/cgroup/memory"
    seen = box.see(["mounts", f"read={folder}/cgroup.procs", f"access={folder}", "read=/proc/self/cgroup"],
                   {**namespaces(network=True, cgroup=True), "mounts+": SYS + [row]})
    equal("type", at(seen, folder)["type"], "cgroup2" if box.cgroups.v2 else "cgroup")
    equal("processes", seen[f"read={folder}/cgroup.procs"].split(), ["1"])
    equal("writing", seen[f"access={folder}"]["write"], "EROFS")
    lacks("cgroup", seen["read=/proc/self/cgroup"], "behaviour")


@case(CASES, "mounts/order")
def mount_order(box):
    rows = [{"destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]},
            {"destination": "/a/b", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}]
    seen = box.see(["mounts", "access=/a/b"], {"mounts+": rows})
    targets = [row["target"] for row in seen["mounts"]]
    true("/a/b is not in /a", targets.index("/a") < targets.index("/a/b"))
    equal("access", seen["access=/a/b"]["write"], "ok")


@case(CASES, "mounts/target-link-stays-inside")
def mount_link_inside(box):
    """A symbolic link of the image as target leads to a place in the container, never in the host."""
    outside = os.path.join(box.dir, "outside")
    os.mkdir(outside)
    bundle = box.bundle(["mounts", f"stat={outside}"], bind(tree(box), "/link"))
    os.symlink(outside, os.path.join(bundle, "rootfs/link"))
    seen = box.see([], bundle=bundle)
    equal("type of the target", seen[f"stat={outside}"].get("type"), "folder")
    at(seen, outside)
    equal("the host's folder", os.listdir(outside), [])


@case(CASES, "mounts/source-missing")
def mount_source_missing(box):
    box.refused(bind("/nothing/there", "/tree"), "mounts[2]")


@case(CASES, "mounts/unknown-type")
def mount_type_unknown(box):
    box.refused({"mounts+": [{"destination": "/a", "type": "flux", "source": "flux"}]}, "mounts[2]")


@case(CASES, "mounts/bad-data")
def mount_data_bad(box):
    box.refused({"mounts+": [{"destination": "/a", "type": "tmpfs", "source": "tmpfs",
                              "options": ["size=banana"]}]}, "mounts[2]")


@case(CASES, "mounts/over-proc")
def mount_over_proc(box):
    """What the container takes for the kernel's must be the kernel's."""
    box.refused(bind(tree(box), "/proc/sys"), "mounts[2]")


# --- masked and read-only paths

@case(CASES, "paths/masked")
def paths_masked(box):
    bundle = box.bundle(["read=/file", "list=/folder", "access=/folder", "read=/proc/interrupts",
                         "list=/proc/irq"], {
        "linux.maskedPaths": ["/file", "/folder", "/proc/interrupts", "/proc/irq", "/not/there"]})
    box.add(bundle, "file", "secret")
    box.add(bundle, "folder/file", "secret")
    seen = box.see([], bundle=bundle)
    equal("file", seen["read=/file"], "")
    equal("folder", seen["list=/folder"], {})
    equal("writing", seen["access=/folder"]["write"], "EROFS")
    equal("file of the kernel's", seen["read=/proc/interrupts"], "")
    equal("folder of the kernel's", seen["list=/proc/irq"], {})


@case(CASES, "paths/read-only")
def paths_read_only(box):
    bundle = box.bundle(["access=/folder", "access=/file", "access=/proc/sys/kernel/hostname",
                         "access=/out"],
                        {"linux.readonlyPaths": ["/folder", "/file", "/proc/sys", "/not/there"]})
    box.add(bundle, "file", "text")
    box.add(bundle, "folder")
    seen = box.see([], bundle=bundle)
    equal("folder", seen["access=/folder"], {"read": "ok", "write": "EROFS"})
    equal("file", seen["access=/file"], {"read": "ok", "write": "EROFS"})
    equal("sysctl", seen["access=/proc/sys/kernel/hostname"]["write"], "EROFS")
    equal("others", seen["access=/out"]["write"], "ok")


@case(CASES, "paths/read-only-keeps-flags")
def paths_keep_flags(box):
    changes = bind(tree(box), "/tree", "nosuid", "nodev", "noexec")
    seen = box.see(["mounts"], {**changes, "linux.readonlyPaths": ["/tree"]})
    for word in ("ro", "nosuid", "nodev", "noexec"):
        has("options", at(seen, "/tree")["options"].split(","), word)


@case(CASES, "paths/read-only-root")
def paths_root(box):
    equal("access", box.see(["access=/out"], {"linux.readonlyPaths": ["/"]})["access=/out"],
          {"read": "ok", "write": "EROFS"})


@case(CASES, "paths/masked-by-link")
def paths_masked_link(box):
    """What a link leads to is masked, inside the root."""
    bundle = box.bundle(["read=/real", "read=/link"], {"linux.maskedPaths": ["/link"]})
    box.add(bundle, "real", "secret")
    os.symlink("/../real", os.path.join(bundle, "rootfs/link"))
    seen = box.see([], bundle=bundle)
    equal("texts", (seen["read=/real"], seen["read=/link"]), ("", ""))


# --- devices

DEFAULT_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
                   "tty": (5, 0)}


@case(CASES, "devices/default")
def devices_default(box):
    seen = box.see(["list=/dev", *(f"access=/dev/{n}" for n in DEFAULT_DEVICES if n != "tty")])
    for name, numbers in DEFAULT_DEVICES.items():
        found = seen["list=/dev"].get(name, {})
        equal(name, (found.get("type"), found.get("major"), found.get("minor"), found.get("mode")),
              ("char", *numbers, 0o666))
        if name != "tty":
            equal(f"access of {name}", seen[f"access=/dev/{name}"], {"read": "ok", "write": "ok"})


@case(CASES, "devices/links")
def devices_links(box):
    seen = box.see(["list=/dev"])["list=/dev"]
    for name, target in {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
                         "stderr": "/proc/self/fd/2"}.items():
        equal(name, seen.get(name, {}).get("link"), target)
    has("ptmx", seen.get("ptmx", {}).get("link", ""), "pts/ptmx")


@case(CASES, "devices/own")
def devices_own(box):
    devices = [{"path": "/dev/own/char", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640,
                "uid": 5, "gid": 6},
               {"path": "/dev/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
               {"path": "/dev/fifo", "type": "p", "fileMode": 0o622},
               {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5}]
    seen = box.see(["list=/dev", "list=/dev/own"], {"linux.devices": devices})
    char, dev = seen["list=/dev/own"]["char"], seen["list=/dev"]
    equal("char", [char[k] for k in ("type", "major", "minor", "mode", "uid", "gid")],
          ["char", 1, 3, 0o640, 5, 6])
    equal("block", [dev["block"][k] for k in ("type", "major", "minor", "mode")],
          ["block", 7, 200, 0o600])
    equal("fifo", [dev["fifo"][k] for k in ("type", "mode")], ["fifo", 0o622])
    equal("unbuffered", [dev["unbuffered"][k] for k in ("type", "major", "minor")], ["char", 1, 5])


@case(CASES, "devices/bad-type")
def devices_bad_type(box):
    box.refused({"linux.devices": [{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]},
                "linux.devices[0].type")


@case(CASES, "devices/no-dev-mount")
def devices_no_mount(box):
    """The image's own /dev gets them, when nothing is mounted there."""
    seen = box.see(["list=/dev"], {"mounts": BASE["mounts"][:1]})["list=/dev"]
    has("devices", seen, "null")


@case(CASES, "devices/dev-bound-from-host")
def devices_bound(box):
    """The host's /dev must not get a container's devices and links."""
    path = tree(box)
    os.mknod(os.path.join(path, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    box.see(["ids"], {"mounts": [BASE["mounts"][0], bind(path, "/dev", recursive=True)["mounts+"][0]]})
    equal("the host's folder", sorted(os.listdir(path)), ["file", "folder", "null"])


# --- terminals

PTS = {"mounts+": [{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": [
    "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}]}
TERMINAL = {**PTS, "process.terminal": True, "process.consoleSize": {"height": 41, "width": 97}}
TTY = {"stdin": 1, "stdout": 1, "stderr": 1, "rows": 41, "columns": 97, "controlling": 1, "foreground": 1}


def need_json(text):
    begin = text.find("{")
    try:
        return json.loads(text[begin:])
    except ValueError:
        raise Failed(f"no JSON from the terminal: {text!r}") from None


@case(CASES, "terminal/console-socket")
def terminal_socket(box):
    listener = Listener(box, "console")
    container = box.create(["tty", "ids", "stat=/dev/console", "mounts"], TERMINAL,
                           options=["--console-socket", listener.path])
    _, fd = listener.receive()
    container.start()
    seen = need_json(read_terminal(fd))
    equal("terminal", seen["tty"], TTY)
    equal("session", seen["ids"]["sid"], 1)
    equal("/dev/console", seen["stat=/dev/console"].get("type"), "char")
    equal("type of /dev/console", at(seen, "/dev/console")["type"], "devpts")


@case(CASES, "terminal/run-detached")
def terminal_run_detached(box):
    listener = Listener(box, "console")
    container = box.container(box.bundle(["tty"], TERMINAL))
    box.runtime.call("run", "--detach", "--bundle", container.bundle, "--console-socket", listener.path,
                     container.id).expect(0, "run")
    _, fd = listener.receive()
    equal("terminal", need_json(read_terminal(fd))["tty"], TTY)


@case(CASES, "terminal/resize")
def terminal_resize(box):
    """Who has the other side sets the size."""
    listener = Listener(box, "console")
    container = box.create(["tty"], TERMINAL, options=["--console-socket", listener.path])
    _, fd = listener.receive()
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 34, 0, 0))
    container.start()
    seen = need_json(read_terminal(fd))["tty"]
    equal("size", (seen["rows"], seen["columns"]), (12, 34))


@case(CASES, "terminal/user-owns-it")
def terminal_user(box):
    listener = Listener(box, "console")
    container = box.create(["stat=/dev/console", "stat=/dev/pts/0", "access=/dev/pts/0"],
                           {**TERMINAL, "process.user": {"uid": 77, "gid": 88}},
                           options=["--console-socket", listener.path])
    _, fd = listener.receive()
    container.start()
    seen = need_json(read_terminal(fd))
    equal("owner", seen["stat=/dev/pts/0"]["uid"], 77)
    equal("access", seen["access=/dev/pts/0"], {"read": "ok", "write": "ok"})


@case(CASES, "terminal/create-without-socket")
def terminal_no_socket(box):
    container = box.container(box.bundle(["tty"], TERMINAL))
    result = box.try_create(container)
    true("create succeeds without a console socket", result.status != 0)
    if box.runtime.name == "run0":
        has("the error", result.err, "process.terminal")


@case(CASES, "terminal/socket-without-terminal")
def socket_no_terminal(box):
    listener = Listener(box, "console")
    container = box.container(box.bundle(["tty"]))
    result = box.try_create(container, "--console-socket", listener.path)
    true("create succeeds with a console socket that nobody needs", result.status != 0)


@case(CASES, "terminal/relayed")
def terminal_relayed(box):
    """`run` in the foreground between the caller's terminal and the container's."""
    ours, theirs = pty.openpty()
    box.stack.callback(os.close, ours)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 55, 66, 0, 0))
    mode = termios.tcgetattr(theirs)
    container = box.container(box.bundle(["tty", "exit=7"], {**TERMINAL, "process.consoleSize": None}))
    with subprocess.Popen(box.runtime.command(["run", "--bundle", container.bundle, container.id]),
                          stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        seen = need_json(read_terminal(ours))
        equal("exit status", process.wait(10), 7)
    equal("terminal", seen["tty"], {**TTY, "rows": 55, "columns": 66})
    equal("mode of the caller's terminal afterwards", termios.tcgetattr(theirs), mode)
    os.close(theirs)


@case(CASES, "terminal/exec")
def terminal_exec(box):
    container = box.started(changes=PTS)
    listener = Listener(box, "console")
    pid_path = os.path.join(box.dir, "exec.pid")
    container.exec("tty", options=["--tty", "--detach", "--console-socket", listener.path, "--pid-file",
                                   pid_path]).expect(0, "exec")
    _, fd = listener.receive()
    seen = need_json(read_terminal(fd))["tty"]
    with open(pid_path, encoding="ascii") as file:
        pid = int(file.read())
    # A PID namespace does not end before those are reaped that came into it by exec.
    wait_until("its end", lambda: box.reaped(pid))
    equal("terminal", {k: seen[k] for k in ("stdin", "stdout", "stderr", "controlling")},
          {"stdin": 1, "stdout": 1, "stderr": 1, "controlling": 1})


@case(CASES, "terminal/none")
def terminal_none(box):
    seen = box.see(["tty", "stat=/dev/console"])
    equal("terminal", (seen["tty"]["stdin"], seen["tty"]["controlling"]), (0, 0))
