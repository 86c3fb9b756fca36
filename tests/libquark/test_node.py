#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libquark's Node module against a host without a VM (fake_host.py).

test_node.py [NODE]: the program to test, else node. Exits with 77, skipped, when there is none.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import fake_host as fh

NODE = "node"
ECHO = "for (;;) quark.respond(quark.next().data);"


def module_folder():
    return os.path.join(fh.build_folder(), "libexec", "quark", "guest", "node")


def guest(program, *options, **more):
    """Program: JavaScript, with `quark` defined, or a list of arguments. V8 gets no threads of its
    own, so that a copy of the main thread is a copy of all that computes."""
    env = {"NODE_PATH": module_folder(), **more.pop("env", {})}
    argv = program if isinstance(program, list) else [
        "-e", "const quark = require('quark');\n" + program]
    return fh.Host([NODE, "--single-threaded", *options, *argv], env=env, empty_bell=True, **more)


class Addon(unittest.TestCase):
    def test_needs_no_library_and_little_of_node(self):
        file = os.path.join(module_folder(), "quark", "quark.node")
        dynamic = subprocess.check_output(["readelf", "-dW", file], text=True)
        self.assertNotIn("NEEDED", dynamic)
        names = subprocess.check_output(["nm", "-D", file], text=True)
        strong = set(re.findall(r" U (\w+)", names))
        self.assertTrue(strong and all(name.startswith("napi_") for name in strong), strong)
        self.assertEqual(set(re.findall(r" w (\w+)", names)), {"RAND_add", "RAND_status"})
        self.assertEqual(re.findall(r" T (\w+)", names), ["napi_register_module_v1"])

    def test_bad_arguments_do_not_crash(self):
        program = """
const addon = require('quark/quark.node');
addon.ring(1); addon.ring(); addon.wait(); addon.touch(); addon.reseed();
for (const args of [[], [9999, 9999], [{}, 'x'], [-1, 1e99], [0.5]])
	if (!(addon.open(...args) < 0)) throw new Error(`${args} opened`);
console.log('alive');
"""
        r = subprocess.run([NODE, "-e", program], env={"NODE_PATH": module_folder()},
                           capture_output=True, check=False, text=True)
        self.assertEqual((r.returncode, r.stdout.strip()), (0, "alive"), r.stderr)


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
for (;;) {
	const r = quark.next();
	quark.respond([r.generation, r.realtimeNs, r.entropy.toString('hex'), r.data].join(' '));
}
"""
        with guest(program) as host:
            host.start()
            answer = host.invoke(b"x", generation=2**64 - 1, realtime=2**63 + 5,
                                 entropy=bytes(range(64)))
            self.assertEqual(answer.decode(), "%d %d %s x" % (2**64 - 1, 2**63 + 5,
                                                              bytes(range(64)).hex()))

    def test_large_sequence_numbers(self):
        with guest(ECHO) as host:
            host.start()
            host.sequence = 2**40
            self.assertEqual(host.invoke(b"x"), b"x")

    def test_orders_none_and_sleep(self):
        with guest(ECHO) as host:
            host.start()
            for order in fh.NONE, fh.NONE, fh.SLEEP:
                host.order(order)
                host.go()
                host.expect(fh.READY)
            self.assertEqual(host.invoke(b"after"), b"after")

    def test_unanswered_request_fails(self):
        with guest("for (;;) quark.next();") as host:
            host.start()
            self.assertEqual(host.invoke(b"x", ring=fh.FAILED), b"the function did not answer")

    def test_errors_of_an_answer(self):
        program = """
function message(call) {
	try { call(); return 'no error'; } catch (error) { return String(error); }
}
quark.next();
quark.fail(message(() => quark.respond(Buffer.alloc(quark.RESPONSE_MAX + 1))));
const late = message(() => quark.respond(''));
quark.next();
quark.respond(late);
quark.next();
quark.respond(message(() => quark.respond({})));
quark.next();
"""
        with guest(program) as host:
            host.start()
            self.assertEqual(host.invoke(ring=fh.FAILED),
                             b"RangeError: a response has at most 983040 bytes, not 983041")
            self.assertEqual(host.invoke(), b"Error: there is no request to answer")
            self.assertIn(b"TypeError: a response is", host.invoke())

    def test_response_buffer_is_not_copied(self):
        program = """
