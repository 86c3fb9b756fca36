"""A function in Python. Build it on an image that has python3, and call it:

    quark build . -t hello --image docker.io/library/python:3.12-slim
    quark invoke hello -d '{"name": "world"}'
"""
import json

import quark

# Here: imports, models, tables. Paid once, before the snapshot.


@quark.after_restore
def connect():
    """In each clone, before its first request: connections, seeds of your own generators."""


def handler(request):
    name = json.loads(request or b"{}").get("name", "nobody")
    return {"greeting": "hello, " + name}
