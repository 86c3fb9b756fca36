#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The contract stdio against programs that behave, and some that do not."""
import os
import signal
import time

from harness import DONE, FAILED, REQUEST_MAX, RESPONSE_MAX, Case, Ended, children, main


class Stdio(Case):
    contract = "stdio"

    def sh(self, script, *options, env=None):
        return self.host(*options, command=["sh", "-c", script], env=env).ready()

    def test_echo_of_every_size(self):
        host = self.host(command=["cat"]).ready()
        for size in 0, 1, 1024, 1025, 2047, 2048, 2049, 65535, 65536, 65537, RESPONSE_MAX:
            data = os.urandom(size)
            self.done(host.request(data), data)

    def test_each_request_has_a_process_of_its_own(self):
        host = self.sh("echo $$")
        first, second = host.request(), host.request()
        self.assertEqual((first.ring, second.ring), (DONE, DONE))
        self.assertNotEqual(first.data, second.data)

    def test_response_at_the_limit_and_beyond(self):
        host = self.sh("head -c $(cat) /dev/zero")
        self.done(host.request(str(RESPONSE_MAX).encode()), bytes(RESPONSE_MAX))
        self.failed(host.request(str(RESPONSE_MAX + 1).encode()), "larger than 983040 bytes")
        self.failed(host.request(b"900000000"), "larger than 983040 bytes")
        self.done(host.request(b"3"), bytes(3))

    def test_request_that_nobody_reads(self):
        host = self.sh("echo unread")
        self.done(host.request(os.urandom(REQUEST_MAX)), b"unread\n")

    def test_input_closed_early(self):
        host = self.sh("head -c 10; exec <&-; sleep 0.1; echo; echo end")
        self.done(host.request(b"x" * REQUEST_MAX), b"x" * 10 + b"\nend\n")

    def test_both_directions_at_once(self):
        # Neither side can finish before the other has read: 900 KiB each way through 64 KiB pipes.
        data = os.urandom(900000)
        self.done(self.host(command=["cat"]).ready().request(data), data)

    def test_output_before_input(self):
        host = self.sh("head -c 300000 /dev/zero; cat")
        self.done(host.request(b"y" * 300000), bytes(300000) + b"y" * 300000)

    def test_status_and_errors_in_the_failure(self):
        host = self.sh("echo first >&2; echo the reason >&2; exit 3")
        self.failed(host.request(), "the function ended with status 3: first\nthe reason")
        self.assertEqual(host.logs, ["first", "the reason"])

    def test_killed_by_a_signal(self):
        self.failed(self.sh("kill -SEGV $$").request(), "was killed by signal 11")

    def test_errors_go_to_the_log_and_not_into_the_response(self):
        host = self.sh("echo note >&2; printf half >&2; echo out")
        self.done(host.request(), b"out\n")
        self.assertEqual(host.logs, ["note", "half"])

    def test_much_on_standard_error(self):
        host = self.sh("yes 0123456789abcde | head -c 1000000 >&2; head -c 9000 /dev/zero | "
                       "tr '\\0' z >&2; exit 1")
        answer = host.request()
        self.failed(answer, "z" * 1024)
        self.assertLess(len(answer.data), 1200)
        self.assertEqual(sum(len(line) for line in host.logs), 1000000 // 16 * 15 + 9000)
        self.assertEqual(max(len(line) for line in host.logs), 4096)

    def test_timeout(self):
        host = self.sh("cat >/dev/null; sleep 60", "--timeout", "200")
        begin = time.monotonic()
        self.failed(host.request(), "did not end within 200 ms")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(children(host.process.pid), [])

    def test_timeout_of_one_that_talks_all_the_time(self):
        host = self.sh("while :; do echo noise >&2; done", "--timeout", "300")
        self.failed(host.request(timeout=30), "did not end within 300 ms")

    def test_nothing_outlives_the_request(self):
        host = self.sh("sleep 1000 & echo $!")
        answer = host.request()
        self.assertEqual(answer.ring, DONE)
        with self.assertRaises(ProcessLookupError):
            os.kill(int(answer.data), 0)

    def test_response_is_there_although_an_orphan_holds_the_pipe(self):
        begin = time.monotonic()
        self.done(self.sh("setsid sleep 3 & echo out").request(), b"out\n")
        self.assertLess(time.monotonic() - begin, 2)

    def test_orphans_are_reaped(self):
        host = self.sh("(setsid sh -c 'sleep 0.1' &) ; echo out")
        self.done(host.request(), b"out\n")
        time.sleep(0.4)
        host.request()
        time.sleep(0.4)
        host.request()
        # The last one's orphan ended while the program was stopped at the doorbell.
        self.assertLessEqual(len(children(host.process.pid)), 1)

    def test_function_does_not_get_the_machine(self):
        host = self.sh("env | grep -c '^QUARK_\\(DOORBELL\\|MAILBOX\\|WAKE\\)'; ls -l /proc/self/fd")
        text = host.request().data.decode()
        self.assertTrue(text.startswith("0\n"), text)
        self.assertNotIn("memfd", text)

    def test_environment_and_arguments_arrive(self):
        host = self.host(command=["sh", "-c", "printf '%s|' \"$MARK\" \"$@\"", "name", "a b", ""],
                         env={"MARK": "here"}).ready()
        self.done(host.request(), b"here|a b||")

    def test_signal_mask_and_sigpipe_are_ordinary(self):
        host = self.host(command=["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]).ready()
        for line in host.request().data.decode().splitlines():
            mask = int(line.split()[1], 16)
            self.assertFalse(mask & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGTERM - 1)), line)

    def test_term_is_handed_on(self):
        host = self.sh("trap 'echo term; exit 0' TERM; echo up >&2; while :; do sleep 0.05; done")
        host.order(1, b"")
        while "up" not in host.logs:
            try:
                host.ring(0.3)
            except TimeoutError:
                pass
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(host.ring(), DONE)

    def test_no_such_command(self):
        for command, text in ((["nonesuch"], "cannot run 'nonesuch': No such file"),
                              (["/etc/passwd"], "cannot run '/etc/passwd': Permission denied"),
                              (["/etc"], "cannot run '/etc': Is a directory"), ([""], "cannot run ''")):
            host = self.host(command=command)
            with self.assertRaises(Ended):
                host.ready()
            status, error = host.end()
            self.assertEqual(status, 1)
            self.assertIn(text, error)

    def test_not_a_program(self):
        path = f"/tmp/contract-{os.getpid()}"
        with open(path, "w", encoding="ascii") as file:
            file.write("no magic\n")
        os.chmod(path, 0o755)
        self.addCleanup(os.unlink, path)
        self.failed(self.host(command=[path]).ready().request(), "Exec format error")

    def test_descriptors_do_not_leak(self):
        host = self.sh("cat; exit $(($(date +%N | sed 's/^0*//') % 2))")
        before = len(os.listdir(f"/proc/{host.process.pid}/fd"))
        for _ in range(20):
            host.request(b"x" * 5000)
        self.assertEqual(len(os.listdir(f"/proc/{host.process.pid}/fd")), before)


class Usage(Case):
    def test_refused(self):
        import harness
        import subprocess
        for words, text in (([], "no contract is named"), (["smtp"], "no contract 'smtp'"),
                            (["stdio"], "no command"), (["stdio", "--"], "no command"),
                            (["stdio", "--port", "1", "--", "x"], "no option '--port'"),
                            (["http", "--port", "0", "--", "x"], "'0' is not a number"),
                            (["http", "--port", "65536", "--", "x"], "not a number"),
                            (["http", "--port"], "needs a value"),
                            (["http", "--path", "x", "--", "x"], "needs a path"),
                            (["http", "--path", "/a b", "--", "x"], "needs a path"),
                            (["http", "--path", "/\r\nX: y", "--", "x"], "needs a path"),
                            (["http", "--content-type", "a\r\nX: y", "--", "x"], "ASCII"),
                            (["lambda", "--name", "n" * 257, "--", "x"], "ASCII")):
            done = subprocess.run([harness.PROGRAM, *words], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_without_a_machine(self):
        import harness
        import subprocess
        done = subprocess.run([harness.PROGRAM, "stdio", "--", "cat"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no doorbell and mailbox", done.stderr)


if __name__ == "__main__":
    main()
