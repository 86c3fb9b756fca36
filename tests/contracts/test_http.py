#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The contract http against real servers, and against some that do what none should."""
import os
import shutil
import sys
import time
import unittest

from harness import REQUEST_MAX, RESPONSE_MAX, Case, Ended, free_port, libquark_has, main

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = sys.executable

PYTHON_SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = os.environ.get("VERSION", "HTTP/1.1")
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print(self.command, self.path, self.headers["Content-Type"], flush=True)
        reply = (b"%s " % self.path.encode()) + body if self.path != "/" else body
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
    do_GET = do_POST = answer
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

NODE_SERVER = """
require("http").createServer((request, response) => {
  const parts = [];
  request.on("data", part => parts.push(part));
  request.on("end", () => response.end(Buffer.concat(parts)));
}).listen(process.env.PORT, "127.0.0.1");
"""

HOOK_SERVER = """
import http.server, os
seen = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen.append(self.path)
        reply = " ".join(seen).encode()
        self.send_response(500 if self.path.endswith(os.environ.get("FAIL", "none")) else 200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Http(Case):
    contract = "http"

    def setUp(self):
        self.options = ("--port", str(free_port()))

    def python(self, text, *options, env=None):
        return self.host(*options, command=[PYTHON, "-c", text], env=env)

    def odd(self, behaviour, *options):
        return self.host(*options, command=[PYTHON, f"{HERE}/odd_server.py", behaviour]).ready()

    def echoes(self, host):
        for size in 0, 1, 2048, 2049, 70000, RESPONSE_MAX:
            data = os.urandom(size)
            self.done(host.request(data), data)

    # --- real servers

    def test_python_http_1_1(self):
        self.echoes(self.python(PYTHON_SERVER).ready())

    def test_python_http_1_0(self):
        self.echoes(self.python(PYTHON_SERVER, env={"VERSION": "HTTP/1.0"}).ready())

    def test_head_and_body_apart_are_not_waited_for(self):
        """Python's server keeps the body back until its head is acknowledged: 40 ms, if late."""
        host = self.python(PYTHON_SERVER).ready()
        times = []
        for _ in range(41):
            begin = time.monotonic()
            self.done(host.request(b"body"), b"body")
            times.append(time.monotonic() - begin)
        self.assertLess(sorted(times)[20], 0.03)

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_node(self):
        self.echoes(self.host(command=["node", "-e", NODE_SERVER]).ready())

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_node_closed_the_idle_connection(self):
        text = NODE_SERVER.replace("createServer(", "createServer({keepAliveTimeout: 50}, ")
        host = self.host(command=["node", "-e", text]).ready()
        for _ in range(3):
            time.sleep(1.3)  # node looks once a second
            self.done(host.request(b"still"), b"still")

    def test_head_of_the_request(self):
        host = self.python(PYTHON_SERVER, "--path", "/a?b=c", "--content-type", "text/x; y=z").ready()
        self.done(host.request(b"body"), b"/a?b=c body")
        host.request()
        self.assertEqual(host.logs, ["POST /a?b=c text/x; y=z"] * 2)

    def test_defaults(self):
        host = self.python(PYTHON_SERVER).ready()
        host.request(b"x")
        host.request(b"x")
        self.assertIn("POST / application/octet-stream", host.logs)

    def test_largest_request(self):
        host = self.odd("numbered")
        answer = host.request(os.urandom(RESPONSE_MAX - 2))
        self.assertEqual(len(answer.data), RESPONSE_MAX)
        self.failed(host.request(os.urandom(REQUEST_MAX)), "larger than 983040 bytes")
        self.assertTrue(host.request(b"x").data.endswith(b" x"))

    # --- ready

    def test_ready_path(self):
        host = self.python(PYTHON_SERVER, "--ready-path", "/healthz").ready()
        self.assertEqual(host.logs, ["GET /healthz None"])
        self.done(host.request(b"x"), b"x")

    def test_ready_path_waits_for_an_answer(self):
        # Each odd request is dropped without a word: the probe is repeated until it is answered.
        host = self.odd("close_every_second", "--ready-path", "/")
        self.assertEqual(host.request(b"x").data, b"4 x")

    def test_slow_to_listen(self):
        begin = time.monotonic()
        self.done(self.python("import time; time.sleep(0.7)" + PYTHON_SERVER).ready().request(b"x"),
                  b"x")
        self.assertGreater(time.monotonic() - begin, 0.7)

    def not_ready(self, host, text, status):
        with self.assertRaises(Ended):
            host.ready()
        code, error = host.end()
        self.assertIn(text, error)
        self.assertEqual(code, status)

    def test_never_listens(self):
        self.not_ready(self.host("--start-timeout", "300", command=["sleep", "60"]),
                       "not ready: cannot connect to 127.0.0.1", 1)

    def test_never_answers_the_probe(self):
        self.not_ready(self.host("--start-timeout", "1000", "--ready-path", "/", command=[
            PYTHON, f"{HERE}/odd_server.py", "silent"]), "not ready: the function did not answer", 1)

    def test_dies_before_it_is_ready(self):
        host = self.python("import sys; sys.exit('no such module')")
        self.not_ready(host, "not ready: the function ended with status 1: no such module", 1)
        self.assertEqual(host.logs, ["no such module"])

    def test_status_of_a_function_that_dies_is_ours(self):
        self.not_ready(self.host(command=["sh", "-c", "exit 42"]), "ended with status 42", 42)
        self.not_ready(self.host(command=["sh", "-c", "kill -9 $$"]), "killed by signal 9", 137)

    # --- hooks

    def test_hooks(self):
        host = self.python(HOOK_SERVER, "--hooks").ready()
        self.done(host.request(), b"/_quark/before-snapshot /_quark/after-restore /")
        self.done(host.request(), b"/_quark/before-snapshot /_quark/after-restore / /")

    @unittest.skipUnless(libquark_has("quark_after_restore"), "libquark has no hooks")
    def test_hooks_after_warm_up(self):
        host = self.python(HOOK_SERVER, "--hooks").ready()
        host.request()
        self.done(host.warmed_up().request(), (b"/_quark/before-snapshot /_quark/after-restore / "
                                               b"/_quark/before-snapshot /_quark/after-restore /"))

    def test_no_hooks_unless_asked_for(self):
        self.done(self.python(HOOK_SERVER).ready().request(), b"/")

    def test_failed_hook_before_the_snapshot_makes_no_snapshot(self):
        self.not_ready(self.python(HOOK_SERVER, "--hooks", env={"FAIL": "before-snapshot"}),
                       "hook /_quark/before-snapshot: HTTP 500: /_quark/before-snapshot", 1)

    def test_failed_hook_after_the_restore_answers_nothing(self):
        host = self.python(HOOK_SERVER, "--hooks", env={"FAIL": "after-restore"}).ready()
        self.failed(host.request(b"x"), "hook /_quark/after-restore: HTTP 500")
        self.assertEqual(host.end()[0], 1)

    # --- odd servers

    def test_odd_but_right(self):
        for behaviour in ("plain", "slow", "closing", "close_said", "old", "chunked", "interim"):
            with self.subTest(behaviour):
                self.setUp()
                host = self.odd(behaviour)
                for data in b"one", b"", b"three" * 900:
                    self.done(host.request(data), data)

    def test_empty(self):
        host = self.odd("empty")
        self.done(host.request(b"x"), b"")
        self.done(host.request(b"x"), b"")

    def test_large_chunked(self):
        data = os.urandom(900000)
        self.done(self.odd("chunked").request(data), data)

    def test_limit_of_responses(self):
        host = self.odd("full")
        self.done(host.request(b"%d" % RESPONSE_MAX), bytes(RESPONSE_MAX))
        self.failed(host.request(b"%d" % (RESPONSE_MAX + 1)), "larger than 983040 bytes")
        self.done(host.request(b"5"), bytes(5))
        self.setUp()
        self.failed(self.odd("huge").request(b"x"), "larger than 983040 bytes")

    def test_closed_without_an_answer_is_tried_once_more(self):
        host = self.odd("close_every_second")
        self.done(host.request(b"x"), b"2 x")
        self.done(host.request(b"x"), b"4 x")

    def test_not_more_than_once(self):
        self.failed(self.odd("close_always").request(b"x"), "closed before a whole message")

    def test_wrong(self):
        for behaviour, text in (("reset", "connection to the function broke"),
                                ("half", "closed before a whole message"),
                                ("half_reset", "connection to the function broke"),
                                ("chunked_bad", "no valid HTTP"), ("chunked_cut", "closed before a whole message"),
                                ("garbage", "no valid HTTP"), ("huge_head", "too many header bytes"),
                                ("upgrade", "HTTP 101"),
                                ("error", 'HTTP 500: {"error":"of the function"}'),
                                ("teapot", "HTTP 418: short and stout")):
            with self.subTest(behaviour):
                self.setUp()
                host = self.odd(behaviour)
                self.failed(host.request(b"x"), text)
                self.failed(host.request(b"x"), text)

    def test_long_error_is_cut(self):
        answer = self.odd("error_long").request(b"x")
        self.failed(answer, "HTTP 503: eee")
        self.assertLess(len(answer.data), 10000)

    def test_second_response_is_not_taken_for_the_next(self):
        host = self.odd("two")
        self.done(host.request(b"x"), b"first")
        self.done(host.request(b"x"), b"first")

    def test_bytes_that_nobody_asked_for_are_no_response(self):
        host = self.odd("two_late")
        for data in b"1", b"2", b"3":
            self.done(host.request(data), data)
            time.sleep(0.1)

    def test_answer_before_the_body_was_read(self):
        host = self.odd("early")
        self.failed(host.request(b"x" * REQUEST_MAX), "413: too much")

    def test_timeouts(self):
        for behaviour in "silent", "drip":
            with self.subTest(behaviour):
                self.setUp()
                begin = time.monotonic()
                self.failed(self.odd(behaviour, "--timeout", "400").request(b"x"),
                            "did not answer in time")
                self.assertLess(time.monotonic() - begin, 8)

    def test_dies_in_a_request(self):
        host = self.odd("dies")
        self.failed(host.request(b"x"), "the function ended with status 7: last words")
        status, error = host.end()
        self.assertEqual(status, 7)
        self.assertIn("ended with status 7", error)

    def test_dies_after_a_request(self):
        host = self.odd("dies_after")
        self.done(host.request(b"x"), b"x")
        time.sleep(0.2)
        try:  # it may have been noticed already
            self.failed(host.request(b"x"), "the function ended with status 7")
        except Ended:
            pass
        self.assertEqual(host.end()[0], 7)

    def test_descriptors_do_not_leak(self):
        host = self.odd("close_every_second")
        host.request(b"x")
        before = len(os.listdir(f"/proc/{host.process.pid}/fd"))
        for _ in range(20):
            host.request(b"x")
        self.assertEqual(len(os.listdir(f"/proc/{host.process.pid}/fd")), before)

    def test_nothing_is_left(self):
        host = self.python("import os\nif os.fork() == 0:\n import time; time.sleep(100)" +
                           PYTHON_SERVER.replace("\n", "\n", 1)).ready()
        host.process.terminate()
        status, _ = host.end()
        self.assertNotEqual(status, 0)


if __name__ == "__main__":
    main()
