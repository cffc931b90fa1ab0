"""A tstreamsd of a test's own, and the tool; TSTREAMSD and TSTREAMS_CLI name the programs."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "clients/python"))
DAEMON = os.environ.get("TSTREAMSD", "tstreamsd")
TOOL = os.environ.get("TSTREAMS_CLI", "tstreams")
PATIENCE = 60  # seconds that anything here may take on a slow, busy machine


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.005)


class Daemon:
    """Serves DIRECTORY/store at ipc://DIRECTORY/socket."""

    def __init__(self, directory, *options):
        self.store = f"file:{directory}/store"
        self.endpoint = f"ipc://{directory}/socket"
        self.log = f"{directory}/log"
        self.command = [DAEMON, "--store", self.store, "--listen", self.endpoint, *options]
        self.process = None
        self.start()

    def start(self):
        """Ready when it returns."""
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_until(lambda: "ready" in self.output() or self.process.poll() is not None, "the daemon is ready")
        if self.process.poll() is not None:
            raise AssertionError("tstreamsd ended at once: " + self.output())

    def output(self):
        return pathlib.Path(self.log).read_text()

    def tell(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


class ServedTest(unittest.TestCase):
    OPTIONS = ()  # of the daemon; {} is the directory

    def before_serving(self):
        pass

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tstreams-python-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.endpoint = f"ipc://{self.directory}/socket"
        self.before_serving()
        self.daemon = Daemon(self.directory, *(one.format(self.directory) for one in self.OPTIONS))
        self.addCleanup(self.daemon.end, signal.SIGKILL)

    def connect(self, **options):
        import tstreams
        client = tstreams.Client(self.daemon.endpoint, **options)
        self.addCleanup(client.close)
        return client

    def tool(self, *arguments, at=None, stdin=b""):
        home = {"HOME": self.directory, "PATH": os.environ["PATH"]}
        done = subprocess.run([TOOL, "--at", at or self.endpoint, *arguments], input=stdin, env=home,
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, (arguments, done.stderr))
        return done.stdout
