"""Writing: batches, lingering, limits, signals, bytes that come back as they were."""

import random
import signal
import sys
import time

from tool import ITEM_LIMIT, PATIENCE, ToolTest


class Produce(ToolTest):
    def setUp(self):
        super().setUp()
        self.create()

    def transactions(self, *options):
        groups = []
        for item in self.json_lines("consume", "s", "--json", *options):
            if not groups or groups[-1][0] != item["transaction"]:
                groups.append((item["transaction"], []))
            groups[-1][1].append(item["data"])
        return [items for _, items in groups]

    def test_batches_and_the_summary(self):
        said = self.produce(b"a\nb\nc\nd\ne\n", "--batch", "2")
        self.assertEqual(said, "checkpointed 5 items in 3 transactions\n")
        self.assertEqual(self.transactions(), [["a", "b"], ["c", "d"], ["e"]])

    def test_a_thousand_items_are_a_batch_by_default(self):
        self.assertIn("2500 items in 3 transactions", self.produce(b"x\n" * 2500, "--linger", "5m"))

    def test_last_line_without_newline_and_empty_lines_are_items(self):
        self.assertIn("4 items in 1 transaction\n", self.produce(b"\na\n\nlast"))
        self.assertEqual(self.consume(), b"\na\n\nlast\n")

    def test_no_input_is_no_item(self):
        self.assertEqual(self.produce(b""), "checkpointed 0 items in 0 transactions\n")

    def test_standard_output_stays_empty(self):
        self.assertEqual(self.run_tool("produce", "s", stdin=b"a\n").stdout, b"")

    def test_a_part_batch_goes_out_after_the_linger(self):
        process = self.start_tool("produce", "s", "--linger", "50ms")
        self.feed(process, b"one\n")
        time.sleep(1)  # the subject is time: the pause in the input has to be longer than the linger
        self.feed(process, b"two\n")
        self.assertIn("2 items in 2 transactions", self.finish(process)[1])

    def test_bytes_is_one_item(self):
        data = b"line\nline\n\x00\xff"
        self.assertIn("1 item in 1 transaction\n", self.produce(data, "--bytes"))
        self.assertEqual(self.consume(), data + b"\n")

    def test_bytes_of_the_largest_size(self):
        data = b"x" * ITEM_LIMIT
        self.produce(data, "--bytes")
        self.assertEqual(self.consume(), data + b"\n")

    def test_bytes_over_the_limit_is_refused(self):
        said = self.error("produce", "s", "--bytes", stdin=b"x" * (ITEM_LIMIT + 1), expect=1)
        self.assertIn(str(ITEM_LIMIT), said)
        self.assertEqual(self.consume(), b"")

    def test_a_line_over_the_limit_is_named_and_its_batch_is_not_half_there(self):
        lines = b"1\n2\n3\n4\n" + b"x" * (ITEM_LIMIT + 1) + b"\n6\n"
        said = self.error("produce", "s", "--batch", "3", "--linger", "5m", stdin=lines, expect=1)
        self.assertIn("line 5", said)
        self.assertIn("checkpointed 3 items in 1 transaction before that", said)
        self.assertEqual(self.consume(), b"1\n2\n3\n")

    def test_a_line_of_the_largest_size(self):
        line = b"x" * ITEM_LIMIT + b"\n"
        self.produce(b"a\n" + line + b"b\n")
        self.assertEqual(self.consume(), b"a\n" + line + b"b\n")

    def test_partitions(self):
        self.create("many", "--partitions", "3")
        self.produce(b"a\nb\nc\n", "--batch", "1", name="many")
        items = self.json_lines("consume", "many", "--json")
        self.assertEqual({item["partition"] for item in items}, {0, 1, 2})
        self.produce(b"d\ne\n", "--batch", "1", "--partition", "2", name="many")
        self.assertTrue(self.consume("--partition", "2", name="many").endswith(b"d\ne\n"))
        said = self.error("produce", "many", "--partition", "3", stdin=b"x\n", expect=3)
        self.assertIn("stream show many", said)
        self.error("produce", "many", "--partition", "-1", expect=2)

    def test_hundred_thousand_random_lines_come_back_byte_for_byte(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", file=sys.stderr)
        rng = random.Random(seed)
        pool = rng.randbytes(1 << 16).replace(b"\n", b"\r")
        lines = []
        for _ in range(100_000):
            begin = rng.randrange(len(pool))
            lines.append(pool[begin:begin + rng.randrange(60)])
        lines[-1] = b"end"
        said = self.produce(b"\n".join(lines), "--linger", "5m")
        self.assertIn("100000 items in 100 transactions", said)
        self.assertEqual(self.consume(), b"\n".join(lines) + b"\n")

    def test_terminate_checkpoints_the_complete_lines(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.run_tool("stream", "delete", "s")
            self.create()
            process = self.start_tool("produce", "s", "--linger", "5m")
            self.feed(process, b"one\ntwo\nhalf")
            process.send_signal(number)
            process.wait(timeout=PATIENCE)
            _, said = self.finish(process)
            self.assertIn("checkpointed 2 items in 1 transaction\n", said)
            self.assertIn("4 bytes", said)
            self.assertEqual(self.consume(), b"one\ntwo\n")

    def test_terminate_leaves_an_incomplete_single_item_out(self):
        process = self.start_tool("produce", "s", "--bytes")
        self.feed(process, b"half")
        process.terminate()
        process.wait(timeout=PATIENCE)
        self.assertIn("0 items", self.finish(process, expect=1)[1])
        self.assertEqual(self.consume(), b"")

    def test_killed_in_the_middle_of_a_batch_leaves_nothing_of_it(self):
        process = self.start_tool("produce", "s", "--batch", "2", "--linger", "5m")
        self.feed(process, b"one\ntwo\nthree\n")
        process.kill()
        process.wait()
        self.assertIn(self.consume(), (b"one\ntwo\n", b""))

    def test_unusable_options(self):
        for options in ("--batch 0", "--batch -1", "--batch x", "--linger 5", "--linger -1s"):
            self.error("produce", "s", *options.split(), stdin=b"a\n", expect=2)
        self.assertIn("--linger", self.error("produce", "s", "--linger", "1h", stdin=b"a\n", expect=2))
        self.assertEqual(self.consume(), b"")

    def test_input_that_cannot_be_read(self):
        with open("/proc/self/mem", "rb") as unreadable:
            result = self.run_plain("produce", "s", stdin=unreadable)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"standard input", result.stderr)

    def test_a_closed_standard_input_does_no_harm(self):
        self.run_shell("TOOL produce s <&-")
        self.produce(b"fine\n")
        self.assertEqual(self.consume(), b"fine\n")
