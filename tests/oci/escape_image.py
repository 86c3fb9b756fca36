# SPDX-License-Identifier: Apache-2.0
"""Attacks by what is in the image, and by who exchanges it: mount targets, /proc, masked paths, the
console, sysctls, labels, hooks."""
import json
import os
import shutil
import time

from escape_box import caps, without_mounts
from harness import Failed, Listener, Skip, case, equal, has, lacks, read_terminal, short, true

CASES = []
RACES, RACES_S = 40, 4
NAIVE_TRIES = 20000


def races():
    """As many attempts as there is time for: starting programs is slow on an emulated machine."""
    end = time.monotonic() + RACES_S
    for _ in range(RACES):
        yield
        if time.monotonic() > end:
            break


# Links at mount targets.

def looks_outside(path, folder):
    """The link does lead there when it is not resolved inside the root."""
    true(f"{path} does not lead to the host's {folder}", os.path.samefile(path, folder))


def linked_target(box, path, absolute):
    """`path`, onto or below which `spec` mounts, is a link to a folder of the host's."""
    folder, untouched = box.victim()
    bundle = box.bundle(["read=/proc/self/comm", "open=r,/dev/null"])
    if path == "dev/pts":
        box.configure(bundle, ["read=/proc/self/comm"],
                      {"mounts": without_mounts(box.default_config(), "/dev")})
    target = folder if absolute else box.out_of_root(bundle, path, folder)
    looks_outside(box.replace(bundle, path, target=target), folder)
    result = box.run([], bundle=bundle)
    untouched()
    if result.status == 0:
        has("/proc", result.out, "ok attack")


for each in ("proc", "dev", "sys", "dev/pts", "dev/shm"):
    case(CASES, f"targets/{each}/relative", each, False)(linked_target)
    case(CASES, f"targets/{each}/absolute", each, True)(linked_target)


@case(CASES, "targets/root")
def target_is_root(box):
    """dev -> "..": the root itself would be covered, or the host's folder above it."""
    for target in ("..", "../../..", "/", "."):
        bundle = box.bundle(["read=/proc/self/comm"])
        box.replace(bundle, "dev", target=target)
        before = sorted(os.listdir(bundle))
        box.run([], bundle=bundle)
        equal("the folder above the root", sorted(os.listdir(bundle)), before)


def make_exchangeable(box, bundle, name, folder):
    """A folder of the root, and beside it a link out of it; somebody can exchange the two."""
    box.add(bundle, name)
    link = box.replace(bundle, f"{name}-link", target=box.out_of_root(bundle, "x", folder))
    looks_outside(link, folder)
    return box.rootfs(bundle, name), link


def naive_making_is_led_out(path, folder):
    """What a runtime did that makes a mount target by its path."""
    for _ in range(NAIVE_TRIES):
        try:
            os.makedirs(os.path.join(path, "deep"), exist_ok=True)
            os.rmdir(os.path.join(path, "deep"))
        except OSError:
            pass
        if "deep" in os.listdir(folder):
            os.rmdir(os.path.join(folder, "deep"))
            return
    raise Failed("the exchange is too slow to catch anybody")


@case(CASES, "targets/exchanged")
def exchanged_target(box):
    """A neighbour who has the same root, or a volume in it, exchanges a folder and a link while the
    runtime makes and mounts what is below."""
    folder, untouched = box.victim()
    mounts = box.default_config()["mounts"] + [
        {"destination": "/x/made/deep", "type": "tmpfs", "source": "tmpfs"}]
    bundle = box.bundle(["cwd"], {"mounts": mounts})
    path, link = make_exchangeable(box, bundle, "x", folder)
    ran = 0
    with box.exchanging(path, link):
        naive_making_is_led_out(path, folder)
        for _ in races():
            ran += box.run([], bundle=bundle).status == 0
            untouched()
    true("it never ran", ran)


# /proc.

OVER_PROC = (
    ("/proc", "bind", "/tmp"), ("/proc", "tmpfs", "tmpfs"), ("/proc/self/attr", "tmpfs", "tmpfs"),
    ("/proc/sys", "tmpfs", "tmpfs"), ("/proc/sys/kernel", "bind", "/tmp"), ("/proc/1/fd", "tmpfs", "tmpfs"),
    ("/proc/../proc/self", "tmpfs", "tmpfs"), ("//proc/./self", "tmpfs", "tmpfs"))


