# SPDX-License-Identifier: Apache-2.0
"""Attacks on the host's kernel: devices, cgroups, modules, user namespaces."""
import json
import os
import stat

from escape_box import ALL_CAPABILITIES, caps, mapping, namespaces
from harness import Skip, case, equal, lacks, short, true

CASES = []
LOOP = (7, 0)
ALLOW_ALL = {"linux.resources.devices": [{"allow": True, "access": "rwm"}]}


# Devices.

def block_device(box):
    """(major, minor) of one that the host's root can open."""
    with open("/proc/partitions", encoding="ascii") as file:
        rows = [line.split()[:2] for line in file if line[:1] == " "]
    for row in [*rows, LOOP]:
        major, minor = map(int, row)
        node = os.path.join(box.dir, f"node-{major}-{minor}")
        try:
            os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(major, minor))
            os.close(os.open(node, os.O_RDONLY))
            return major, minor
        except OSError:
            continue
    raise Skip("no block device can be opened here")


@case(CASES, "devices/mknod")
def make_node(box):
    """The host's disk. Neither made without CAP_MKNOD, nor opened with it: the rules of `spec` allow no
    device but the standard ones."""
    major, minor = block_device(box)
    steps = [f"mknod=b,{major},{minor},/dev/disk", "open=r,/dev/disk", "open=w,/dev/disk",
             "mknod=c,1,1,/dev/mem", "open=r,/dev/mem"]
    box.fails(steps, ["EPERM", "ENOENT", "ENOENT", "EPERM", "ENOENT"])
    seen = box.attack(steps, caps("CAP_MKNOD"))
    true(f"with CAP_MKNOD: {seen}", seen[0] in ("ok", "EPERM") and seen[1] in ("EPERM", "ENOENT") and
         seen[2] in ("EPERM", "ENOENT") and seen[4] in ("EPERM", "ENOENT"))
    equal("with CAP_MKNOD and all devices", box.attack(steps[:2], {**caps("CAP_MKNOD"), **ALLOW_ALL}),
          ["ok", "ok"])


@case(CASES, "devices/of-image")
def node_of_image(box):
    """A node that the image brought along."""
    major, minor = block_device(box)
    bundle = box.bundle(["open=r,/disk", "open=w,/disk"])
    os.mknod(box.rootfs(bundle, "disk"), stat.S_IFBLK | 0o666, os.makedev(major, minor))
    equal("by default", list(json.loads(box.run([], bundle=bundle).expect(0, "run").out).values()),
          ["EPERM", "EPERM"])
    box.configure(bundle, ["open=r,/disk"], ALLOW_ALL)
    equal("with all devices", list(json.loads(box.run([], bundle=bundle).expect(0, "run").out).values()),
          ["ok"])


@case(CASES, "devices/standard")
def standard_device_of_image(box):
    """The image's /dev/null, /dev/zero, ... are other devices: they are not taken for these."""
    major, minor = block_device(box)
    mounts = [row for row in box.default_config()["mounts"] if not row["destination"].startswith("/dev")]
    for name in ("null", "zero", "random", "tty"):
        bundle = box.bundle(["open=r,/dev/" + name, "open=w,/dev/" + name], {"mounts": mounts})
        os.mknod(box.rootfs(bundle, f"dev/{name}"), stat.S_IFBLK | 0o666, os.makedev(major, minor))
        result = box.run([], bundle=bundle)
        if result.status == 0:
            told = list(json.loads(result.out).values())
            true(f"the image's /dev/{name} is the host's disk and opens: {told}",
                 told == ["EPERM", "EPERM"])


@case(CASES, "devices/rules")
def device_rules(box):
    """The container's own rules: nobody inside can write them."""
    folder = "/sys/fs/cgroup/devices"
    if not os.path.isdir(folder):
        raise Skip("rules are not files in cgroup v2")
    box.fails([f"open=w,{folder}/devices.allow", f"open=w,{folder}/cgroup.procs"], ["EROFS", "EROFS"])


# Cgroups (CVE-2022-0492).

@case(CASES, "cgroups/release-agent")
def release_agent(box):
    """A program that the kernel runs as the host's root when a cgroup is empty."""
    if not os.path.exists("/sys/fs/cgroup/memory/release_agent"):
        raise Skip("no memory hierarchy of cgroup v1, where that is")
    mount = ["mount=cgroup,/dev/shm,memory", "open=w,/dev/shm/release_agent",
             "open=w,/dev/shm/notify_on_release"]
    own = "/sys/fs/cgroup/memory"
    box.fails([f"open=w,{own}/notify_on_release", f"open=w,{own}/release_agent", f"remount={own}", *mount],
              ["EROFS", "EROFS|ENOENT|EACCES", "EPERM", "EPERM", "ENOENT", "ENOENT"])
    equal("with CAP_SYS_ADMIN and the host's cgroup namespace",
          box.attack(mount, {**caps("CAP_SYS_ADMIN"), **namespaces(cgroup=None)}), ["ok", "ok", "ok"])


@case(CASES, "cgroups/v2")
def cgroup_v2(box):
    """Its own limits, and the processes of others."""
    if not box.cgroups.v2:
        raise Skip("the host has cgroup v1")
    box.fails(["open=w,/sys/fs/cgroup/cgroup.procs", "open=w,/sys/fs/cgroup/memory.max",
               "remount=/sys/fs/cgroup", "mount=cgroup2,/dev/shm,"],
              ["EROFS", "EROFS|ENOENT", "EPERM", "EPERM"])
    equal("with CAP_SYS_ADMIN", box.attack(["remount=/sys/fs/cgroup", "open=w,/sys/fs/cgroup/cgroup.procs"],
                                           caps("CAP_SYS_ADMIN")), ["ok", "ok"])


