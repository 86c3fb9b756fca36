# SPDX-License-Identifier: Apache-2.0
"""hooks-python: answers how often its hooks ran, and what the one after the restore drew. With
FAIL=before or FAIL=after that hook fails."""
import os

import quark

seen = {"before": 0, "after": 0, "token": ""}


def fail(when):
    if os.environ.get("FAIL") == when:
        raise RuntimeError(f"no luck {when} all")


@quark.before_snapshot
def before():
    fail("before")
    seen["before"] += 1


@quark.after_restore
def after():
    fail("after")
    seen["after"] += 1
    seen["token"] = os.urandom(8).hex()


def handler(_request):
    return seen
