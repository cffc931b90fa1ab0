"""Running the tool from tests: each test has a store and a home directory of its own.

TSTREAMS_CLI names the program. With TSTREAMSD, which names the daemon, each store is served by one, and the tool finds
it at a socket; with TSTREAMS_TEST_OVER_TCP at a port of loopback.
"""

import array
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import termios
import time
import unittest

TOOL = os.environ.get("TSTREAMS_CLI", "tstreams")
DAEMON = os.environ.get("TSTREAMSD")
OVER_TCP = "TSTREAMS_TEST_OVER_TCP" in os.environ
PATIENCE = 120  # seconds that anything here may take on a slow, busy machine
ITEM_LIMIT = 16 << 20


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.005)


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tstreams-cli-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.store = os.path.join(self.dir, "store")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("TSTREAMS_", "XDG_"))}
        self.env.update(HOME=os.path.join(self.dir, "home"), TSTREAMS_URI="file:" + self.store)
        if DAEMON:
            self.serve()

    def serve(self):
        listen = "tcp://127.0.0.1:0" if OVER_TCP else f"ipc://{self.dir}/socket"
        log = open(os.path.join(self.dir, "daemon.log"), "w+b")
        self.addCleanup(log.close)
        daemon = subprocess.Popen([DAEMON, "--store", "file:" + self.store, "--listen", listen],
                                  stdout=log, stderr=log)
        self.addCleanup(self.end, daemon)

        def said():
            with open(log.name, encoding="utf-8") as lines:
                return lines.read()
        wait_until(lambda: " ready\n" in said() or daemon.poll() is not None, "the daemon")
        self.assertIsNone(daemon.poll(), said())
        self.env["TSTREAMS_URI"] = re.search(r"listening endpoint=(\S+)", said()).group(1)

    def run_tool(self, *args, stdin=b"", expect=0, **options):
        options.setdefault("env", self.env)
        result = subprocess.run([TOOL, *args], input=stdin, capture_output=True, timeout=PATIENCE, **options)
        self.assertEqual(result.returncode, expect, f"{args}: {result.stdout[-500:]!r} {result.stderr!r}")
        return result

    def start_tool(self, *args, **options):
        options.setdefault("env", self.env)
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        process = subprocess.Popen([TOOL, *args], **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except OSError:
                    pass

    def run_plain(self, *args, **options):
        """Runs the tool with standard streams of the caller's choice, whatever comes out."""
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([TOOL, *args], env=self.env, timeout=PATIENCE, **options)

    def run_shell(self, command):
        """Runs a shell command in which TOOL stands for the tool."""
        text = command.replace("TOOL", shlex.quote(TOOL))
        return subprocess.run(["sh", "-c", text], env=self.env, timeout=PATIENCE, capture_output=True)

    def lines(self, *args, **options):
        return self.run_tool(*args, **options).stdout.splitlines()

    def json_lines(self, *args):
        return [json.loads(line) for line in self.lines(*args)]

    def error(self, *args, expect, **options):
        """The one line on standard error of a command that fails."""
        text = self.run_tool(*args, expect=expect, **options).stderr.decode()
        self.assertRegex(text, r"\Atstreams: [^\n]+\n\Z")
        return text

    def create(self, name="s", *options):
        self.run_tool("stream", "create", name, *options)

    def produce(self, stdin, *options, name="s"):
        return self.run_tool("produce", name, *options, stdin=stdin).stderr.decode()

    def consume(self, *options, name="s"):
        return self.run_tool("consume", name, *options).stdout

    def feed(self, process, data):
        """Writes to a running produce, and returns when it has read all of it."""
        process.stdin.write(data)
        process.stdin.flush()
        waiting = array.array("i", [1])

        def taken():
            fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, waiting)
            return waiting[0] == 0 or process.poll() is not None

        wait_until(taken, "produce reads its input")
        self.assertIsNone(process.poll(), "produce ended early")

    def finish(self, process, expect=0):
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, expect, (out[-500:], err))
        return out, err.decode()
