# SPDX-License-Identifier: Apache-2.0
"""unique-python: answers what two clones must not have in common.

Everything that is drawn from has been drawn from before the snapshot, so that its state is copied.
But not the boot id: the kernel draws that when it is first read, and gives no way to draw it again.
The request "clock" is answered with the time alone.
"""
import os
import random
import socket
import ssl
import time
import uuid

try:
    import numpy
except ImportError:  # an image without it
    numpy = None


def read(path):
    with open(path) as file:
        return file.read().strip()


def draw_numpy():
    if not numpy:
        return {}
    return {
        "numpy": numpy.random.random(),
        "numpy_generator": numpy.random.default_rng().random(),
    }


def draw():
    return {
        "kernel": os.urandom(16).hex(),
        "random": random.random(),
        **draw_numpy(),
        "openssl": ssl.RAND_bytes(16).hex(),
        "uuid": str(uuid.uuid4()),
        "hostname": socket.gethostname(),
        "machine_id": read("/etc/machine-id"),
        "realtime_ns": time.time_ns(),
    }


def handler(request):
    if request == b"clock":
        return {"realtime_ns": time.time_ns()}
    return {**draw(), "boot_id": read("/proc/sys/kernel/random/boot_id")}


for _ in range(3):
    draw()