# The kernel.

@case(CASES, "kernel/module")
def module(box):
    if box.attack(["module"], caps("CAP_SYS_MODULE"))[0] == "ENOSYS":
        raise Skip("this kernel has no modules")
    box.fails(["module"], ["EPERM"])
    box.fails(["module"], ["ENOEXEC|EFAULT|EINVAL"], caps("CAP_SYS_MODULE"))


@case(CASES, "kernel/seccomp")
def seccomp(box):
    """A filter holds for what is executed, and for exec."""
    profile = {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                 "syscalls": [{"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO",
                                               "errnoRet": 38}]}}
    step = "mknod=c,1,3,/dev/second"
    box.fails([step], ["ENOSYS"], {**caps("CAP_MKNOD"), **profile})
    box.fails([step], ["ok"], {**caps("CAP_MKNOD"), **ALLOW_ALL})
    container = box.container(box.bundle(["wait"], {**caps("CAP_MKNOD"), **profile}))
    box.detach(container)
    result = box.runtime.call("exec", container.id, "/attack", step).expect(0, "exec")
    equal("exec", json.loads(result.out), {step: "ENOSYS"})


# User namespaces.

def host_folder(box):
    """A folder that only the host's root may read."""
    folder, untouched = box.victim()
    os.chmod(folder, 0o700)
    return folder, untouched


@case(CASES, "user/unprivileged")
def unprivileged_root(box):
    """An ordinary user asks for the host's root, or another user, as his container's root."""
    user = 65534
    root = os.path.join(box.dir, "state")
    os.mkdir(root, 0o700)
    os.chown(root, user, user)
    if any(not os.stat(part).st_mode & stat.S_IXOTH for part in parents(box.runtime.path)):
        raise Skip("an ordinary user cannot reach the runtime's program")
    spec = os.path.join(box.dir, "rootless")
    os.mkdir(spec)
    os.chown(spec, user, user)
    as_user = {"user": user, "group": user, "extra_groups": [], "env": {"PATH": os.environ["PATH"]},
               "cwd": "/"}
    box.runtime.call("spec", "--rootless", "--bundle", spec, root=root, **as_user).expect(0, "spec")
    with open(os.path.join(spec, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    for host_id in (0, 1, user):
        for member in ("uidMappings", "gidMappings"):
            bundle = box.bundle()
            config["process"].update({"args": ["/attack", "cwd"], "terminal": False})
            config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": user, "size": 1}]
            config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": user, "size": 1}]
            config["linux"][member][0]["hostID"] = host_id
            config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"},
                                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
            with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
                json.dump(config, file)
            os.chown(box.rootfs(bundle), user, user)
            result = box.runtime.call("run", "--bundle", bundle, "mapped",
                                      root=root, **as_user)
            if host_id == user:
                result.expect(0, "with his own id")
            else:
                true(f"{member}: an ordinary user becomes {host_id}", result.status != 0)
                lacks("the output", result.out, "cwd")


def parents(path):
    path = os.path.realpath(path)
    while path != "/":
        yield path
        path = os.path.dirname(path)


HOST_FILES = ["open=w,/proc/sys/kernel/core_pattern", "open=w,/proc/sys/vm/drop_caches", "umount=/proc/sys",
              "mknod=c,1,3,/dev/second", "module"]


@case(CASES, "user/host-root")
def host_root(box):
    """The namespace's root is the host's. Its files are his, but the kernel's settings stay closed as
    long as it has no CAP_SYS_ADMIN over the mounts; with it they are open: the map is the hole."""
    changes = mapping(0)
    box.open_to_all(changes)
    folder, untouched = host_folder(box)
    changes["mounts"] += [{"destination": "/volume", "type": "bind", "source": folder,
                           "options": ["bind", "ro"]}]
    steps = [*HOST_FILES, "read=/volume/file", "open=w,/volume/file"]
    box.fails(steps, ["EROFS", "EROFS", "EPERM", "EPERM", "EPERM|ENOSYS", "ok untouched", "EROFS"], changes)
    all_caps = {f"process.capabilities.{kind}": ALL_CAPABILITIES
                for kind in ("bounding", "effective", "permitted")}
    opened = ["umount=/proc/sys", "open=w,/proc/sys/kernel/core_pattern", "module", "mknod=b,7,0,/dev/x"]
    seen = box.attack(opened, {**changes, **all_caps})
    equal("with all capabilities", seen[2:] if seen[2] != "ENOSYS" else ["EPERM", seen[3]],
          ["EPERM", "EPERM"])
    equal("with all capabilities the host's settings", seen[:2], ["ok", "ok"])
    untouched()


@case(CASES, "user/other-root")
def other_root(box):
    """The namespace's root is nobody on the host: all capabilities, and yet nothing of the host's."""
    changes = mapping(100000)
    box.open_to_all(changes)
    folder, untouched = host_folder(box)
    changes["mounts"] += [{"destination": "/volume", "type": "bind", "source": folder, "options": ["bind"]}]
    all_caps = {f"process.capabilities.{kind}": ALL_CAPABILITIES
                for kind in ("bounding", "effective", "permitted")}
    steps = ["umount=/proc/sys", "open=w,/proc/sys/kernel/core_pattern",
             "open=w,/proc/sys/vm/drop_caches", "mknod=b,7,0,/dev/x", "module", "read=/volume/file",
             "open=w,/volume/file"]
    seen = box.attack(steps, {**changes, **all_caps})
    for step, told in list(zip(steps, seen))[1:]:
        true(f"{step}: {short(told)}", not told.startswith("ok"))
    untouched()