@case(CASES, "proc/over-mount")
def over_proc(box):
    """Volumes over /proc or below: labels and sysctls would be written elsewhere (CVE-2019-16884)."""
    for destination, kind, source in OVER_PROC:
        mount = {"destination": destination, "type": kind, "source": source,
                 "options": ["bind"] if kind == "bind" else []}
        box.is_refused({"mounts": box.default_config()["mounts"] + [mount]})
    cover = {"destination": "/proc/uptime", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}
    box.fails(["open=r,/proc/uptime"], ["ok"], {"mounts": box.default_config()["mounts"] + [cover]})


@case(CASES, "proc/by-link")
def over_proc_by_link(box):
    """The volume's target is a link of the image that leads into /proc (CVE-2025-52881)."""
    for target in ("/proc", "/proc/self/attr", "../proc/sys/kernel", "/proc/self"):
        mount = {"destination": "/volume/x" if target == "/proc/self" else "/volume", "type": "tmpfs",
                 "source": "tmpfs"}
        bundle = box.bundle(["cwd"], {"mounts": box.default_config()["mounts"] + [mount],
                                      "root.readonly": False})
        box.replace(bundle, "volume", target=target)
        result = box.run([], bundle=bundle)
        true(f"it runs with a mount over {target}", result.status != 0)
    bundle = box.bundle(["open=r,/else"], {"mounts": box.default_config()["mounts"] + [
        {"destination": "/volume", "type": "tmpfs", "source": "tmpfs"}]})
    box.add(bundle, "else")
    box.replace(bundle, "volume", target="/else")
    box.run([], bundle=bundle).expect(0, "a link that leads elsewhere")


@case(CASES, "proc/replaced")
def replaced_proc(box):
    """/proc and /sys of the image are links or files (CVE-2019-19921, CVE-2023-27561)."""
    for name in ("proc", "sys"):
        for how in ({"target": "/tmp"}, {"target": "tmp"}, {"text": "no folder"}):
            bundle = box.bundle(["read=/proc/self/comm"])
            box.replace(bundle, name, **how)
            result = box.run([], bundle=bundle)
            true(f"it runs with /{name} {how}", result.status != 0)


# Masked and read-only paths.

@case(CASES, "masked/read")
def masked(box):
    """Files are empty, folders are empty; without the mask they are not."""
    config = box.default_config()
    true("/proc/keys is not masked by default", "/proc/keys" in config["linux"]["maskedPaths"])
    box.fails(["read=/proc/keys", "list=/sys/firmware", "open=w,/sys/firmware/x"],
              ["ok ", "0|ENOENT", "ENOENT|EROFS|EACCES|EISDIR"])
    seen = box.attack(["read=/proc/keys"], {"linux.maskedPaths": []})
    true("/proc/keys is empty also without the mask", len(seen[0]) > len("ok "))


READONLY = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
            "/proc/sysrq-trigger")


@case(CASES, "masked/write")
def read_only(box):
    """core_pattern and modprobe name programs that the kernel runs as the host's root."""
    paths = [path for path in READONLY if os.path.exists(path)]
    steps = [f"open=w,{path}" for path in paths]
    box.fails(steps, ["EROFS"] * len(steps))
    box.fails(steps, ["ok"] * len(steps), {"linux.readonlyPaths": []})


UNDO = ["umount=/proc/keys", "remount=/proc/sys", "umount=/proc/sys", "umount=/proc",
        "bind=/proc/self/status,/proc/keys", "bind=/dev,/proc/sys", "mount=proc,/dev/shm,",
        "mount=tmpfs,/proc,", "mount=sysfs,/dev/shm,"]


@case(CASES, "masked/undo")
def undo(box):
    """Without CAP_SYS_ADMIN no mount can be made, changed or taken away; with it each can."""
    more = ["open=w,/proc/sys/kernel/core_pattern", "read=/proc/keys"]
    box.fails(UNDO + more, ["EPERM"] * len(UNDO) + ["EROFS", "ok "])
    seen = box.attack(["umount=/proc/keys", "remount=/proc/sys", *more], caps("CAP_SYS_ADMIN"))
    equal("with CAP_SYS_ADMIN", seen[:3], ["ok", "ok", "ok"])


