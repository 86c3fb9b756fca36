#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""behaviour.py [OPTION]... RUNTIME [CASE]...: does a container runtime do what its configuration says?

Each case makes containers through the command line of RUNTIME (run0, crun, runc), looks at them from
inside with `probe`, and compares. Afterwards nothing may be left: mounts, cgroups, state, processes.
CASE is a name or the beginning of one; without, all. One line a case: ok, FAILED, skipped (this machine
cannot), or differs (another runtime, and the table of differences says why). Exit status: 0, or 1
when a case failed, or 77 when there was nothing to do.
"""
import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
# pylint: disable=wrong-import-position
import cases_cgroup
import cases_isolation
import cases_lifecycle
import cases_mounts
import cases_process
from differences import difference
from harness import Box, Cgroups, Failed, Runtime, Skip, become_subreaper

MODULES = (cases_isolation, cases_mounts, cases_process, cases_cgroup, cases_lifecycle)


class Suite:
    def __init__(self, options, folder):
        self.dir = folder
        # One file system with the bundles, so that each has it by a link.
        self.probe = shutil.copy(options.probe, os.path.join(folder, "probe"))
        os.chmod(self.probe, 0o755)
        self.runtime = Runtime(options.runtime, os.path.join(folder, "state"))
        self.cgroups = Cgroups()

    def attempt(self, name, function):
        """(status, why)"""
        box = Box(self, name)
        try:
            status, why = self.judge(box, function)
        finally:
            problems = box.close()
        if problems and status != "FAILED":
            status, why = "FAILED", "; ".join(problems)[:400]
        return status, why

    @staticmethod
    def judge(box, function):
        status, why = "ok", ""
        try:
            function(box)
        except Skip as reason:
            status, why = "skipped", str(reason)
        except Failed as reason:
            status, why = "FAILED", str(reason)
        except Exception as error:  # pylint: disable=broad-except
            trace = error.__traceback__
            while trace.tb_next:
                trace = trace.tb_next
            status = "FAILED"
            why = f"{type(error).__name__} {error} (line {trace.tb_lineno})"
        return status, why

    def case(self, name, function):
        began = time.monotonic()
        status, why = self.attempt(name, function)
        if status == "FAILED":
            known = difference(self.runtime.name, name)
            if known:
                status, why = "differs", known
        took_ms = round((time.monotonic() - began) * 1000)
        print(f"{status:8}{name}{': ' if why else ''}{why} ({took_ms} ms)", flush=True)
        return {"case": name, "status": status, "why": why, "ms": took_ms}


def all_cases():
    return [row for module in MODULES for row in module.CASES]


def chosen(wanted):
    cases = all_cases()
    if not wanted:
        return cases
    return [(name, f) for name, f in cases if any(name.startswith(word) for word in wanted)]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the results to this file, too")
    parser.add_argument("--probe", default=os.environ.get("OCI_PROBE"), metavar="FILE",
                        help="the program that looks (default: $OCI_PROBE)")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    parser.add_argument("runtime", nargs="?")
    parser.add_argument("case", nargs="*")
    options = parser.parse_args()
    if not options.list and not (options.runtime and options.probe):
        parser.error("a runtime and --probe are needed")
    return options


def why_not():
    """Why nothing can be run here; None when it can."""
    if os.geteuid():
        return "containers need root here"
    if not os.path.isdir("/sys/fs/cgroup"):
        return "no cgroups are mounted"
    return None


def summary(suite, results):
    count = {}
    for row in results:
        count[row["status"]] = count.get(row["status"], 0) + 1
    text = ", ".join(f"{n} {status}" for status, n in sorted(count.items()))
    layout = "v2" if suite.cgroups.v2 else "v1"
    print(f"{suite.runtime.name} {suite.runtime.version}, cgroup {layout}: "
          f"{len(results)} cases: {text}")
    return {"runtime": suite.runtime.name, "version": suite.runtime.version, "cgroup": layout,
            "kernel": platform.release(), "count": count, "results": results}


def main():
    options = parse()
    cases = chosen(options.case)
    if options.list:
        print("\n".join(name for name, _ in cases))
        return 0
    if not cases:
        print(f"no case is called {' or '.join(options.case)}", file=sys.stderr)
        return 1
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        return 77
    become_subreaper()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="oci-behaviour.") as folder:
        os.chmod(folder, 0o755)
        suite = Suite(options, folder)
        try:
            result = summary(suite, [suite.case(name, function) for name, function in cases])
        finally:
            suite.cgroups.remove_parents()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    return 1 if result["count"].get("FAILED") else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
