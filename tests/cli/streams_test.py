"""Streams, transactions and offsets as people administer them."""

from tool import ToolTest


class Streams(ToolTest):
    def test_create_with_all_options_and_show(self):
        self.create("orders", "--partitions", "4", "--ttl", "36h", "--durability", "process",
                    "--description", "all of them")
        shown = self.json_lines("stream", "show", "orders", "--json")
        self.assertEqual(len(shown), 1)
        self.assertEqual(
            {k: shown[0][k] for k in ("name", "partitions", "ttl_seconds", "durability", "description")},
            {"name": "orders", "partitions": 4, "ttl_seconds": 36 * 3600, "durability": "process",
             "description": "all of them"})
        self.assertRegex(shown[0]["id"], r"^\d+$")
        self.assertRegex(shown[0]["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        text = self.run_tool("stream", "show", "orders").stdout.decode()
        for fact in ("orders", "36h", "process", "all of them"):
            self.assertIn(fact, text)

    def test_defaults(self):
        self.create("plain")
        shown = self.json_lines("stream", "show", "plain", "--json")[0]
        self.assertEqual((shown["partitions"], shown["ttl_seconds"], shown["durability"]), (1, 86400, "sync"))

    def test_list_by_prefix(self):
        for name in ("b.2", "a.1", "b.1"):
            self.create(name)
        names = [line.split(b"\t")[0] for line in self.lines("stream", "list")]
        self.assertEqual(names, [b"a.1", b"b.1", b"b.2"])
        found = self.json_lines("stream", "list", "b.", "--json")
        self.assertEqual([one["name"] for one in found], ["b.1", "b.2"])
        self.assertEqual(self.lines("stream", "list", "zzz"), [])

    def test_a_description_cannot_break_a_row_or_steer_the_terminal(self):
        self.create("s", "--description", "a\tb\nc\x1b[31m")
        self.assertEqual(len(self.lines("stream", "list")), 1)
        for command in ("stream list", "stream show s"):
            self.assertNotIn(b"\x1b", self.run_tool(*command.split()).stdout)
        shown = self.json_lines("stream", "show", "s", "--json")[0]
        self.assertEqual(shown["description"], "a\tb\nc\x1b[31m")

    def test_update(self):
        self.create("s", "--partitions", "2")
        changes = ["--ttl", "7d", "--description", "new", "--partitions", "3"]
        self.assertIn(b"keys", self.run_tool("stream", "update", "s", *changes).stderr)
        shown = self.json_lines("stream", "show", "s", "--json")[0]
        self.assertEqual([shown["ttl_seconds"], shown["description"], shown["partitions"]],
                         [7 * 86400, "new", 3])
        self.error("stream", "update", "s", expect=2)
        self.error("stream", "update", "nope", "--ttl", "1h", expect=3)

    def test_delete_takes_the_data_along(self):
        self.create()
        self.produce(b"old\n")
        self.run_tool("stream", "delete", "s")
        self.error("stream", "show", "s", expect=3)
        self.create()
        self.assertEqual(self.consume(), b"")

    def test_if_missing_leaves_a_stream_as_it_is(self):
        self.create("s", "--partitions", "3")
        self.create("s", "--partitions", "5", "--if-missing")
        self.assertEqual(self.json_lines("stream", "show", "s", "--json")[0]["partitions"], 3)


class TransactionsAndOffsets(ToolTest):
    def setUp(self):
        super().setUp()
        self.create("s", "--partitions", "2")
        self.produce(b"a\nbb\nccc\n", "--batch", "1")
        self.items = self.json_lines("consume", "s", "--json")

    def test_list(self):
        listed = self.json_lines("txn", "list", "s", "--json")
        self.assertEqual([(one["partition"], one["transaction"]) for one in listed],
                         sorted((item["partition"], item["transaction"]) for item in self.items))
        for one in listed:
            self.assertEqual((one["state"], one["items"]), ("checkpointed", 1))
        of_first = self.lines("txn", "list", "s", "0")
        self.assertEqual(len(of_first), sum(item["partition"] == 0 for item in self.items))
        self.assertEqual(self.lines("txn", "list", "s", "--state", "open"), [])
        self.error("txn", "list", "s", "2", expect=3)
        self.error("txn", "list", "nope", expect=3)
        self.error("txn", "list", "s", "--state", "lost", expect=2)

    def test_list_of_more_than_a_page(self):
        self.create("long")
        self.produce(b"x\n" * 2500, "--batch", "1", name="long")
        ids = [one["transaction"] for one in self.json_lines("txn", "list", "long", "--json")]
        self.assertEqual(len(ids), 2500)
        self.assertEqual(len(set(ids)), 2500)

    def test_show(self):
        item = self.items[0]
        place = [str(item["partition"]), item["transaction"]]
        shown = self.json_lines("txn", "show", "s", *place, "--json")[0]
        self.assertEqual((shown["transaction"], shown["state"], shown["items"], shown["time"]),
                         (item["transaction"], "checkpointed", 1, item["time"]))
        self.assertIn(b"checkpointed", self.run_tool("txn", "show", "s", *place).stdout)
        unknown = self.json_lines("txn", "show", "s", "0", str(int(item["transaction"]) + 1), "--json")[0]
        self.assertEqual(unknown["state"], "not_checkpointed")
        self.error("txn", "show", "s", "0", "abc", expect=2)
        self.error("txn", "show", "s", "7", item["transaction"], expect=3)

    def test_abort_of_one_that_is_not_open(self):
        for wanted in (int(self.items[0]["transaction"]), int(self.items[0]["transaction"]) + 1):
            result = self.run_plain("txn", "abort", "s", str(self.items[0]["partition"]), str(wanted))
            self.assertIn(result.returncode, (1, 3))
            self.assertRegex(result.stderr.decode(), r"\Atstreams: [^\n]+\n\Z")
        self.assertEqual(len(self.json_lines("consume", "s", "--json")), 3)

    def test_offsets(self):
        self.assertEqual(self.lines("offset", "list", "s"), [])
        self.assertIn("offset list s", self.error("offset", "show", "s", "n", expect=3))
        self.consume("--name", "n")
        self.consume("--name", "m", "--max", "1")
        listed = self.json_lines("offset", "list", "s", "--json")
        self.assertEqual([(one["consumer"], one["partition"]) for one in listed],
                         [("m", 0), ("m", 1), ("n", 0), ("n", 1)])
        last = {item["partition"]: item["transaction"] for item in self.items}
        shown = self.json_lines("offset", "show", "s", "n", "--json")
        self.assertEqual({one["partition"]: one["position"] for one in shown}, last)
        self.assertFalse(any(one["live"] for one in shown))
        self.run_tool("offset", "delete", "s", "n")
        self.error("offset", "show", "s", "n", expect=3)
        self.assertEqual(len(self.consume("--name", "n").split()), 3)

    def test_set(self):
        self.consume("--name", "n")
        self.run_tool("offset", "set", "s", "n", "oldest")
        self.assertEqual(sorted(self.consume("--name", "n").split()), [b"a", b"bb", b"ccc"])
        self.run_tool("offset", "set", "s", "n", "oldest", "--partition", "1")
        self.assertEqual(self.consume("--name", "n").decode().split(),
                         [item["data"] for item in self.items if item["partition"] == 1])
        first = min(self.items, key=lambda item: int(item["transaction"]))
        self.run_tool("offset", "set", "s", "n", first["transaction"])
        self.assertEqual(sorted(self.consume("--name", "n").decode().split()),
                         sorted(item["data"] for item in self.items if item != first))
        self.run_tool("offset", "set", "s", "new", "newest")
        self.assertEqual(self.consume("--name", "new"), b"")
        self.run_tool("offset", "set", "s", "new", "1970-01-01T00:00:00Z", "--take-over")
        self.assertEqual(len(self.consume("--name", "new").split()), 3)
        for position in ("stored", "x", "-1"):
            self.error("offset", "set", "s", "n", position, expect=2)
        self.error("offset", "set", "s", "n", "oldest", "--partition", "2", expect=3)
