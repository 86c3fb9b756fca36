# SPDX-License-Identifier: Apache-2.0
"""A host for the program `contract`: mailbox and doorbell as lumper has them, without a machine.

Each ring of the doorbell stops the program until the host lets it go on (hosted_quark.c).
"""
import collections
import contextlib
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

READY, DONE, FAILED, LOG = 1, 2, 3, 4
ORDER_NONE, ORDER_REQUEST, ORDER_SLEEP = 0, 1, 5
MAGIC, VERSION = 0x786F626B72617571, 2
MAILBOX_BYTES = 2 << 20
SMALL_REQUEST, REQUEST, LOG_AT = 1024, 4096, MAILBOX_BYTES - 65536
REQUEST_MAX = (1 << 20) - 4096
RESPONSE_MAX = (1 << 20) - 65536
HOST_HEAD = struct.Struct("<QIIQQ64sIIIIQ")
GUEST_HEAD = struct.Struct("<QIIIIQ")

Answer = collections.namedtuple("Answer", "ring data")

HERE = os.path.dirname(os.path.abspath(__file__))

# main() of each test file takes it from the command line.
PROGRAM = None


class Ended(Exception):
    """The program ended where a ring was expected."""


class Host:
    """One `contract` process and its machine."""

    def __init__(self, *arguments, env=None, program=None):
        self.logs = []
        self.sequence = 0
        self.entropy = os.urandom(64)
        self.generation = 7
        self.stopped = False  # in a ring
        bell = os.memfd_create("bell")
        os.ftruncate(bell, 4096)
        mailbox = os.memfd_create("mailbox")
        os.ftruncate(mailbox, MAILBOX_BYTES)
        self.mailbox = mmap.mmap(mailbox, MAILBOX_BYTES)
        self.socket, theirs = socket.socketpair()
        fds = [bell, mailbox, theirs.fileno()]
        environment = dict(os.environ, QUARK_DOORBELL_FD=str(bell),
                           QUARK_MAILBOX_FD=str(mailbox), QUARK_TEST_BELL=str(fds[2]),
                           QUARK_WAKE="direct", **(env or {}))
        # The socket is for the program alone; the program itself must see to the other two.
        self.process = subprocess.Popen(
            [program or PROGRAM, *arguments], pass_fds=fds, env=environment,
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        theirs.close()
        os.close(bell)
        os.close(mailbox)

    def ring(self, timeout=20):
        """Waits for the doorbell; returns its value. Log lines go to self.logs."""
        while True:
            if not select.select([self.socket], [], [], timeout)[0]:
                raise TimeoutError("the doorbell is silent")
            data = self.socket.recv(4)
            if len(data) < 4:
                raise Ended()
            self.stopped = True
            value = struct.unpack("<I", data)[0]
            if value != LOG:
                return value
            size = GUEST_HEAD.unpack_from(self.mailbox, 120)[4]
            self.logs.append(self.mailbox[LOG_AT:LOG_AT + size].decode(errors="replace"))
            self.go_on()

    def go_on(self):
        self.stopped = False
        self.socket.send(b"\0\0\0\0")

    def order(self, order, data=b""):
        self.sequence += 1
        at = SMALL_REQUEST if len(data) <= 1024 else REQUEST
        self.mailbox[at:at + len(data)] = data
        self.mailbox[0:HOST_HEAD.size] = HOST_HEAD.pack(
            MAGIC, VERSION, order, self.generation, time.time_ns(), self.entropy, at, len(data), 0, 0,
            self.sequence)
        self.go_on()

    def ready(self, timeout=20):
        value = self.ring(timeout)
        assert value == READY, f"rang {value}, not READY"
        return self

    def request(self, data=b"", timeout=20):
        """One whole request to a program that is at READY, or has answered one before."""
        if self.sequence:
            self.go_on()
            self.ready(timeout)
        self.order(ORDER_REQUEST, data)
        value = self.ring(timeout)
        _, _, offset, size, _, sequence = GUEST_HEAD.unpack_from(self.mailbox, 120)
        assert sequence == self.sequence, f"answers order {sequence}, not {self.sequence}"
        return Answer(value, self.mailbox[offset:offset + size])

    def warmed_up(self):
        """After requests to warm it up: captured again, and this is a clone of that."""
        self.go_on()
        self.ready()
        self.order(ORDER_SLEEP)
        self.ready()
        self.sequence = 0
        self.generation += 1
        return self

    def end(self, timeout=20):
        """Lets it go on to its end; returns exit status and standard error."""
        deadline = time.monotonic() + timeout
        try:
            if self.stopped:
                self.go_on()
            while True:
                self.ring(max(deadline - time.monotonic(), 0.1))
                self.go_on()
        except (Ended, BrokenPipeError, ConnectionResetError):
            pass
        _, error = self.process.communicate(timeout=timeout)
        return self.process.returncode, error.decode(errors="replace")

    def close(self):
        # No PID namespace ends with it here, and the function is in a process group of its own. The
        # program is stopped, so that the list is whole and no number in it is another's.
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            for child in children(self.process.pid):
                for kill in os.killpg, os.kill:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        kill(child, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        self.socket.close()
        self.process.stderr.close()
        self.mailbox.close()


class Case(unittest.TestCase):
    contract = None
    options = ()

    def host(self, *words, command, env=None):
        """A host whose program runs `contract WORDS... -- COMMAND`."""
        host = Host(self.contract, *self.options, *words, "--", *command, env=env)
        self.addCleanup(host.close)
        return host

    def done(self, answer, data):
        self.assertEqual((answer.ring, answer.data), (DONE, data))

    def failed(self, answer, text):
        self.assertEqual(answer.ring, FAILED, answer.data[:200])
        self.assertIn(text, answer.data.decode(errors="replace"))


def libquark_has(name):
    with open(f"{HERE}/../../runtime/libquark/quark.h", encoding="ascii") as file:
        return name in file.read()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    global PROGRAM
    import harness  # the module that the cases see, which is not this one when run as a script
    harness.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__")
