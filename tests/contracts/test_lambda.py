#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The contract lambda against a runtime of our own that behaves in many ways, and AWS's own for
node, where QUARK_AWS_RIC names a folder in which `npm install aws-lambda-ric` was run."""
import json
import os
import re
import shutil
import sys
import time
import unittest

from harness import DONE, FAILED, REQUEST_MAX, RESPONSE_MAX, Case, Ended, free_port, libquark_has, main

HERE = os.path.dirname(os.path.abspath(__file__))
RIC = os.environ.get("QUARK_AWS_RIC", "")
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

HANDLER = """
console.log("imported");
let count = 0;
exports.handler = async (event, context) => {
  console.log("event", JSON.stringify(event).length);
  if (event.fail) throw new TypeError("asked to " + event.fail);
  if (event.exit) process.exit(9);
  if (event.reject) { setTimeout(() => { throw new Error("uncaught") }, 1); await new Promise(r => setTimeout(r, 500)); }
  if (event.size) return "z".repeat(event.size - 2);
  return {count: ++count, echo: event, id: context.awsRequestId, name: context.functionName,
          memory: context.memoryLimitInMB, arn: context.invokedFunctionArn,
          left: context.getRemainingTimeInMillis(), type: process.env.AWS_LAMBDA_INITIALIZATION_TYPE};
};
"""


class Lambda(Case):
    contract = "lambda"

    def setUp(self):
        self.options = ("--port", str(free_port()))

    def client(self, behaviour, *options, env=None):
        return self.host(*options, command=[sys.executable, f"{HERE}/lambda_client.py", behaviour],
                         env=env)

    def test_echo_of_every_size(self):
        host = self.client("echo").ready()
        for size in 0, 1, 1024, 1025, 2048, 2049, 100000, RESPONSE_MAX:
            data = os.urandom(size)
            self.done(host.request(data), data)
        self.failed(host.request(os.urandom(REQUEST_MAX)), "ResponseSizeTooLarge")

    def test_new_connection_for_each_call(self):
        host = self.client("new_connections").ready()
        for _ in range(20):
            self.done(host.request(b"x"), b"x")

    def test_headers(self):
        host = self.client("heads", "--name", "thumb", "--timeout", "7000").ready()
        first = json.loads(host.request().data)
        second = json.loads(host.request().data)
        for seen in first, second:
            self.assertRegex(seen["Lambda-Runtime-Aws-Request-Id"], UUID)
            self.assertAlmostEqual(int(seen["Lambda-Runtime-Deadline-Ms"]) / 1000, seen["now"] + 7,
                                   delta=1)
            self.assertEqual(seen["Lambda-Runtime-Invoked-Function-Arn"],
                             "arn:aws:lambda:us-east-1:123456789012:function:thumb")
            self.assertRegex(seen["Lambda-Runtime-Trace-Id"],
                             "^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Sampled=0$")
            self.assertEqual(seen["Content-Type"], "application/json")
        self.assertNotEqual(first["Lambda-Runtime-Aws-Request-Id"],
                            second["Lambda-Runtime-Aws-Request-Id"])

    def test_clones_have_ids_of_their_own(self):
        ids = set()
        for _ in range(3):
            self.setUp()
            host = self.client("heads").ready()
            answer = json.loads(host.request().data)
            ids.add(answer["Lambda-Runtime-Aws-Request-Id"])
            # What is shown of the entropy is not what the rest of it is for.
            shown = answer["Lambda-Runtime-Aws-Request-Id"].replace("-", "")
            self.assertNotIn(shown[:12], host.entropy[:48].hex())
            self.assertIn(shown[:12], host.entropy.hex())
        self.assertEqual(len(ids), 3)

    def test_environment(self):
        host = self.client("environment", "--name", "thumb", "--handler", "index.handler",
                           "--memory", "512", env={"AWS_REGION": "eu-central-1", "MINE": "x",
                                                   "AWS_LAMBDA_FUNCTION_NAME": "other"}).ready()
        seen = json.loads(host.request().data)
        for name, value in (("AWS_LAMBDA_RUNTIME_API", f"127.0.0.1:{self.options[1]}"),
                            ("AWS_LAMBDA_FUNCTION_NAME", "thumb"), ("_HANDLER", "index.handler"),
                            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"), ("MINE", "x"),
                            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"), ("AWS_REGION", "eu-central-1"),
                            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/thumb"),
                            ("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start"),
                            ("LAMBDA_TASK_ROOT", "/var/task")):
            self.assertEqual(seen.get(name), value, name)
        self.assertFalse({"QUARK_DOORBELL_FD", "QUARK_MAILBOX_FD", "QUARK_WAKE"} & set(seen))

    def test_errors(self):
        host = self.client("errors").ready()
        answer = host.request(b'{"errorMessage":"no"}')
        self.assertEqual((answer.ring, answer.data), (FAILED, b'{"errorMessage":"no"}'))
        answer = host.request(b"e" * 5000)
        self.assertEqual((answer.ring, answer.data), (FAILED, b"e" * 5000))
        self.failed(host.request(b""), "Test.Error")

    def test_streamed_response(self):
        host = self.client("chunked").ready()
        for size in 0, 10, 900000:
            data = os.urandom(size)
            self.done(host.request(data), data)

    def test_stream_that_broke_off(self):
        host = self.client("broken_stream").ready()
        self.failed(host.request(), "half")
        self.failed(host.request(), "half")

    def test_limit_of_responses(self):
        host = self.client("sized").ready()
        self.done(host.request(b"%d" % RESPONSE_MAX), bytes(RESPONSE_MAX))
        self.failed(host.request(b"%d" % (RESPONSE_MAX + 1)), "larger than 983040 bytes")
        self.failed(host.request(b"20000000"), "larger than 983040 bytes")
        self.done(host.request(b"3"), bytes(3))

    def test_wrong_paths_and_ids(self):
        host = self.client("wrong_ids").ready()
        for _ in range(2):
            answer = json.loads(host.request().data)
            self.assertEqual(answer, [400, 400, 400, 400, 404, 404, 404, 404, 400, 404, 404, 404])

    # --- before the first invocation

    def not_ready(self, host, text, status):
        with self.assertRaises(Ended):
            host.ready()
        code, error = host.end()
        self.assertIn(text, error)
        self.assertEqual(code, status, error)

    def test_init_error(self):
        self.not_ready(self.client("init_error"), 'not ready: the initialisation failed: '
                       '{"errorMessage": "no such module"', 3)

    def test_init_error_of_one_that_stays(self):
        self.not_ready(self.client("init_error_stays"), "without a word", 1)

    def test_dies_before_it_is_ready(self):
        self.not_ready(self.client("dies_first"), "ended with status 1: no handler", 1)

    def test_never_asks(self):
        self.not_ready(self.client("never", "--start-timeout", "300"), "did not answer in time", 1)

    def test_port_is_taken(self):
        self.client("echo").ready()
        self.not_ready(self.client("echo"), "cannot listen on 127.0.0.1", 1)

    # --- snapshot and restore

    def test_restore_next_is_the_snapshot_point(self):
        host = self.client("restore").ready()
        time.sleep(0.2)
        self.assertEqual(host.logs, [])
        self.done(host.request(b"x"), b"x")
        self.assertEqual(host.logs, ["hook runs"])
        self.done(host.request(b"y"), b"y")
        self.assertEqual(host.logs, ["hook runs"])

    def test_restore_next_later_does_not_wait(self):
        host = self.client("restore_again").ready()
        for _ in range(3):
            self.done(host.request(b"x"), b"x")

    def test_expect_continue(self):
        host = self.client("expect").ready()
        for _ in range(3):
            self.done(host.request(b"x" * 3000), b"x" * 3000)

    @unittest.skipUnless(libquark_has("quark_after_restore"), "libquark has no hooks")
    def test_warm_up(self):
        host = self.client("echo").ready()
        self.done(host.request(b"warm"), b"warm")
        self.done(host.warmed_up().request(b"x"), b"x")
        self.setUp()
        host = self.client("restore").ready()
        self.done(host.request(b"warm"), b"warm")
        self.failed(host.warmed_up().request(b"x"), "cannot be warmed up")
        self.assertEqual(host.end()[0], 1)

    def test_restore_error_answers_nothing(self):
        host = self.client("restore_error").ready()
        self.failed(host.request(b"x"), 'a hook after the restore failed: {"errorMessage":"no more')
        self.assertEqual(host.end()[0], 5)

    def test_dies_after_the_restore(self):
        host = self.client("restore_dies").ready()
        self.failed(host.request(b"x"), "ended with status 1: cannot go on")

    # --- in an invocation

    def test_dies(self):
        host = self.client("dies").ready()
        self.failed(host.request(b"x"), "ended with status 1: last words")
        self.assertEqual(host.end()[0], 1)

    def test_uncaught_exception(self):
        host = self.client("uncaught").ready()
        self.failed(host.request(b"x"), '{"errorMessage": "thrown"')
        self.assertEqual(host.end()[0], 129)

    def test_timeout(self):
        host = self.client("stalls", "--timeout", "300").ready()
        begin = time.monotonic()
        self.failed(host.request(b"x"), "did not answer in time")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(host.end()[0], 1)

    def test_no_answer(self):
        host = self.client("without_answer").ready()
        self.failed(host.request(b"skip"), "without an answer")
        self.done(host.request(b"x"), b"x")

    def test_response_that_breaks_off(self):
        host = self.client("half_post").ready()
        for _ in range(10):
            self.done(host.request(b"whole"), b"whole")

    def test_two_responses_at_once_are_not_mixed(self):
        host = self.client("two_uploads").ready()
        for _ in range(3):
            self.done(host.request(b"x"), b"ab" * 10000)

    def test_response_of_another_invocation(self):
        host = self.client("late_post").ready()
        self.failed(host.request(b"1"), "without an answer")
        self.done(host.request(b"2"), b"400")
        self.done(host.request(b"3"), b"3")

    def test_noise(self):
        host = self.client("noise").ready()
        for _ in range(3):
            self.done(host.request(b"x"), b"x")

    def test_one_that_talks_before_it_reads(self):
        host = self.client("deaf").ready()
        data = os.urandom(RESPONSE_MAX)
        self.done(host.request(data), data)
        self.done(host.request(b"x"), b"x")


@unittest.skipUnless(RIC and shutil.which("node"), "QUARK_AWS_RIC names no aws-lambda-ric")
class Ric(Case):
    contract = "lambda"

    def setUp(self):
        self.options = ("--port", str(free_port()), "--name", "thumb", "--handler", "index.handler")
        self.folder = f"/tmp/contract-ric-{os.getpid()}"
        os.makedirs(self.folder, exist_ok=True)
        self.addCleanup(shutil.rmtree, self.folder, True)

    def ric(self, handler=HANDLER, *options):
        with open(f"{self.folder}/index.js", "w", encoding="ascii") as file:
            file.write(handler)
        return self.host(*options, command=["sh", "-c", 'cd "$1" && exec "$2" index.handler', "sh",
                                            self.folder, f"{RIC}/node_modules/.bin/aws-lambda-ric"],
                         env={"LAMBDA_TASK_ROOT": self.folder})

    def test_handler(self):
        host = self.ric().ready()
        self.assertIn("imported", " ".join(host.logs))
        for count in 1, 2, 3:
            answer = host.request(json.dumps({"text": "häß", "n": count}).encode())
            self.assertEqual(answer.ring, DONE, answer.data)
            seen = json.loads(answer.data)
            self.assertEqual((seen["count"], seen["name"], seen["echo"]["text"], seen["type"]),
                             (count, "thumb", "häß", "snap-start"))
            self.assertRegex(seen["id"], UUID)
            self.assertGreater(seen["left"], 890000)

    def test_errors(self):
        host = self.ric().ready()
        answer = host.request(b'{"fail":"fail"}')
        self.assertEqual(answer.ring, FAILED)
        error = json.loads(answer.data)
        self.assertEqual((error["errorType"], error["errorMessage"]), ("TypeError", "asked to fail"))
        self.assertEqual(host.request(b"{}").ring, DONE)
        self.failed(host.request(b'{"reject":1}'), "uncaught")
        self.assertNotEqual(host.end()[0], 0)
        # Version 3 reports it, version 4 dies of it.
        self.setUp()
        self.assertEqual(self.ric().ready().request(b"no json").ring, FAILED)

    def test_exit(self):
        host = self.ric().ready()
        self.failed(host.request(b'{"exit":1}'), "ended with status 9")
        self.assertEqual(host.end()[0], 9)

    def test_size(self):
        host = self.ric().ready()
        self.assertEqual(len(host.request(b'{"size":983040}').data), RESPONSE_MAX)
        self.failed(host.request(b'{"size":983041}'), "larger than 983040 bytes")

    def test_streaming_handler(self):
        host = self.ric("""exports.handler = awslambda.streamifyResponse(async (event, stream) => {
            stream.setContentType("text/plain");
            for (let i = 0; i < 3; i++) { stream.write("part" + i); await new Promise(r => setTimeout(r, 20)); }
            stream.end(); });""").ready()
        self.done(host.request(b"{}"), b"part0part1part2")
        self.done(host.request(b"{}"), b"part0part1part2")

    def test_no_such_handler(self):
        host = self.ric("exports.other = 1;")
        with self.assertRaises(Ended):
            host.ready()
        status, error = host.end()
        self.assertNotEqual(status, 0)
        self.assertIn("index.handler", error)

    def test_import_fails(self):
        host = self.ric("require('nonesuch')")
        with self.assertRaises(Ended):
            host.ready()
        self.assertIn("nonesuch", host.end()[1])


if __name__ == "__main__":
    main()
