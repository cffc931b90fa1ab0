#!/usr/bin/python3
"""Watching with the Python client, against a real tstreamsd: what is told, what is lost, and how it ends."""

import re
import signal
import subprocess
import time
import unittest

from daemon import PATIENCE, TOOL, TREE, ServedTest

import tstreams
from tstreams import Code, Event, EventKind


class WatchingTest(ServedTest):
    def setUp(self):
        super().setUp()
        self.client = self.connect()
        self.stream = self.client.create_stream("s", partitions=2, durability=tstreams.Durability.PROCESS)
        self.producer = self.client.producer("s")

    def watch(self, client=None, stream="s", **options):
        made = (client or self.client).watch(stream, **options)
        self.addCleanup(made.close)
        return made

    def next_of(self, watcher):
        event = watcher.next(PATIENCE)
        self.assertIsNotNone(event)
        return event

    def fails(self, code, call):
        with self.assertRaises(tstreams.Error) as failed:
            call()
        self.assertEqual(failed.exception.code, code, str(failed.exception))


class Told(WatchingTest):
    def test_what_happens_in_its_order(self):
        self.producer.send(["before"])
        watcher = self.watch()
        self.assertIsNone(watcher.next(0))
        sent = self.producer.send(["one", "three"], partition=1)
        left = self.producer.begin(0)
        left.put("x")
        left.cancel()
        stuck = self.producer.begin(1)
        self.tool("txn", "abort", "s", "1", str(stuck.id))
        self.assertEqual([self.next_of(watcher) for _ in range(6)],
                         [Event(EventKind.OPENED, 1, sent), Event(EventKind.CHECKPOINTED, 1, sent, 2, 8),
                          Event(EventKind.OPENED, 0, left.id), Event(EventKind.CANCELLED, 0, left.id),
                          Event(EventKind.OPENED, 1, stuck.id), Event(EventKind.EXPIRED, 1, stuck.id)])
        self.assertIsNone(watcher.next(0.05))

    def test_some_kinds_of_some_partitions(self):
        watcher = self.watch(kinds=[EventKind.CHECKPOINTED], partitions=[1])
        self.producer.send(["x"], partition=0)
        sent = self.producer.send(["y"], partition=1)
        self.assertEqual(self.next_of(watcher), Event(EventKind.CHECKPOINTED, 1, sent, 1, 1))
        self.assertIsNone(watcher.next(0.05))

    def test_calls_of_the_client_go_on_beside_it(self):
        one, other = self.watch(), self.watch(kinds=[EventKind.CHECKPOINTED])
        consumer = self.client.consumer("s")
        sent = []
        for number in range(300):
            sent.append(self.producer.send([str(number)]))
            self.assertEqual(len(consumer.next(PATIENCE)), 1)
        self.assertEqual([self.next_of(other).id for _ in sent], sent)
        self.assertEqual([self.next_of(one).id for _ in sent for _ in range(2)], [id for id in sent for _ in range(2)])

    def test_what_is_not_taken_in_time_is_counted(self):
        watcher = self.watch(buffer_events=100)
        sends = 2000
        for number in range(sends):
            self.producer.send([], partition=number % 2)
        last = self.producer.send(["last"], partition=0)
        told = lost = 0
        ids = [0, 0]
        while True:
            event = self.next_of(watcher)
            if event.kind == EventKind.LOST:
                lost += event.lost
                continue
            told += 1
            self.assertGreaterEqual(event.id, ids[event.partition])
            ids[event.partition] = event.id
            if event.kind == EventKind.CHECKPOINTED and event.id == last:
                break
        self.assertGreater(lost, 0)
        self.assertEqual(told + lost, 2 * (sends + 1))

    def test_the_sample_of_the_readme(self):
        readme = (TREE / "clients/python/README.md").read_text()
        _, sample, *_ = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
        self.client.create_stream("orders")
        place = {"tstreams": tstreams, "client": self.client, "print": lambda *words: printed.append(words)}
        printed = []
        feeder = self.start_producing("orders")
        exec(sample.replace("timeout=10", "timeout=2"), place)
        self.assertEqual(feeder.wait(PATIENCE), 0)
        self.assertEqual([(words[1], words[3]) for words in printed], [("CHECKPOINTED", 1)])

    def start_producing(self, stream):
        command = f"sleep 0.5; echo x | {TOOL} --at {self.endpoint} produce {stream}"
        process = subprocess.Popen(["sh", "-c", command], stderr=subprocess.DEVNULL, env={"HOME": self.directory})
        self.addCleanup(process.wait)
        return process


