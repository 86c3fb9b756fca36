# SPDX-License-Identifier: Apache-2.0
"""Runs image-import over a store of its own, and looks into what it made."""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

IMPORT = os.environ["QUARK_BUILD"] + "/libexec/quark-tests/image-import"


class Failed(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise Failed(" ".join(str(part) for part in what))


class Store:
    def __init__(self, scratch):
        self.scratch = scratch
        self.path = scratch + "/store"
        self.count = 0

    def fresh(self, name):
        self.count += 1
        return "%s/%s-%d" % (self.scratch, name, self.count)

    def run(self, *args, env=None):
        return subprocess.run([IMPORT, self.path, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, errors="surrogateescape", env=env,
                              check=False)

    def accept(self, *args):
        """Imports; what the image says, as lists of values by name."""
        done = self.run("import", *args)
        check(done.returncode == 0, "refused:", args, done.stderr)
        return fields(done.stdout)

    def refuse(self, text, *args):
        """Is refused with one line that has `text`; and nothing is left."""
        before = self.contents()
        done = self.run("import", *args)
        check(done.returncode == 1, "not refused, exit status", done.returncode, done.stdout)
        check(done.stderr.count("\n") == 1 and done.stderr.isprintable() is False,
              "not one line:", repr(done.stderr))
        check(done.stderr[:-1].isprintable(), "not printable:", repr(done.stderr))
        check(text in done.stderr, "another reason:", done.stderr, "instead of", repr(text))
        check(self.contents() == before, "left in the store:", self.contents() - before)
        return done.stderr

    def contents(self):
        found = set()
        for path in (self.path, self.path + "/names"):
            found |= set(os.listdir(path)) if os.path.isdir(path) else set()
        return found - {"names", ".lock"}

    @contextlib.contextmanager
    def mounted(self, image):
        """The image's root, mounted."""
        at = self.fresh("mount")
        os.mkdir(at)
        subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", image["root"][0], at], check=True)
        try:
            yield at
        finally:
            subprocess.run(["umount", at], check=True)


def fields(text):
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


def run_cases(cases):
    """Each case is a function of a fresh store; exit status 1 when one fails."""
    if os.geteuid() != 0:
        print("skipped: only root can mount images")
        sys.exit(77)
    if sys.argv[1:]:
        cases = [case for case in cases if case.__name__ in sys.argv[1:]]
    failed = 0
    for case in cases:
        scratch = tempfile.mkdtemp(prefix="quark-images.")
        try:
            case(Store(scratch))
            print("ok    ", case.__name__)
        except Failed as error:
            failed += 1
            print("FAILED", case.__name__, error)
        finally:
            shutil.rmtree(scratch)
    print("%d cases, %d failed" % (len(cases), failed))
    sys.exit(1 if failed or not cases else 0)
