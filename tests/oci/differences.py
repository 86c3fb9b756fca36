# SPDX-License-Identifier: Apache-2.0
"""Where another runtime does not do what a case asserts, and why that is no news.

A case of run0's has no place here: what it does not do is a failure. A name that ends in a slash stands
for all cases that begin so.
"""

LATER = "this version does not do it"
NOT_CHECKED = "what the configuration asks for is not checked, or left out without a word"
LEAVES_CGROUP = "refused, but the cgroup stays until somebody removes it"
OWN_CLI = "its command line is another"

ROWS = {
    "runc": (
        (LATER, ("namespaces/new/time", "namespaces/path/time", "namespaces/time-offsets",
                 "names/domainname", "limits/personality", "limits/personality-refused", "scheduler/",
                 "io-priority/", "cgroup/cpu/burst", "cgroup/cpu/idle", "exec/process-umask",
                 "seccomp/flags", "mounts/idmap", "mounts/idmap-userns", "mounts/ridmap")),
        ("an option of later versions of crun", ("mounts/copy-symlink",)),
        ("the soft limit of open files is raised, as the Go runtime does for itself", ("exec/process-file",)),
        (NOT_CHECKED, ("cgroup/refused/no-controller", "limits/refused/twice",
                       "namespaces/time-offsets-without", "user/mappings-without-namespace",
                       "config/refused/version-absent", "config/refused/version-future")),
        ("both may fail", ("create/same-id-at-once",)),
        ("wants mappings beside the path of a user namespace", ("namespaces/path/user",)),
        ("leaves the root's bind mount in the caller's mount namespace", ("namespaces/absent/mount",)),
        ("the root is private whatever is asked for, or refused", ("root/propagation/",)),
        ("the mode of the folder below wins over the option", ("mounts/tmpfs",)),
        ("runs poststart hooks at the end of create", ("hooks/order", "hooks/state-on-stdin")),
        ("stops the container when a poststart hook fails", ("hooks/failing/poststart",)),
        ("does not wait for startContainer hooks", ("hooks/failing/startContainer",)),
        ("stops at the first poststop hook that fails", ("hooks/failing/poststop",)),
        ("ends with the container's cgroup, not with its process", ("events/until-the-end",)),
        ("gives the terminal its size after the program has begun", ("terminal/relayed",)),
    ),
    "crun": (
        (LATER, ("namespaces/new/time", "namespaces/path/time", "namespaces/time-offsets", "scheduler/",
                 "io-priority/", "cgroup/cpu/burst", "mounts/copy-symlink", "run/keep")),
        (NOT_CHECKED, ("namespaces/time-offsets-without", "namespaces/twice", "user/no-mappings",
                       "user/mappings-without-namespace", "seccomp/refused/notify-without-listener",
                       "devices/bad-type", "process/cwd-relative", "limits/refused/twice",
                       "config/refused/uid-text", "config/refused/env-type",
                       "config/refused/terminal-type", "config/refused/hostname-type",
                       "config/refused/memory-type", "config/refused/pids-type",
                       "config/refused/propagation", "config/refused/masked-relative",
                       "terminal/socket-without-terminal", "create/bad-id/space", "mounts/over-proc",
                       "kill/unknown-signal", "update/refused")),
        (LEAVES_CGROUP, ("namespaces/path/wrong-kind", "namespaces/path/missing", "namespaces/unknown",
                         "limits/refused/unknown", "limits/refused/soft-above-hard",
                         "config/refused/oom-score", "cgroup/refused/")),
        ("a namespace list of the wrong type is none: it mounts in the caller's mount namespace",
         ("config/refused/namespaces-type",)),
        ("the root is private, so nothing comes into it", ("root/propagation/slave",
                                                           "root/propagation/rslave")),
        ("this option of a bind mount has no effect, or is refused by the kernel", (
            "mounts/option/nosymfollow", "mounts/recursive/rnosymfollow", "mounts/recursive/rnoatime",
            "mounts/recursive/rnodiratime")),
        ("ro stays in spite of a later rw", ("mounts/option/last-wins",)),
        ("what is mounted over the root is seen by nobody", ("paths/read-only-root",)),
        ("a read-only path loses the flags of the mount that it is on", ("paths/read-only-keeps-flags",)),
        ("a target that is a link must lead to something that is there",
         ("mounts/target-link-stays-inside",)),
        ("refused, and the cgroup stays",
         ("mounts/idmap", "mounts/idmap-userns", "mounts/ridmap")),
        ("the bundle of a startContainer hook's state is /", ("hooks/state-on-stdin",)),
        ("does not wait for startContainer hooks", ("hooks/failing/startContainer",)),
        ("gives the terminal its size after the program has begun", ("terminal/relayed",)),
        ("sets LISTEN_PID alone", ("create/listen-fds",)),
        (OWN_CLI, ("events/", "ps/children", "create/equals-forms", "exec/additional-gids",
                   "exec/short-options", "features")),
        ("exec does not take the container's environment over", ("exec/options",)),
        ("writes a configuration without mappings", ("spec/rootless",)),
    ),
}


def difference(runtime, name):
    """Why this runtime may fail this case; None when it may not."""
    for why, names in ROWS.get(runtime, ()):
        for known in names:
            if name == known or (known.endswith("/") and name.startswith(known)):
                return why
    return None
