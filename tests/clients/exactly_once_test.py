#!/usr/bin/python3
"""An exactly-once copy by the Python client, while copier and daemon are killed with SIGKILL, alone and together, as
often as there is time for: every item of the input is in the copy once, in order. Seed: TSTREAMS_TEST_SEED.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

from daemon import PATIENCE, TREE, ServedTest, wait_until

import tstreams

SECONDS = float(os.environ.get("TSTREAMS_COPY_SECONDS", "20"))
ROUNDS_MIN = 10  # fewer would say little
PARTITIONS = 2
TRANSACTIONS = 6  # that the writer opens at a time


class Copier:
    def __init__(self, endpoint, log):
        self.endpoint, self.log, self.process = endpoint, log, None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([sys.executable, "-B", str(TREE / "tests/clients/copier.py"),
                                             self.endpoint], stderr=log,
                                            env={**os.environ, "PYTHONPATH": str(TREE / "clients/python")})

    def kill(self):
        """Gives whether it was still at work, as it should."""
        alive = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        return alive


class Writer(threading.Thread):
    """Writes numbered items, each once: an unknown outcome is settled, what a restart has lost is written again."""

    def __init__(self, client, chance):
        super().__init__()
        self.client, self.chance = client, chance
        self.counts = [0] * PARTITIONS
        self.closing = threading.Event()
        self.failure = None

    def run(self):
        try:
            producer = self.client.producer("input")
            while not self.closing.wait(0.001):
                self.write(producer)
        except BaseException as failure:
            self.failure = failure

    def write(self, producer):
        """Some transactions in one step: more than the copier copies meanwhile, so that it always has work."""
        sizes = [(self.chance.randrange(PARTITIONS), self.chance.randint(1, 5)) for _ in range(TRANSACTIONS)]
        while True:
            counts = list(self.counts)
            try:
                for partition, size in sizes:
                    made = producer.begin(partition)
                    for _ in range(size):
                        made.put(f"{counts[partition]} " + "x" * (7000 if counts[partition] % 50 == 0 else 5))
                        counts[partition] += 1
                producer.checkpoint()
                break
            except tstreams.Error as failure:
                if failure.code != tstreams.Code.TRANSACTION_UNKNOWN:
                    raise
                producer.cancel()
        self.counts = counts


class ExactlyOnce(ServedTest):
    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("TSTREAMS_TEST_SEED") or random.SystemRandom().randrange(2**32))
        print(f"seed: {seed} (set TSTREAMS_TEST_SEED to repeat it)", flush=True)
        self.chance = random.Random(seed)
        self.client = self.connect()
        for name in ("input", "copies"):
            self.client.create_stream(name, partitions=PARTITIONS, durability=tstreams.Durability.PROCESS)
        self.copier = Copier(self.daemon.endpoint, f"{self.directory}/copier")
        self.copier.start()
        self.addCleanup(self.copier.kill)

    def complain(self):
        with open(self.copier.log) as log:
            return log.read()[-2000:]

    def test_copy_under_kills(self):
        writer = Writer(self.connect(), random.Random(self.chance.random()))
        writer.start()
        self.addCleanup(writer.closing.set)
        kills = {"copier": 0, "daemon": 0, "both": 0}
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            victim = self.chance.choice(sorted(kills))
            time.sleep(self.chance.uniform(0.2, 0.6))
            if victim != "daemon":
                self.assertTrue(self.copier.kill(), self.complain())
            if victim != "copier":
                self.daemon.end(signal.SIGKILL)
                self.daemon.start()
            if victim != "daemon":
                self.copier.start()
            kills[victim] += 1
        writer.closing.set()
        writer.join(PATIENCE)
        self.assertFalse(writer.is_alive())
        if writer.failure:
            raise writer.failure
        consumer = self.client.consumer("copies")
        copied = [[] for _ in range(PARTITIONS)]

        def all_copied():
            while (one := consumer.next(0)) is not None:
                copied[one.partition] += [int(item.split()[0]) for item in one]
            self.assertIsNone(self.copier.process.poll(), self.complain())
            return all(len(found) >= count for found, count in zip(copied, writer.counts))

        wait_until(all_copied, "everything is copied")
        self.assertIsNone(consumer.next(0.5), "more is in the copy than in the input")
        for found, count in zip(copied, writer.counts):
            wrong = next((at for at, number in enumerate(found) if number != at), None)
            self.assertIsNone(wrong, f"item {wrong} is lost or repeated")
            self.assertEqual(len(found), count)
        self.assertGreaterEqual(sum(kills.values()), ROUNDS_MIN)
        self.assertGreater(min(writer.counts), 100)
        print(f"copied {sum(writer.counts)} items; kills: {kills}; 0 lost, 0 repeated, in order")


if __name__ == "__main__":
    unittest.main()