const buffer = quark.responseBuffer();
for (;;) {
	quark.next();
	buffer.write('in place', 100);
	quark.respond(buffer.subarray(100, 108));
}
"""
        with guest(program) as host:
            host.start()
            self.assertEqual(host.invoke(), b"in place")
            self.assertEqual(host.guest()["offset"], fh.LARGE_RESPONSE + 100)

    def test_kinds_of_response(self):
        program = """
const answers = ['\\u00e9', new Uint32Array([1, 2]), new Uint8Array([1, 2]).buffer, '\\ud800', ''];
for (const answer of answers) {
	quark.next();
	quark.respond(answer);
}
quark.next();
"""
        with guest(program) as host:
            host.start()
            for wanted in "é".encode(), b"\1\0\0\0\2\0\0\0", b"\1\2", b"\xef\xbf\xbd", b"":
                self.assertEqual(host.invoke(), wanted)

    def test_log(self):
        with guest("for (;;) { quark.log(quark.next().data); quark.log('x'.repeat(5000));"
                   "quark.respond(''); }") as host:
            host.start()
            logs = []
            host.invoke(b"a line", logs=logs)
            self.assertEqual(logs, [b"a line", b"x" * 4096])

    def test_without_a_doorbell(self):
        r = subprocess.run([NODE, "-e", "require('quark').next()"], capture_output=True,
                           env={"NODE_PATH": module_folder()}, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"QUARK_DOORBELL_FD is not set", r.stderr)


class HostileHeaders(unittest.TestCase):
    """Each is an exception in next(), no crash, no answer and no further ring."""

    CASES = {
        "magic": {"magic": fh.MAGIC ^ 1 << 63}, "version": {"version": 3}, "order": {"order": 3},
        "order beyond": {"order": 2**32 - 1}, "sequence": {"sequence": 0},
        "in header": {"offset": 0, "bytes": 8}, "between": {"offset": 2048, "bytes": 1},
        "small too long": {"offset": 1024, "bytes": 1025},
        "large too long": {"offset": 4096, "bytes": fh.REQUEST_MAX + 1},
        "at end": {"offset": fh.MAILBOX_BYTES - 1, "bytes": 2},
        "huge": {"offset": 2**32 - 1, "bytes": 2**32 - 1},
        "touch in header": {"order": fh.PARK, "touch_offset": 0, "touch_count": 1},
        "touch unaligned": {"order": fh.PARK, "touch_offset": 4100, "touch_count": 1},
        "touch too many": {"order": fh.PARK, "touch_count": 4097},
        "touch far too many": {"order": fh.PARK, "touch_count": 2**32 - 1},
        "touch at end": {"order": fh.PARK, "touch_offset": fh.MAILBOX_BYTES - 8,
                         "touch_count": 2},
        "touch beyond": {"order": fh.PARK, "touch_offset": 2**32 - 8, "touch_count": 2},
    }

    def test_each_is_refused(self):
        for name, change in self.CASES.items():
            with self.subTest(name), guest(ECHO) as host:
                host.start()
                host.order(**{"order": fh.REQUEST, "request": b"x", **change})
                host.go()
                self.assertIsNone(host.ring())
                self.assertEqual(host.status(), 1)
                self.assertIn("ProtocolError", host.output())


class Parking(unittest.TestCase):
    """The pages are those of the mailbox's own mapping: JavaScript knows no other address."""

    PROGRAM = """
const fs = require('fs');
function mailbox() {
	const line = fs.readFileSync('/proc/self/maps', 'utf8').split('\\n')
		.find((l) => l.includes('memfd:mailbox'));
	return BigInt('0x' + line.split('-')[0]);
}
const base = mailbox;
function present() {
	const fd = fs.openSync('/proc/self/pagemap');
	const entries = new BigUint64Array(4);
	fs.readSync(fd, entries, 0, 32, Number(mailbox() / 4096n + 300n) * 8);
	fs.closeSync(fd);
	return Array.from(entries, (entry) => Number(entry >> 63n));
}
quark.beforeSnapshot(() => {});
for (;;) {
	const what = quark.next().data.toString();
	quark.respond(what === 'where' ? String(mailbox()) : JSON.stringify(present()));
}
"""

    def test_pages_are_touched_and_unchanged(self):
        with guest(self.PROGRAM) as host:
            host.start()
            base = int(host.invoke(b"where"))
            self.assertEqual(host.invoke(b""), b"[0,0,0,0]")
            host.mailbox[300 * 4096] = host.mailbox[302 * 4096] = 0x5A
            host.order(fh.PARK, pages=[base + 300 * 4096, (base + 302 * 4096) | 1])
            host.go()
            host.expect(fh.READY)
            present = json.loads(host.invoke(b""))
            # The kernel maps neighbours of a page that is read, but not of a page that is written.
            self.assertEqual((present[0], present[2]), (1, 1))
            self.assertEqual((host.mailbox[300 * 4096], host.mailbox[302 * 4096]), (0x5A, 0x5A))

    def test_duties_are_done_when_it_parks(self):
        with guest("quark.afterRestore(() => quark.log('unique'));" + ECHO) as host:
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
quark.beforeSnapshot(() => quark.log('before'));
quark.afterRestore(() => quark.log('after'));
""" + ECHO
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

    def test_failing_hook_fails_closed(self):
        hooks = {"() => { throw new Error('no identity'); }": b"Error: no identity",
                 "async () => {}": b"TypeError: a hook must not be asynchronous"}
        program = """
