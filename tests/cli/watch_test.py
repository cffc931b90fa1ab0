"""txn watch: what it prints, how it ends. Who writes beside it does so through a daemon, where there is one."""

import json
import os
import signal
import subprocess
import time

from tool import DAEMON, TOOL, ToolTest, wait_until


def catches(process, number):
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


class Watching(ToolTest):
    def watch(self, *options, **more):
        """A running watch, and a function that gives the lines that it has printed."""
        file = open(os.path.join(self.dir, "events"), "w+b")
        self.addCleanup(file.close)
        process = self.start_tool("txn", "watch", "s", *options, stdout=file, **more)

        def lines():
            with open(file.name, "rb") as out:
                return out.read().splitlines()

        return process, lines

    def test_ends_when_it_is_told_to(self):
        self.create()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            process, lines = self.watch()
            wait_until(lambda number=signal_number: catches(process, number), "the tool looks after its signals")
            process.send_signal(signal_number)
            self.assertEqual(process.wait(timeout=60), 0)
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(lines(), [])

    def test_mistakes(self):
        self.create()
        self.assertIn("stream create", self.error("txn", "watch", "nope", expect=3))
        self.error("txn", "watch", "s", "7", expect=3)
        self.error("txn", "watch", "s", "x", expect=2)
        self.error("txn", "watch", "s", "--kind", "lost", expect=2)
        self.error("txn", "watch", "s", "--max", "0", expect=2)
        self.error("txn", "watch", expect=2)


if DAEMON:
    class WatchingOthers(Watching):
        def begun(self, process, lines):
            """Something is written until it is told of."""
            def told():
                self.produce(b"x\n")
                return lines() or process.poll() is not None

            wait_until(told, "the watch has begun")
            self.assertIsNone(process.poll(), "it ended early")

        def test_prints_what_happens(self):
            self.create("s", "--partitions", "2")
            process, lines = self.watch()
            self.begun(process, lines)
            self.produce(b"three\nitems\nhere\n", "--partition", "1")
            listed = self.lines("txn", "list", "s", "1")[-1].split(b"\t")
            partition, transaction, opened_at = listed[0], listed[1], listed[5]

            def of_it():  # it may have begun in the middle of an earlier one
                return [one.split(b"\t") for one in lines() if one.split(b"\t")[1:3] == [partition, transaction]]

            wait_until(lambda: len(of_it()) == 2, "two lines")
            self.assertEqual(of_it(), [[b"opened", partition, transaction, opened_at],
                                       [b"checkpointed", partition, transaction, opened_at, b"3", b"14"]])
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=60), 0)

        def test_json_with_kinds_and_an_end(self):
            self.create()
            process, lines = self.watch("--json", "--kind", "checkpointed", "--kind", "expired", "--max", "3")

            def over():
                self.produce(b"ab\nc\n")
                return process.poll() is not None

            wait_until(over, "three events")
            self.assertEqual(process.returncode, 0)
            found = [json.loads(line) for line in lines()]
            self.assertEqual(len(found), 3)
            listed = {one["transaction"]: one for one in self.json_lines("txn", "list", "s", "--json")}
            for one in found:
                self.assertEqual(one, {"stream": "s", "event": "checkpointed", "partition": 0,
                                       "transaction": one["transaction"],
                                       "time": listed[one["transaction"]]["time"], "items": 2, "bytes": 3})

        def test_an_aborted_one_is_expired_and_a_deleted_stream_ends_it(self):
            self.create()
            process, lines = self.watch()
            self.begun(process, lines)
            writer = self.start_tool("produce", "s", "--linger", "5m")
            self.feed(writer, b"held\n")
            wait_until(lambda: self.lines("txn", "list", "s", "--state", "open"), "an open one")
            held = self.lines("txn", "list", "s", "--state", "open")[0].split(b"\t")[1]
            self.run_tool("txn", "abort", "s", "0", held.decode())
            wait_until(lambda: lines()[-1].startswith(b"expired\t0\t" + held + b"\t"), "it is expired")
            writer.kill()
            self.run_tool("stream", "delete", "s")
            self.assertEqual(process.wait(timeout=60), 3)
            self.assertRegex(process.stderr.read().decode(), r"\Atstreams: [^\n]*deleted[^\n]*\n\Z")

        def test_a_reader_that_goes_ends_it(self):
            self.create()
            process = subprocess.Popen([TOOL, "txn", "watch", "s"], env=self.env, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            self.addCleanup(self.end, process)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=60), 1)
