#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libquark's Python module against a host without a VM (fake_host.py).

test_python.py [PYTHON]: the interpreter to test, else this one.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import fake_host as fh

PYTHON = sys.executable
ECHO = """
import quark
while True:
    quark.respond(quark.next().view)
"""
DRAWS = """
import json, os, random, ssl, sys, tempfile, uuid
import quark
try:
    import numpy
except ImportError:
    numpy = None
# One each, so that state is half used, and gauss and normal have their second number in stock.
ssl.RAND_bytes(8); random.random(); uuid.uuid1(); random.gauss(0, 1); tempfile.mktemp()
if numpy:
    numpy.random.random(); numpy.random.normal()
def handler(request):
    return {
        "random": random.random(), "gauss": random.gauss(0, 1), "openssl": ssl.RAND_bytes(16).hex(),
        "uuid1": str(uuid.uuid1())[14:], "tempfile": tempfile.mktemp(),
        **({"numpy": numpy.random.random(), "normal": numpy.random.normal()} if numpy else {}),
    }
quark.serve(handler)
"""


def guest(program, **more):
    folder = os.path.join(fh.source_folder(), "runtime", "libquark", "python")
    env = {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", **more.pop("env", {})}
    argv = program if isinstance(program, list) else ["-c", program]
    return fh.Host([PYTHON, *argv], env=env, **more)


class Requests(unittest.TestCase):
    def test_small_and_large_payloads(self):
        with guest(ECHO) as host:
            host.start()
            for size in (0, 1, 1024, 1025, 2048, 2049, 100000, fh.RESPONSE_MAX):
                data = os.urandom(size)
                self.assertEqual(host.invoke(data), data)
                where = fh.SMALL_RESPONSE if size <= 2048 else fh.LARGE_RESPONSE
                self.assertEqual(host.guest()["offset"], where)

    def test_fields_of_a_request(self):
        program = """
import json, quark
while True:
    r = quark.next()
    quark.respond(json.dumps([r.generation, r.realtime_ns, r.entropy.hex(), r.data.decode()]))
"""
        with guest(program) as host:
            host.start()
            answer = json.loads(host.invoke(b"x", generation=2**64 - 1, realtime=2**63 + 5,
                                            entropy=bytes(range(64))))
            self.assertEqual(answer, [2**64 - 1, 2**63 + 5, bytes(range(64)).hex(), "x"])

    def test_orders_none_and_sleep(self):
        with guest(ECHO) as host:
            host.start()
            for order in fh.NONE, fh.NONE, fh.SLEEP:
                host.order(order)
                host.go()
                host.expect(fh.READY)
            self.assertEqual(host.invoke(b"after"), b"after")

    def test_unanswered_request_fails(self):
        with guest("import quark\nwhile True: quark.next()") as host:
            host.start()
            self.assertEqual(host.invoke(b"x", ring=fh.FAILED), b"the function did not answer")

    def test_too_large_response_can_still_fail(self):
        program = """
import quark
while True:
    quark.next()
    try: quark.respond(bytes(quark.RESPONSE_MAX + 1))
    except quark.Error as error: quark.fail(str(error))
"""
        with guest(program) as host:
            host.start()
            self.assertIn(b"at most 983040 bytes, not 983041", host.invoke(ring=fh.FAILED))

    def test_answer_without_request(self):
        program = """
import quark
quark.next(); quark.respond(b"one")
try: quark.respond(b"two")
except quark.Error as error: first = str(error)
while True:
    quark.next(); quark.respond(first)
"""
        with guest(program) as host:
            host.start()
            self.assertEqual(host.invoke(), b"one")
            self.assertEqual(host.invoke(), b"there is no request to answer")

    def test_response_buffer_is_not_copied(self):
        program = """
import quark
buffer = quark.response_buffer()
while True:
    quark.next()
    buffer[100:108] = b"in place"
    quark.respond(buffer[100:108])
"""
        with guest(program) as host:
            host.start()
            self.assertEqual(host.invoke(), b"in place")
            self.assertEqual(host.guest()["offset"], fh.LARGE_RESPONSE + 100)

    def test_any_buffer_is_a_response(self):
        program = """
import array, quark
answers = [bytearray(b"ba"), array.array("I", [1, 2]), memoryview(b"abcdef")[::2], "\\u00e9"]
for answer in answers:
    quark.next(); quark.respond(answer)
quark.next(); quark.respond(b"")
quark.next()
"""
        with guest(program) as host:
            host.start()
            for wanted in b"ba", b"\1\0\0\0\2\0\0\0", b"ace", "é".encode(), b"":
                self.assertEqual(host.invoke(), wanted)

    def test_log(self):
        program = """
import quark
while True:
    quark.log(quark.next().data)
    quark.log("x" * 5000)
    quark.respond(b"")
"""
        with guest(program) as host:
            host.start()
            logs = []
            host.invoke(b"a line", logs=logs)
            self.assertEqual(logs, [b"a line", b"x" * 4096])

    def test_without_a_doorbell(self):
        r = subprocess.run([PYTHON, "-c", "import quark; quark.next()"], capture_output=True,
                           env={"PYTHONDONTWRITEBYTECODE": "1",
                                "PYTHONPATH": fh.source_folder() + "/runtime/libquark/python"},
                           check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"QUARK_DOORBELL_FD is not set", r.stderr)


class HostileHeaders(unittest.TestCase):
    """Each is an exception in next(), no crash, no answer and no further ring."""

    CASES = {
        "magic": {"magic": 1}, "version": {"version": 3}, "order": {"order": 3},
        "order beyond": {"order": 2**32 - 1}, "sequence": {"sequence": 0},
        "in header": {"offset": 0, "bytes": 8}, "between": {"offset": 2048, "bytes": 1},
        "small too long": {"offset": 1024, "bytes": 1025},
        "large too long": {"offset": 4096, "bytes": fh.REQUEST_MAX + 1},
        "at end": {"offset": fh.MAILBOX_BYTES - 1, "bytes": 2},
        "huge": {"offset": 2**32 - 1, "bytes": 2**32 - 1},
        "touch in header": {"order": fh.PARK, "touch_offset": 0, "touch_count": 1},
        "touch unaligned": {"order": fh.PARK, "touch_offset": 4100, "touch_count": 1},
        "touch too many": {"order": fh.PARK, "touch_count": 4097},
        "touch at end": {"order": fh.PARK, "touch_offset": fh.MAILBOX_BYTES - 8,
                         "touch_count": 2},
        "touch unmapped": {"order": fh.PARK, "pages": [0x1000]},
        "touch kernel": {"order": fh.PARK, "pages": [0xFFFFFFFF81000000 | 1]},
    }

    def test_each_is_refused(self):
        for name, change in self.CASES.items():
            with self.subTest(name), guest(ECHO) as host:
                host.start()
                host.order(**{"order": fh.REQUEST, "request": b"x", **change})
                host.go()
                self.assertIsNone(host.ring())
                self.assertEqual(host.status(), 1)
                self.assertIn("quark.ProtocolError", host.output())


class Parking(unittest.TestCase):
    PROGRAM = """
import ctypes, mmap, quark
pages = mmap.mmap(-1, 4 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(4): pages[page * 4096] = 0x5a
base = ctypes.addressof(ctypes.c_char.from_buffer(pages))
def touched():
    # A page that another mapping of nothing replaced is not there until it is touched.
    with open("/proc/self/pagemap", "rb") as f:
        f.seek(base // 4096 * 8)
        entries = [int.from_bytes(f.read(8), "little") for _ in range(4)]
    return [entry >> 63 for entry in entries]
while True:
    request = quark.next()
    if request.data == b"where":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.madvise(ctypes.c_void_p(base), ctypes.c_size_t(4 * 4096), 4)  # MADV_DONTNEED
        quark.respond(str(base))
    else:
        quark.respond(repr((touched(), [pages[p * 4096] for p in range(4)])))
"""

    def test_pages_are_touched_and_unchanged(self):
        with guest(self.PROGRAM) as host:
            host.start()
            base = int(host.invoke(b"where"))
            host.order(fh.PARK, pages=[base, (base + 2 * 4096) | 1])
            host.go()
            host.expect(fh.READY)
            self.assertEqual(host.invoke(b"look"), b"([1, 0, 1, 0], [0, 0, 0, 0])")

    def test_contents_stay(self):
        with guest(self.PROGRAM.replace("libc.madvise(", "str(")
                   .replace("ctypes.c_void_p(base), ctypes.c_size_t(4 * 4096), 4", "1")) as host:
            host.start()
            base = int(host.invoke(b"where"))
            host.order(fh.PARK, pages=[base + 4096 * i + i % 2 for i in range(4)])
            host.go()
            host.expect(fh.READY)
            self.assertEqual(host.invoke(b"look"), b"([1, 1, 1, 1], [90, 90, 90, 90])")

    def test_duties_are_done_when_it_parks(self):
        program = ECHO.replace("import quark", """
import quark
quark.after_restore(lambda: quark.log("unique"))
""")
        with guest(program) as host:
            host.start()
            host.order(fh.PARK)
            host.go()
            host.expect(fh.LOG)
            host.go()
            host.expect(fh.READY)
            logs = []
            host.invoke(b"", logs=logs)
            self.assertEqual(logs, [])


class Waking(unittest.TestCase):
    def test_through_run0(self):
        program = """
import quark
quark.before_snapshot(lambda: quark.log("before"))
quark.after_restore(lambda: quark.log("after"))
while True:
    quark.respond(quark.next().data)
"""
        with guest(program, env={"QUARK_WAKE": "run0"}) as host:
            host.expect(fh.LOG)
            self.assertEqual(host.log(), b"before")
            host.go()
            for _ in range(2):
                host.wait_arrived()
                self.assertTrue(host.silent())
                host.fresh()  # the clone's mailbox says ASLEEP
                host.order(fh.REQUEST, b"first")
                host.poke()  # a spurious wake-up changes nothing
                self.assertTrue(host.silent())
                host.wake()
                host.expect(fh.LOG)
                self.assertEqual(host.log(), b"after")
                host.go()
                host.expect(fh.DONE)
                self.assertEqual(host.answer(), b"first")
                host.go()
                host.expect(fh.READY)  # from now on it rings by itself
                self.assertEqual(host.invoke(b"second"), b"second")
                host.order(fh.SLEEP)  # warm-up is over
                host.go()
                host.expect(fh.LOG)
                self.assertEqual(host.log(), b"before")
                host.go()

    def test_hooks_run_once_a_clone_and_in_order(self):
        program = """
import quark
for n in range(3):
    quark.after_restore(lambda n=n: quark.log("after %d" % n))
while True:
    quark.respond(quark.next().data)
"""
        with guest(program) as host:
            host.start()
            for wanted in [b"after 0", b"after 1", b"after 2"], []:
                logs = []
                host.invoke(b"", logs=logs)
                self.assertEqual(logs, wanted)

    def test_failing_hook_fails_closed(self):
        program = """
import quark
@quark.after_restore
def hook(): raise ValueError("no identity")
while True:
    try: quark.respond(quark.next().data)
    except quark.Error: pass
"""
        for order in fh.REQUEST, fh.PARK:
            with self.subTest(order=order), guest(program.replace("except quark.Error: pass", """
    except quark.Error as error:
        try: quark.respond(b"secret")
        except quark.Error: raise error from None""")) as host:
                host.start()
                host.order(order, b"x")
                host.go()
                host.expect(fh.FAILED)
                self.assertEqual(host.answer(), b"after restore: ValueError: no identity")
                host.go()
                self.assertIsNone(host.ring())
                self.assertEqual(host.status(), 1)

    def test_generation_zero_is_refused(self):
        with guest(ECHO) as host:
            host.start()
            # The module remembers 0 for "none yet", so this must not count as done.
            host.order(fh.REQUEST, b"x", generation=0)
            host.go()
            host.expect(fh.FAILED)
            self.assertIn(b"no generation", host.answer())

    def test_failing_before_snapshot_ends_the_build(self):
        program = "import quark\nquark.before_snapshot(lambda: 1 / 0)\nquark.next()"
        with guest(program) as host:
            self.assertIsNone(host.ring())
            self.assertEqual(host.status(), 1)
            self.assertIn("ZeroDivisionError", host.output())


class Clones(unittest.TestCase):
    """Copies of one process that waits at the doorbell, each with a mailbox of its own."""

    def draws(self, generation):
        with guest(DRAWS) as host:
            host.start()
            host.invoke(b"warm up")
            if generation == "new":  # back to where the snapshot is taken
                host.order(fh.SLEEP)
                host.go()
                host.expect(fh.READY)
            same = host.generation
            answers = []
            for _ in range(3):
                host.fresh()
                if generation == "same":
                    host.generation = same
                answers.append(json.loads(host.invoke_clone(b"")))
            return answers

    def test_clones_draw_different_numbers(self):
        answers = self.draws("new")
        for name in answers[0]:
            with self.subTest(name):
                self.assertEqual(len({answer[name] for answer in answers}), 3)

    def test_copies_without_the_step_draw_the_same(self):
        """Shows that the test above can fail: these are copies, and nobody told them so."""
        answers = self.draws("same")
        for name in set(answers[0]) - {"uuid1"}:
            with self.subTest(name):
                self.assertEqual(len({answer[name] for answer in answers}), 1)

    def test_entropy_of_the_host_alone_suffices(self):
        """A kernel that gives all clones the same bytes (wake "direct")."""
        program = DRAWS.replace("import quark", "import quark\nos.urandom = lambda n: bytes(n)")
        with guest(program) as host:
            host.start()
            answers = []
            for _ in range(2):
                host.fresh()
                answers.append(json.loads(host.invoke_clone(b"")))
            for name in set(answers[0]) - {"uuid1"}:
                self.assertNotEqual(answers[0][name], answers[1][name], name)

    def run0_clones(self, program):
        """Through run0 the first stop is no ring that could be copied, so one order NONE before."""
        with guest(program, env={"QUARK_WAKE": "run0", "OPENBLAS_NUM_THREADS": "1"}) as host:
            host.wait_arrived()
            host.fresh()
            host.order(fh.NONE)
            host.wake()
            host.expect(fh.READY)
            answers = []
            for _ in range(3):
                host.fresh()
                answers.append(json.loads(host.invoke_clone(b"")))
            return answers

    def test_clones_through_run0(self):
        answers = self.run0_clones(DRAWS)
        for name in answers[0]:
            with self.subTest(name):
                self.assertEqual(len({answer[name] for answer in answers}), 3)

    def test_openssl_forgets_before_the_snapshot(self):
        """It draws from the kernel in each clone, and would not without being made to forget."""
        draw = "import json, ssl, quark\nssl.RAND_bytes(8)\nquark._KEEPERS = ()\n%s\n" \
               "quark.serve(lambda request: [ssl.RAND_bytes(16).hex()])"
        answers = self.run0_clones(draw % "quark._make_unique = lambda entropy: None")
        self.assertEqual(len({answer[0] for answer in answers}), 3)
        answers = self.run0_clones(draw % "quark._openssl_reseeds = list")
        self.assertEqual(len({answer[0] for answer in answers}), 1)

    def test_other_threads_make_openssl_reseed_at_once(self):
        program = """
import ssl, threading, time, quark
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
quark._prepare_ = quark._prepare
def prepare():
    quark._prepare_()
    quark.log("%d" % len(quark._guest.reseeds))
quark._prepare, quark._KEEPERS = prepare, ()
quark.next()
"""
        for text, wanted in (program, b"1"), (program.replace(".start()", ""), b"0"):
            with guest(text, env={"QUARK_WAKE": "run0"}) as host:
                host.expect(fh.LOG)
                self.assertEqual(host.log(), wanted)

    def test_states_are_found_where_they_are_overwritten(self):
        """Else seed() is called, which is right but slow."""
        program = """
import random, quark
try:
    import numpy.random
except ImportError:
    pass
quark.before_snapshot(lambda: None)
request = quark.next()
quark.respond(repr(sorted(size for size, _ in quark._guest.reseeds)[-2:]))
quark.next()
"""
        with guest(program) as host:
            host.start()
            self.assertIn(host.invoke(), (b"[2496]", b"[2496, 2496]", b"[64, 2496]"))

    def test_generators_laid_out_otherwise_are_seeded(self):
        program = DRAWS.replace("import quark", "import quark\nquark._mersenne = lambda *a: None")
        with guest(program) as host:
            host.start()
            answers = []
            for _ in range(2):
                host.fresh()
                answers.append(json.loads(host.invoke_clone(b"")))
            for name in answers[0]:
                self.assertNotEqual(answers[0][name], answers[1][name], name)

    def test_another_bit_generator_of_numpy(self):
        program = """
import numpy.random, quark
numpy.random.set_bit_generator(numpy.random.PCG64(1))
quark.serve(lambda request: numpy.random.random())
"""
        try:
            with guest(program) as host:
                host.start()
                answers = []
                for _ in range(2):
                    host.fresh()
                    answers.append(host.invoke_clone(b""))
        except AssertionError as error:
            if "numpy" in str(error):
                self.skipTest("this Python has no numpy, or one that is too old")
            raise
        self.assertNotEqual(*answers)


class Handlers(unittest.TestCase):
    def serve(self, text, spec="handler.handler", **more):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        with open(os.path.join(folder.name, "handler.py"), "w") as file:
            file.write(text)
        return guest(["-m", "quark", spec], cwd=folder.name, **more)

    def test_results(self):
        text = """
import quark
quark.before_snapshot(lambda: None)
results = {b"bytes": b"\\xff", b"str": "\\u00e9", b"dict": {"a": [1, None]}, b"none": None,
           b"set": {1}, b"huge": b"x" * (1 << 20)}
def handler(request):
    return results[request]
"""
        with self.serve(text) as host:
            host.start()
            for request, wanted in {b"bytes": b"\xff", b"str": "é".encode(), b"none": b"",
                                    b"dict": b'{"a":[1,null]}'}.items():
                self.assertEqual(host.invoke(request), wanted)
            self.assertIn(b"TypeError", host.invoke(b"set", ring=fh.FAILED))
            self.assertIn(b"at most 983040", host.invoke(b"huge", ring=fh.FAILED))
            message = host.invoke(b"unknown", ring=fh.FAILED).decode()
            self.assertRegex(message, r'^Traceback.*\n  File ".*handler.py", line 7, in handler')
            self.assertTrue(message.endswith("KeyError: b'unknown'"), message)
            self.assertEqual(host.invoke(b"bytes"), b"\xff")

    def test_long_traceback_keeps_its_end(self):
        text = "def handler(request): raise ValueError('x' * 10000 + 'end')"
        with self.serve(text) as host:
            host.start()
            message = host.invoke(ring=fh.FAILED)
            self.assertEqual(len(message), 2000)
            self.assertTrue(message.endswith(b"xend"))

    def test_prints_are_logs(self):
        text = """
import sys
print("at build")
def handler(request):
    print("one\\ntwo", 3)
    print("error", end="", file=sys.stderr, flush=True)
    return b""
"""
        with self.serve(text) as host:
            host.start()
            logs = []
            host.invoke(logs=logs)
            self.assertEqual(logs, [b"one", b"two 3", b"error"])
            host.go(b"x")
            host.status()
            self.assertNotIn("two", host.output())

    def test_exit_in_a_handler(self):
        with self.serve("import sys\ndef handler(request): sys.exit(7)") as host:
            host.start()
            host.order(fh.REQUEST)
            host.go()
            host.expect(fh.FAILED)
            self.assertEqual(host.answer(), b"the handler ended the process with status 7")
            host.go()
            self.assertIsNone(host.ring())
            self.assertEqual(host.status(), 7)

    def test_usage_and_missing_function(self):
        for spec, wanted in {"handler": "usage", "handler.no": "has no function 'no'",
                             "missing.f": "No module named 'missing'"}.items():
            with self.subTest(spec), self.serve("def handler(r): pass", spec) as host:
                self.assertIsNone(host.ring())
                self.assertEqual(host.status(), 1)
                self.assertIn(wanted, host.output())


class Samples(unittest.TestCase):
    """images/functions: what users copy, and what the tests and benchmarks in guests run."""

    def serve(self, name):
        folder = os.path.join(fh.source_folder(), "images", "functions", name)
        with open(os.path.join(folder, "function.json")) as file:
            spec = json.load(file)["handler"]
        return guest(["-m", "quark", spec], cwd=folder)

    def test_json(self):
        probe = subprocess.run([PYTHON, "-c", "import numpy"], capture_output=True, check=False)
        if probe.returncode:
            self.skipTest("this Python has no numpy")
        with self.serve("json-python") as host:
            host.start()
            self.assertEqual(json.loads(host.invoke(b'{"numbers": [1, 2, 3.5]}')),
                             {"numbers": [2, 4, 7], "sum": 13})
            self.assertIn(b"Expecting value", host.invoke(b"no json", ring=fh.FAILED))

    def test_new(self):
        with self.serve("new/python") as host:
            host.start()
            self.assertEqual(host.invoke(b'{"name": "you"}'), b'{"greeting":"hello, you"}')
            self.assertEqual(host.invoke(b""), b'{"greeting":"hello, nobody"}')

    def test_unique(self):
        with self.serve("unique-python") as host:
            host.start()
            answers = []
            for _ in range(3):
                host.fresh()
                answers.append(json.loads(host.invoke_clone()))
        for name in set(answers[0]) - {"hostname", "machine_id", "boot_id"}:
            if answers[0][name] is not None:
                self.assertEqual(len({answer[name] for answer in answers}), 3, name)


class SystemCalls(unittest.TestCase):
    def test_none_between_request_and_answer(self):
        with tempfile.NamedTemporaryFile() as trace:
            program = """
import quark
while True:
    request = quark.next()
    quark.respond(request.data.upper())
"""
            with guest(program, tracer=["strace", "-qq", "-o", trace.name]) as host:
                host.start()
                for _ in range(20):
                    self.assertEqual(host.invoke(b"hello"), b"HELLO")
            # The handler of the trap asks the host; the rest of the lines are the guest's.
            lines = trace.read().decode().splitlines()
        if not lines:
            self.skipTest("strace cannot trace here")
        trap = re.compile(r"(read|write)\(\d+, .*|rt_sigreturn|getpid\(")
        rings = [i for i, line in enumerate(lines) if line.startswith("--- SIG")]
        # Every second span leads from READY to DONE, after the first request's uniqueness step.
        spans = [lines[a + 1:b] for a, b in zip(rings[2::2], rings[3::2])]
        self.assertGreaterEqual(len(spans), 19)
        for span in spans:
            self.assertEqual([line for line in span if not trap.match(line)], [])


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        PYTHON = sys.argv.pop(1)
    unittest.main()
