"""A tstreamsd of a test's own, and what it says over HTTP; for the tests of its operation."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

DAEMON = os.environ["TSTREAMSD"]
TOOL = os.environ["TSTREAMS_CLI"]
PATIENCE = 30  # seconds; nothing here takes a fraction of it


def wait_for(what, condition):
    """The first true value of condition(); fails the test when there is none in time."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not in time: {what}")


def parse_metrics(text):
    """{name with labels: value}, {family: type}; checks the format on the way."""
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} has two heads"
            types[name] = kind
        elif not line.startswith("# HELP "):
            found = re.fullmatch(r'([a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)+\})?) (\S+)', line)
            assert found, f"no sample: {line!r}"
            assert found[1] not in samples, f"{found[1]} is there twice"
            base = re.sub(r"_(bucket|sum|count)$", "", found[1].split("{")[0])
            assert found[1].split("{")[0] in types or types.get(base) == "histogram", f"{line!r} has no head"
            samples[found[1]] = float(found[2])
    return samples, types


class Daemon:
    """Serves DIRECTORY/store at ipc://DIRECTORY/socket, with metrics at a free port."""

    def __init__(self, directory, *options, environment=None, wait=True):
        self.directory, self.log = Path(directory), Path(directory) / "log"
        self.at = f"ipc://{directory}/socket"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [DAEMON, "--store", f"file:{directory}/store", "--listen", self.at, "--metrics", "127.0.0.1:0",
                 *options], stderr=log, env={**os.environ, **(environment or {})})
        self.url = wait_for("the address of the metrics",
                            lambda: self.said(r"metrics endpoint=\"?(http://[^\s\"]+)/metrics"))
        if wait:
            wait_for("ready", lambda: self.said(r"(ready)\n"))

    def said(self, pattern):
        found = re.search(pattern, self.log.read_text())
        if not found and self.process.poll() is not None:
            raise AssertionError(f"tstreamsd has ended: {self.log.read_text()}")
        return found and found[1]

    def get(self, path, method="GET"):
        """Status and body."""
        request = urllib.request.Request(self.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as failure:
            return failure.code, failure.read().decode()

    def metrics(self):
        status, text = self.get("/metrics")
        assert status == 200
        return parse_metrics(text)[0]

    def tool(self, *words, text=None):
        """What the tool prints for this server."""
        done = subprocess.run([TOOL, "--at", self.at, *words], input=text, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class ServedTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="ts-")
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, *options, **more):
        daemon = Daemon(self.directory, *options, **more)
        self.addCleanup(daemon.end)
        return daemon