quark.afterRestore(%s);
for (;;) {
	try {
		quark.respond(quark.next().data);
	} catch (first) {
		try { quark.respond('secret'); } catch (error) { throw error; }
	}
}
"""
        for hook, message in hooks.items():
            for order in fh.REQUEST, fh.PARK:
                with self.subTest(hook, order=order), guest(program % hook) as host:
                    host.start()
                    host.order(order, b"x")
                    host.go()
                    host.expect(fh.FAILED)
                    self.assertEqual(host.answer(), b"after restore: " + message)
                    host.go()
                    self.assertIsNone(host.ring())
                    self.assertEqual(host.status(), 1)

    def test_generation_zero_is_refused(self):
        with guest(ECHO) as host:
            host.start()
            host.order(fh.REQUEST, b"x", generation=0)
            host.go()
            host.expect(fh.FAILED)
            self.assertIn(b"no generation", host.answer())


class Clones(unittest.TestCase):
    """Copies of one process that waits at the doorbell, each with a mailbox of its own."""

    PROGRAM = """
const crypto = require('crypto');
const random = Math.random; // a reference that was taken before the snapshot
for (let i = 0; i < 7; i++) { // stocks that are neither full nor empty
	crypto.randomUUID(); crypto.randomInt(100); crypto.randomBytes(8); Math.random();
}
for (;;) {
	quark.next();
	quark.respond(JSON.stringify({
		bytes: crypto.randomBytes(16).toString('hex'), uuid: crypto.randomUUID(),
		int: crypto.randomInt(2 ** 47), random: random(), global: Math.random(),
		web: crypto.webcrypto.getRandomValues(new Uint32Array(4)).join(),
	}));
}
"""

    def draws(self, generation):
        with guest(self.PROGRAM) as host:
            host.start()
            if generation == "same":
                host.invoke(b"warm up")
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
        for name in answers[0]:
            with self.subTest(name):
                self.assertEqual(len({answer[name] for answer in answers}), 1)

    def test_stocks_are_used_up_before_the_snapshot(self):
        """The first draw of a clone asks OpenSSL: this is what makes uuid and int differ above."""
        program = """
const crypto = require('crypto');
let fetched = 0;
const hook = require('async_hooks').createHook({init(id, type) {
	fetched += type === 'RANDOMBYTESREQUEST'; }});
crypto.randomUUID(); crypto.randomInt(9);
function count(draw) {
	fetched = 0; hook.enable(); draw(); hook.disable();
	return fetched;
}
for (;;) {
	quark.next();
	quark.respond(JSON.stringify([count(() => crypto.randomUUID()), count(() => crypto.randomUUID()),
		count(() => crypto.randomInt(9)), count(() => crypto.randomInt(9))]));
}
"""
        with guest(program) as host:
            host.start()
            self.assertEqual(host.invoke(), b"[1,0,1,0]")

    def test_math_random_is_even(self):
        program = """