class Ends(WatchingTest):
    def test_a_restart_is_told_as_lost_and_it_goes_on(self):
        watcher, other = self.watch(), self.watch(kinds=[EventKind.CHECKPOINTED])
        for number in (signal.SIGKILL, signal.SIGTERM):
            self.daemon.end(number)
            self.daemon.start()
            self.assertEqual(self.next_of(watcher), Event(EventKind.LOST))
            self.client.find_stream("s")  # a call that sees the loss as well
            self.assertEqual(self.next_of(other), Event(EventKind.LOST))
            sent = self.producer.send(["y"], partition=0)
            self.assertEqual([self.next_of(watcher) for _ in range(2)],
                             [Event(EventKind.OPENED, 0, sent), Event(EventKind.CHECKPOINTED, 0, sent, 1, 1)])
            self.assertEqual(self.next_of(other), Event(EventKind.CHECKPOINTED, 0, sent, 1, 1))

    def test_what_came_before_the_end_of_the_server_is_told(self):
        watcher = self.watch()
        sent = self.producer.send(["x"], partition=0)
        self.daemon.end(signal.SIGTERM)
        self.assertEqual([self.next_of(watcher).id for _ in range(2)], [sent, sent])
        self.daemon.start()
        self.assertEqual(self.next_of(watcher), Event(EventKind.LOST))

    def test_a_server_that_stays_away_and_comes_back(self):
        client = self.connect(patience=0.5)
        watcher = self.watch(client)
        self.daemon.end(signal.SIGKILL)
        self.fails(Code.UNAVAILABLE, lambda: watcher.next(PATIENCE))
        self.fails(Code.UNAVAILABLE, lambda: watcher.next(0))
        self.daemon.start()
        end = time.monotonic() + PATIENCE
        while True:
            try:
                event = watcher.next(0)
                break
            except tstreams.Error as failure:
                self.assertEqual(failure.code, Code.UNAVAILABLE)
                self.assertLess(time.monotonic(), end)
        self.assertEqual(event, Event(EventKind.LOST))

    def test_a_deleted_stream(self):
        watcher = self.watch()
        self.client.delete_stream("s")
        for _ in range(2):
            self.fails(Code.STREAM_DELETED, lambda: watcher.next(PATIENCE))
        self.fails(Code.STREAM_NOT_FOUND, lambda: self.client.watch("s"))

    def test_closing_makes_room(self):
        watchers = [self.watch() for _ in range(64)]
        self.fails(Code.OVERLOADED, lambda: self.client.watch("s"))
        with watchers[0] as closing:
            self.producer.send(["x"])
            self.next_of(closing)
        closing.close()
        self.fails(Code.INVALID_STATE, closing.next)
        self.next_of(self.watch_when_there_is_room())
        self.client.close()
        self.fails(Code.SHUTTING_DOWN, watchers[1].next)

    def watch_when_there_is_room(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                made = self.watch()
                self.producer.send(["y"])
                return made
            except tstreams.Error as failure:
                self.assertEqual(failure.code, Code.OVERLOADED)
                self.assertLess(time.monotonic(), end)

    def test_what_cannot_be_watched(self):
        self.fails(Code.INVALID_ARGUMENT, lambda: self.client.watch("s", buffer_events=0))
        self.fails(Code.INVALID_ARGUMENT, lambda: self.client.watch("s", buffer_events=8193))
        self.fails(Code.INVALID_ARGUMENT, lambda: self.client.watch("s", kinds=[EventKind.LOST]))
        self.fails(Code.PARTITION_NOT_FOUND, lambda: self.client.watch("s", partitions=[7]))
        self.assertIsNotNone(self.client.find_stream("s"))


if __name__ == "__main__":
    unittest.main()
