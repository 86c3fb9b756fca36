# SPDX-License-Identifier: Apache-2.0
"""A host without a VM, for the Python and Node sides of libquark.

The guest is an ordinary process with trap.so preloaded: each store to the doorbell stops it until
this host says how to go on. The mailbox is a memfd that both have mapped.
"""
import ctypes
import mmap
import os
import select
import socket
import struct
import subprocess
import tempfile
import time

MAGIC, VERSION, MAILBOX_BYTES = 0x786F626B72617571, 2, 2 << 20
NONE, REQUEST, PARK, SLEEP = 0, 1, 2, 5
READY, DONE, FAILED, LOG = 1, 2, 3, 4
ASLEEP, ARRIVED, GO = 0, 1, 2
SMALL_REQUEST, LARGE_REQUEST, SMALL_RESPONSE, LARGE_RESPONSE = 1024, 4096, 2048, 1 << 20
REQUEST_MAX, RESPONSE_MAX = (1 << 20) - 4096, (1 << 20) - 65536
LOG_OFFSET, WAKE_OFFSET = MAILBOX_BYTES - 65536, 152
HEADER, GUEST = "<QIIQQ64sIIIIQ", "<QIIIIQ"
GUEST_OFFSET = struct.calcsize(HEADER)
TIMEOUT = 60


def build_folder():
    return os.environ["QUARK_BUILD"]


def source_folder():
    return os.environ["QUARK_SOURCE"]


class Host:
    def __init__(self, argv, env=None, cwd=None, empty_bell=False, tracer=()):
        self.mailbox_fd = os.memfd_create("mailbox")
        os.ftruncate(self.mailbox_fd, MAILBOX_BYTES)
        self.mailbox = mmap.mmap(self.mailbox_fd, MAILBOX_BYTES)
        self.bell_fd = os.memfd_create("bell")
        os.ftruncate(self.bell_fd, 0 if empty_bell else 4096)
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(TIMEOUT)
        self.sequence = 0
        self.generation = 0
        self.stderr = tempfile.TemporaryFile()
        preload = os.path.join(build_folder(), "tests", "libquark", "trap.so")
        argv = [*tracer, "env", "LD_PRELOAD=" + preload, *argv]
        self.process = subprocess.Popen(
            argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr,
            pass_fds=(self.mailbox_fd, self.bell_fd, theirs.fileno()),
            env={**os.environ, "QUARK_MAILBOX_FD": str(self.mailbox_fd),
                 "QUARK_DOORBELL_FD": str(self.bell_fd),
                 "QUARK_TRAP_FD": str(theirs.fileno()), **(env or {})})
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.mailbox.close()
        self.stderr.close()
        os.close(self.mailbox_fd)
        os.close(self.bell_fd)

    def output(self):
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")

    # --- the doorbell ---

    def ring(self):
        """Waits for the next ring: its value, or None when the guest has ended."""
        message = b""
        while len(message) < 8:
            part = self.socket.recv(8 - len(message))
            if not part:
                return None
            message += part
        return struct.unpack("<II", message)[0]

    def expect(self, value):
        seen = self.ring()
        assert seen == value, "rang %s, not %s: %s %s" % (
            seen, value, self.answer()[:500] if seen == FAILED else "", self.output())

    def go(self, word=b"g"):
        self.socket.sendall(word)

    def status(self):
        return self.process.wait(TIMEOUT)

    # --- the mailbox ---

    def fresh(self):
        """A new machine: another mailbox, another identity."""
        self.mailbox[:] = bytes(MAILBOX_BYTES)
        self.generation = int.from_bytes(os.urandom(8), "little") | 1
        self.sequence = 0

    def order(self, order, request=b"", pages=(), **other):
        """Writes an order. `other` puts anything else into the header."""
        self.sequence += 1
        offset = SMALL_REQUEST if len(request) <= 1024 else LARGE_REQUEST
        self.mailbox[offset:offset + len(request)] = request
        touch = struct.pack("<%dQ" % len(pages), *pages)
        if touch:
            self.mailbox[LARGE_REQUEST:LARGE_REQUEST + len(touch)] = touch
        header = {"magic": MAGIC, "version": VERSION, "order": order,
                  "generation": self.generation, "realtime": time.time_ns(),
                  "entropy": os.urandom(64), "offset": offset, "bytes": len(request),
                  "touch_offset": LARGE_REQUEST, "touch_count": len(pages),
                  "sequence": self.sequence, **other}
        struct.pack_into(HEADER, self.mailbox, 0, *header.values())

    def guest(self):
        names = "magic", "version", "offset", "bytes", "log_bytes", "sequence"
        return dict(zip(names, struct.unpack_from(GUEST, self.mailbox, GUEST_OFFSET)))

    def answer(self):
        guest = self.guest()
        assert guest["magic"] == MAGIC and guest["version"] == VERSION, guest
        assert guest["sequence"] == self.sequence, (guest, self.sequence)
        assert guest["offset"] + guest["bytes"] <= MAILBOX_BYTES, guest
        return self.mailbox[guest["offset"]:guest["offset"] + guest["bytes"]]

    def log(self):
        return self.mailbox[LOG_OFFSET:LOG_OFFSET + self.guest()["log_bytes"]]

    # --- whole requests ---

    def start(self):
        self.expect(READY)
        self.fresh()

    def invoke(self, request=b"", ring=DONE, logs=None, **other):
        """One request to a guest that waits at READY, up to its next READY. `other` may hold
        word=b"c": in a copy of the guest, after which the first one waits again."""
        word = other.pop("word", b"g")
        self.order(REQUEST, request, **other)
        self.go(word)
        while True:
            seen = self.ring()
            if seen != LOG:
                break
            (logs if logs is not None else []).append(self.log())
            self.go()
        assert seen == ring, "rang %s, not %s: %s %s" % (
            seen, ring, self.answer()[:2000] if seen == FAILED else "", self.output())
        answer = self.answer()
        self.go()
        self.expect(READY)
        return answer

    def invoke_clone(self, request=b"", **other):
        answer = self.invoke(request, word=b"c", **other)
        self.go(b"x")
        self.expect(0)  # the first one is back
        return answer

    # --- run0's part of a wake ---

    def wake_word(self):
        return struct.unpack_from("<I", self.mailbox, WAKE_OFFSET)[0]

    def wait_arrived(self):
        limit = time.monotonic() + TIMEOUT
        while self.wake_word() != ARRIVED:
            assert time.monotonic() < limit, "the function did not arrive: " + self.output()
            assert self.process.poll() is None, "the function ended: " + self.output()
            time.sleep(0.01)

    def wake(self, value=GO):
        struct.pack_into("<I", self.mailbox, WAKE_OFFSET, value)
        self.poke()

    def poke(self):
        """A futex wake; also what a spurious wake-up looks like."""
        word = ctypes.addressof(ctypes.c_char.from_buffer(self.mailbox, WAKE_OFFSET))
        return ctypes.CDLL(None).syscall(ctypes.c_long(202), ctypes.c_void_p(word), 1, 1)

    def silent(self, seconds=0.3):
        """Whether the guest rings nothing for a while."""
        return not select.select([self.socket], [], [], seconds)[0]