quark.next();
const boxes = new Array(16).fill(0);
let sum = 0, low = 1, high = 0;
for (let i = 0; i < 160000; i++) {
	const x = Math.random();
	boxes[Math.floor(x * 16)]++; sum += x; low = Math.min(low, x); high = Math.max(high, x);
}
quark.respond(JSON.stringify({boxes, mean: sum / 160000, low, high,
	name: Math.random.name, keys: Object.keys(Math)}));
quark.next();
"""
        with guest(program) as host:
            host.start()
            got = json.loads(host.invoke())
        self.assertTrue(all(9400 < box < 10600 for box in got["boxes"]), got)
        self.assertAlmostEqual(got["mean"], 0.5, delta=0.01)
        self.assertTrue(0 <= got["low"] < 0.001 and 0.999 < got["high"] < 1)
        self.assertEqual((got["name"], got["keys"]), ("random", []))


class Handlers(unittest.TestCase):
    def serve(self, text, spec="handler.handler", name="handler.js", **more):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        with open(os.path.join(folder.name, name), "w") as file:
            file.write(text)
        run = os.path.join(module_folder(), "quark", "run.js")
        return guest([run, spec], cwd=folder.name, **more)

    def test_results(self):
        text = """
const results = {
	buffer: Buffer.from([255]), string: '\\u00e9', object: {a: [1, null]}, none: undefined,
	promise: Promise.resolve({p: 1}), huge: 'x'.repeat(1 << 20),
	later: () => new Promise((resolve) => setTimeout(resolve, 20, 'late')),
	reject: () => Promise.reject(new Error('rejected')),
	circular: (() => { const o = {}; o.o = o; return o; })(),
};
exports.handler = (request) => {
	const result = results[request.toString()];
	if (request.toString() === 'throw') throw new RangeError('thrown');
	if (request.toString() === 'string error') throw 'a string';
	return typeof result === 'function' ? result() : result;
};
"""
        with self.serve(text) as host:
            host.start()
            for request, wanted in {b"buffer": b"\xff", b"string": "é".encode(), b"none": b"",
                                    b"object": b'{"a":[1,null]}', b"promise": b'{"p":1}',
                                    b"later": b"late"}.items():
                self.assertEqual(host.invoke(request), wanted)
            for request, wanted in {b"throw": b"RangeError: thrown\n    at ",
                                    b"reject": b"Error: rejected", b"string error": b"a string",
                                    b"circular": b"TypeError: Converting circular",
                                    b"huge": b"at most 983040"}.items():
                self.assertIn(wanted, host.invoke(request, ring=fh.FAILED))
            self.assertEqual(host.invoke(b"buffer"), b"\xff")

    def test_modules(self):
        esm = "export const handler = async () => 'esm';"
        for text, name in ((esm, "handler.mjs"), ("exports.handler = () => 'cjs'", "handler.cjs"),
                           ("export default {handler: () => 'def'};", "handler.mjs")):
            with self.subTest(name), self.serve(text, name=name) as host:
                host.start()
                self.assertIn(host.invoke(), (b"esm", b"cjs", b"def"))

    def test_prints_are_logs(self):
        text = """
console.log('at build');
exports.handler = () => {
	console.log('one\\ntwo', 3);
	process.stderr.write('error');
};
"""
        with self.serve(text) as host:
            host.start()
            logs = []
            host.invoke(logs=logs)
            self.assertEqual(logs, [b"one", b"two 3", b"error"])
            host.go(b"x")
            host.status()
            self.assertIn("at build", host.output())
            self.assertNotIn("two", host.output())

    def test_error_outside_the_handler(self):
        text = """
exports.handler = () => new Promise(() => { setTimeout(() => { throw new Error('stray'); }, 5); });
"""
        with self.serve(text) as host:
            host.start()
            host.order(fh.REQUEST)
            host.go()
            host.expect(fh.FAILED)
            self.assertIn(b"Error: stray", host.answer())
            host.go()
            self.assertIsNone(host.ring())
            self.assertEqual(host.status(), 1)

    def test_exit_in_a_handler(self):
        with self.serve("exports.handler = () => process.exit(7);") as host:
            host.start()
            host.order(fh.REQUEST)
            host.go()
            host.expect(fh.FAILED)
            self.assertEqual(host.answer(), b"the handler ended the process with status 7")
            host.go()
            self.assertIsNone(host.ring())
            self.assertEqual(host.status(), 7)

    def test_failing_before_snapshot_is_not_a_snapshot(self):
        program = """