def without_dev(box):
    """The container's /dev is the image's."""
    config = box.default_config()
    return {"mounts": without_mounts(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")}


CORE_PATTERN = "/proc/sys/kernel/core_pattern"
LOOK = [f"open=w,{CORE_PATTERN}", "open=w,/proc/sys/vm/drop_caches", "read=/proc/keys"]


@case(CASES, "masked/null")
def null_replaced(box):
    """Files are masked by /dev/null; the image's is a link to what shall become writable
    (CVE-2025-31133)."""
    for how in ({"target": CORE_PATTERN}, {"target": "/proc/sys/vm/drop_caches"}, {"text": "a file"},
                {"target": "/attack"}):
        bundle = box.bundle(LOOK, without_dev(box))
        box.replace(bundle, "dev/null", **how)
        result = box.run([], bundle=bundle)
        if result.status == 0:
            equal(f"with /dev/null {how}", list(json.loads(result.out).values()), ["EROFS", "EROFS", "ok "])
    bundle = box.bundle(LOOK, without_dev(box))
    box.run([], bundle=bundle).expect(0, "with no /dev/null in the image")


@case(CASES, "masked/null-exchanged")
def null_exchanged(box):
    """As before, but by a neighbour, between the making of the device and its use."""
    bundle = box.bundle(LOOK, without_dev(box))
    box.run([], bundle=bundle).expect(0, "the first")
    link = box.replace(bundle, "dev/null-link", target=CORE_PATTERN)
    ran = refused = 0
    with box.exchanging(box.rootfs(bundle, "dev/null"), link):
        for _ in races():
            result = box.run([], bundle=bundle)
            ran, refused = ran + (result.status == 0), refused + (result.status != 0)
            if result.status == 0:
                equal("in a race", list(json.loads(result.out).values()), ["EROFS", "EROFS", "ok "])
    true(f"no race: {ran} ran, {refused} were refused", ran and refused)


# The console.

def run_on_terminal(box, bundle, steps):
    """What it printed on a terminal of its own; None when it was refused."""
    config = box.default_config()
    box.configure(bundle, steps, {"process.terminal": True,
                                  "mounts": without_mounts(config, "/dev", "/dev/shm", "/dev/mqueue")})
    listener = Listener(box, f"console{box.count}-{len(box.containers)}")
    container = box.container(bundle)
    with open(os.path.join(box.dir, "stderr"), "w", encoding="utf-8") as err:
        result = box.runtime.call("run", "--detach", "--bundle", bundle, "--console-socket", listener.path,
                                  container.id, stdout=err, stderr=err)
    if result.status:
        return None
    text = read_terminal(listener.receive()[1], 5)
    return list(json.loads(text.strip().splitlines()[-1]).values())


@case(CASES, "console/replaced")
def console_replaced(box):
    """/dev/console, or /dev/pts, of the image is a link (CVE-2025-52565)."""
    folder, untouched = box.victim()
    outside = os.path.join(folder, "file")
    for path, target in (("dev/console", CORE_PATTERN), ("dev/console", "out"), ("dev/pts", "out"),
                         ("dev/ptmx", "out")):
        bundle = box.bundle()
        box.replace(bundle, path, target=target if target != "out" else
                    box.out_of_root(bundle, path, folder if path == "dev/pts" else outside))
        seen = run_on_terminal(box, bundle, LOOK)
        true(f"/{path} -> {target}: {seen}", seen in (None, ["EROFS", "EROFS", "ok "]))
        untouched()
    equal("without a link", run_on_terminal(box, box.bundle(), LOOK), ["EROFS", "EROFS", "ok "])


@case(CASES, "console/exchanged")
def console_exchanged(box):
    """/dev/console is exchanged for a link to what the terminal shall cover, and so make writable."""
    bundle = box.bundle()
    file = box.replace(bundle, "dev/console", text="")
    link = box.replace(bundle, "dev/console-link", target=CORE_PATTERN)
    seen = []
    with box.exchanging(file, link):
        for _ in races():
            seen.append(run_on_terminal(box, bundle, LOOK))
    true(f"in a race: {seen}", all(row in (None, ["EROFS", "EROFS", "ok "]) for row in seen))
    true("no race: never refused, or always", None in seen and any(seen))


# What the runtime writes on the container's behalf (CVE-2025-52881).

SETTING = "net/ipv4/ip_unprivileged_port_start"


@case(CASES, "writes/sysctl")
def sysctl_redirected(box):
    """The image has its own /proc/sys, and a procfs is elsewhere: the value must arrive there."""
    mounts = without_mounts(box.default_config(), "/proc") + [
        {"destination": "/p", "type": "proc", "source": "proc"}]
    bundle = box.bundle([f"read=/p/sys/{SETTING}", f"read=/proc/sys/{SETTING}"], {
        "mounts": mounts, "linux.sysctl": {SETTING.replace("/", "."): "5"},
        "linux.maskedPaths": [], "linux.readonlyPaths": []})
    box.add(bundle, "p")
    box.replace(bundle, f"proc/sys/{SETTING}", text="image")
    result = box.run([], bundle=bundle)
    with open(box.rootfs(bundle, f"proc/sys/{SETTING}"), encoding="ascii") as file:
        equal("the image's file", file.read(), "image")
    if box.runtime.name == "run0":
        equal("the setting", [v.strip() for v in json.loads(result.expect(0, "run").out).values()],
              ["ok 5", "ok image"])


@case(CASES, "writes/sysctl-name")
def sysctl_of_host(box):
    """Names that leave the folder, or are of the host."""
    for name in ("net/../kernel/core_pattern", "net.ipv4/../../kernel/core_pattern", "../../etc/hostname",
                 "kernel.core_pattern", "kernel/modprobe", "vm.drop_caches", "net....kernel.core_pattern"):
        box.is_refused({"linux.sysctl": {name: "1"}})


@case(CASES, "writes/label")
def label_redirected(box):
    """The image has a file where a label would be written, and no procfs over it."""
    changes = {"mounts": without_mounts(box.default_config(), "/proc"), "linux.maskedPaths": [],
               "linux.readonlyPaths": []}
    for member in ("apparmorProfile", "selinuxLabel"):
        bundle = box.bundle(["cwd"], {**changes, f"process.{member}": "some_label"})
        paths = [box.replace(bundle, f"proc/{who}/attr/{name}", text="image")
                 for who in ("self", "thread-self", "self/task/1") for name in ("exec", "apparmor/exec")]
        result = box.run([], bundle=bundle)
        for path in paths:
            with open(path, encoding="ascii") as file:
                equal("the image's file", file.read(), "image")
        if box.runtime.name == "run0":
            true(f"it runs without its {member}", result.status != 0)


# Hooks.

@case(CASES, "hooks/of-host")
def hooks_of_host(box):
    """Hooks of the runtime's namespaces are files of the host: the image's own are not taken."""
    for point in ("prestart", "createRuntime", "createContainer"):
        bundle = box.bundle(["cwd"], {f"hooks.{point}": [{"path": "/escape-hook", "args": ["hook", "cwd"]}]})
        shutil.copy(box.suite.probe, box.rootfs(bundle, "escape-hook"))
        result = box.run([], bundle=bundle)
        true(f"hooks.{point} runs a program of the image", result.status != 0)
        lacks("the output", result.out, "cwd")
    outside = [{"path": box.suite.probe, "args": ["hook", "open=r,/etc/hostname"]}]
    box.run(["cwd"], {"hooks.createRuntime": outside}).expect(0, "the same as a file of the host")


@case(CASES, "hooks/of-image")
def hooks_of_image(box):
    """startContainer hooks are programs of the image: with the container's privileges, no others."""
    hook = [{"path": "/attack", "args": ["attack", "caps", "fds", "umount=/proc/keys", "module",
                                        f"open=w,{CORE_PATTERN}"]}]
    result = box.run(["caps", "fds", "umount=/proc/keys", "module", f"open=w,{CORE_PATTERN}"],
                     {"hooks.startContainer": hook}).expect(0, "run")
    told = [json.loads(line) for line in result.out.strip().splitlines()]
    if box.runtime.name != "run0" and len(told) < 2:
        raise Skip("this runtime keeps what its hooks say to itself")
    equal(f"programs that told something: {short(result.out)}", len(told), 2)
    equal("the hook", told[0], told[1])
    equal("its capabilities", told[0]["caps"], "0000000020000420")
    equal("its descriptors", told[0]["fds"], "0 1 2")
