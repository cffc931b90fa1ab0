"""Reading: names and offsets, places to begin, JSON, pipes that close, kills."""

import base64
import json
import os
import signal

from tool import PATIENCE, ToolTest


class Consume(ToolTest):
    def setUp(self):
        super().setUp()
        self.create()

    def ids(self):
        return list(dict.fromkeys(item["transaction"] for item in self.json_lines("consume", "s", "--json")))

    def test_a_name_goes_on_where_it_ended(self):
        self.produce(b"a\nb\n")
        self.assertEqual(self.consume("--name", "n"), b"a\nb\n")
        self.assertEqual(self.consume("--name", "n"), b"")
        self.produce(b"c\n")
        self.assertEqual(self.consume("--name", "n"), b"c\n")
        self.assertEqual(self.consume("--name", "other"), b"a\nb\nc\n")
        self.assertEqual(self.consume(), b"a\nb\nc\n")

    def test_a_stored_offset_wins_unless_reset(self):
        self.produce(b"a\n")
        self.consume("--name", "n")
        self.assertEqual(self.consume("--name", "n", "--from", "oldest"), b"")
        self.assertEqual(self.consume("--name", "n", "--from", "oldest", "--reset"), b"a\n")
        self.error("consume", "s", "--reset", expect=2)

    def test_where_to_begin(self):
        self.produce(b"a\nb\nc\n", "--batch", "1")
        _, second, third = self.json_lines("consume", "s", "--json")
        self.assertEqual(self.consume("--from", "oldest"), b"a\nb\nc\n")
        self.assertEqual(self.consume("--from", "newest"), b"")
        self.assertEqual(self.consume("--from", second["transaction"]), b"b\nc\n")
        self.assertEqual(self.consume("--after", second["transaction"]), b"c\n")
        self.assertEqual(self.consume("--from", "1970-01-01T00:00:00Z"), b"a\nb\nc\n")
        self.assertEqual(self.consume("--from", "2100-01-01T00:00:00+01:00"), b"")
        self.assertTrue(self.consume("--from", third["time"]).endswith(b"c\n"))
        self.assertEqual(self.consume("--name", "n", "--from", second["transaction"]), b"b\nc\n")

    def test_newest_is_remembered_for_a_name(self):
        self.produce(b"old\n")
        self.assertEqual(self.consume("--name", "n", "--from", "newest"), b"")
        self.produce(b"new\n")
        self.assertEqual(self.consume("--name", "n"), b"new\n")

    def test_stored_needs_an_offset(self):
        self.produce(b"a\n")
        said = self.error("consume", "s", "--name", "n", "--from", "stored", expect=3)
        self.assertIn("consume s --name n --from oldest", said)
        said = self.error("consume", "s", "--name", "n", "--from", "stored", "--no-checkpoint", expect=3)
        self.consume("--name", "n", "--max", "1")
        self.produce(b"b\n")
        self.assertEqual(self.consume("--name", "n", "--from", "stored", "--no-checkpoint"), b"b\n")
        self.assertEqual(self.consume("--name", "n", "--from", "stored"), b"b\n")
        self.error("consume", "s", "--from", "stored", expect=2)

    def test_unusable_places_to_begin(self):
        for where in ("yesterday", "2026-01-31", "2026-01-31T12:00:00", "-5", "1e3", "99999999999999999999"):
            self.error("consume", "s", "--from", where, expect=2)
        self.error("consume", "s", "--from", "oldest", "--after", "1", expect=2)

    def test_no_checkpoint_looks_without_a_trace(self):
        self.produce(b"a\n")
        self.assertEqual(self.consume("--name", "n", "--no-checkpoint"), b"a\n")
        self.assertEqual(self.lines("offset", "list", "s"), [])
        self.consume("--name", "n")
        self.produce(b"b\n")
        self.assertEqual(self.consume("--name", "n", "--no-checkpoint"), b"b\n")
        self.assertEqual(self.consume("--name", "n", "--no-checkpoint"), b"b\n")
        self.assertEqual(self.consume("--name", "n"), b"b\n")

    def test_max_counts_items_and_a_cut_transaction_is_not_checkpointed(self):
        self.produce(b"a\nb\nc\nd\n", "--batch", "2")
        result = self.run_tool("consume", "s", "--name", "n", "--max", "3")
        self.assertEqual(result.stdout, b"a\nb\nc\n")
        self.assertIn(b"not checkpointed", result.stderr)
        result = self.run_tool("consume", "s", "--name", "n", "--max", "2")
        self.assertEqual((result.stdout, result.stderr), (b"c\nd\n", b""))
        self.assertEqual(self.consume("--name", "n"), b"")
        self.error("consume", "s", "--max", "0", expect=2)

    def test_one_partition(self):
        self.create("many", "--partitions", "2")
        self.produce(b"zero\none\n", "--batch", "1", name="many")
        items = self.json_lines("consume", "many", "--json")
        by_partition = {item["partition"]: item["data"] for item in items}
        self.assertEqual(sorted(by_partition), [0, 1])
        for partition, data in by_partition.items():
            self.assertEqual(self.consume("--partition", str(partition), name="many").decode(), data + "\n")
        self.error("consume", "many", "--partition", "2", expect=3)
        # Offsets are per partition.
        self.consume("--name", "n", "--partition", "0", name="many")
        self.assertEqual(self.consume("--name", "n", name="many").decode(), by_partition[1] + "\n")

    def test_json(self):
        items = ["plain", "quote \" and \\", "grüße 😀", "", "tab\tnul\0"]
        self.produce("\n".join(items).encode())
        lines = self.lines("consume", "s", "--json")
        for index, line in enumerate(lines):
            one = json.loads(line)
            self.assertEqual(list(one), ["stream", "partition", "transaction", "item", "time", "data"])
            self.assertEqual([one["stream"], one["partition"], one["item"]], ["s", 0, index])
            self.assertEqual(one["data"], items[index])
            self.assertIsInstance(one["transaction"], str)
            self.assertGreater(int(one["transaction"]), 1 << 53)
            self.assertRegex(one["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(len(lines), len(items))

    def test_json_of_what_is_not_utf8(self):
        data = [b"\xff\xfe", b"a\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xe2\x82"]
        self.produce(b"\n".join(data))
        found = self.json_lines("consume", "s", "--json")
        self.assertEqual(len(found), len(data))
        for one, expected in zip(found, data):
            self.assertEqual(list(one), ["stream", "partition", "transaction", "item", "time", "data64"])
            self.assertEqual(base64.b64decode(one["data64"], validate=True), expected)

    def test_follow_prints_what_is_there_and_ends_cleanly_on_a_signal(self):
        self.produce(b"a\nb\n")
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start_tool("consume", "s", "--name", f"n{number}", "--follow")
            self.assertEqual(process.stdout.readline() + process.stdout.readline(), b"a\nb\n")
            process.send_signal(number)
            process.wait(timeout=PATIENCE)
            self.assertEqual(self.finish(process), (b"", ""))
            self.assertEqual(self.consume("--name", f"n{number}"), b"")

    def test_follow_ends_at_max(self):
        self.produce(b"a\nb\n")
        self.assertEqual(self.consume("--follow", "--max", "2"), b"a\nb\n")

    def test_follow_ends_when_the_reader_goes(self):
        self.produce(b"a\n")
        process = self.start_tool("consume", "s", "--follow")
        self.assertEqual(process.stdout.readline(), b"a\n")
        process.stdout.close()
        process.wait(timeout=PATIENCE)
        self.assertEqual((process.returncode, process.stderr.read()), (1, b""))

    def test_a_reader_that_goes_leaves_nothing_checkpointed(self):
        self.produce(b"0123456789\n" * 100_000, "--batch", "100000", "--linger", "5m")
        process = self.start_tool("consume", "s", "--name", "n")
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=PATIENCE)
        self.assertEqual((process.returncode, process.stderr.read()), (1, b""))
        self.assertEqual(len(self.consume("--name", "n")), 1_100_000)

    def test_output_that_cannot_be_written_is_not_checkpointed(self):
        self.produce(b"a\n")
        with open("/dev/full", "wb") as full:
            result = self.run_plain("consume", "s", "--name", "n", stdout=full)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"\Atstreams: standard output: [^\n]+\n\Z")
        self.assertEqual(self.run_shell("TOOL consume s --name n >&-").returncode, 1)
        self.assertEqual(self.consume("--name", "n"), b"a\n")

    def test_a_killed_consumer_repeats_only_what_was_not_checkpointed(self):
        self.produce(b"".join(b"%d\n" % i for i in range(2000)), "--batch", "10")
        process = self.start_tool("consume", "s", "--name", "n")
        for _ in range(500):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read()
        process.wait()
        again = [int(line) for line in self.consume("--name", "n").split()]
        self.assertEqual(again, list(range(2000 - len(again), 2000)))
        self.assertEqual(len(again) % 10, 0)
        # Everything is printed at least once: the second run begins no later than the first one ended.
        self.assertGreaterEqual(500 + rest.count(b"\n") + len(again), 2000)

    def test_many_small_transactions(self):
        self.produce(b"".join(b"%d\n" % i for i in range(1000)), "--batch", "1")
        self.assertEqual(self.consume("--name", "n"), b"".join(b"%d\n" % i for i in range(1000)))
        self.assertEqual(self.consume("--name", "n"), b"")

    def test_copying_a_stream_through_a_pipe_of_two_stores(self):
        self.produce(b"a\n\nb\n")
        other = ["--at", "file:" + os.path.join(self.dir, "other")]
        self.run_tool(*other, "stream", "create", "copy")
        self.run_tool("produce", "copy", *other, stdin=self.consume("--name", "copier"))
        self.assertEqual(self.run_tool(*other, "consume", "copy").stdout, b"a\n\nb\n")