let fails = true;
quark.beforeSnapshot(() => { if (fails) { fails = false; throw new Error('not yet'); } });
try { quark.next(); } catch (error) { quark.log(error.message); }
quark.beforeSnapshot(() => quark.log('now'));
quark.next();
"""
        with guest(program) as host:
            for text in b"not yet", b"now":
                host.expect(fh.LOG)
                self.assertEqual(host.log(), text)
                host.go()
            host.expect(fh.READY)

    def test_usage_and_missing_function(self):
        for spec, wanted in {"handler": "usage", "handler.no": "has no function 'no'",
                             "missing.f": "Cannot find module"}.items():
            with self.subTest(spec), self.serve("exports.handler = 1;", spec) as host:
                self.assertIsNone(host.ring())
                self.assertNotEqual(host.status(), 0)
                self.assertIn(wanted, host.output())

    def test_failing_at_load_ends_the_build(self):
        with self.serve("throw new Error('at load')") as host:
            self.assertIsNone(host.ring())
            self.assertEqual(host.status(), 1)
            self.assertIn("at load", host.output())


class Samples(unittest.TestCase):
    """images/functions: what users copy, and what the tests and benchmarks in guests run."""

    def serve(self, name):
        folder = os.path.join(fh.source_folder(), "images", "functions", name)
        with open(os.path.join(folder, "function.json")) as file:
            spec = json.load(file)["handler"]
        return guest([os.path.join(module_folder(), "quark", "run.js"), spec], cwd=folder)

    def test_json(self):
        with self.serve("json-node") as host:
            host.start()
            self.assertEqual(json.loads(host.invoke(b'{"numbers": [1, 2, 3.5]}')),
                             {"numbers": [2, 4, 7], "sum": 13})
            self.assertIn(b"JSON", host.invoke(b"no json", ring=fh.FAILED))

    def test_new(self):
        with self.serve("new/node") as host:
            host.start()
            self.assertEqual(host.invoke(b'{"name": "you"}'), b'{"greeting":"hello, you"}')
            self.assertEqual(host.invoke(b""), b'{"greeting":"hello, nobody"}')

    def test_unique(self):
        with self.serve("unique-node") as host:
            host.start()
            answers = []
            for _ in range(3):
                host.fresh()
                answers.append(json.loads(host.invoke_clone()))
        for name in set(answers[0]) - {"hostname", "machine_id", "boot_id", "realtime_ns"}:
            self.assertEqual(len({answer[name] for answer in answers}), 3, name)


class SystemCalls(unittest.TestCase):
    def test_none_between_request_and_answer(self):
        with tempfile.NamedTemporaryFile() as trace:
            program = "for (;;) quark.respond(quark.next().data.toString().toUpperCase());"
            with guest(program, "--jitless", tracer=["strace", "-qq", "-o", trace.name]) as host:
                host.start()
                for _ in range(20):
                    self.assertEqual(host.invoke(b"hello"), b"HELLO")
            lines = trace.read().decode().splitlines()
        if not lines:
            self.skipTest("strace cannot trace here")
        # The handler of the trap asks the host; the rest of the lines are the guest's.
        trap = re.compile(r"(read|write)\(\d+, .*|rt_sigreturn|getpid\(")
        rings = [i for i, line in enumerate(lines) if line.startswith("--- SIG")]
        # Every second span leads from READY to DONE, after the first request's uniqueness step.
        spans = [lines[a + 1:b] for a, b in zip(rings[2::2], rings[3::2])]
        self.assertGreaterEqual(len(spans), 19)
        for span in spans:
            self.assertEqual([line for line in span if not trap.match(line)], [])


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        NODE = sys.argv.pop(1)
    if not shutil.which(NODE):
        print("there is no node")
        sys.exit(77)
    unittest.main()
