"""What goes wrong, and what the tool says about it: exit codes, next commands, places."""

import os
import re
import shlex

from tool import ToolTest, wait_until


class Errors(ToolTest):
    def hinted_command(self, text):
        """The command that a message shows, as words without the program."""
        words = shlex.split(re.search(r"with: (.*?)(, or see.*)?\n", text).group(1))
        self.assertEqual(words[0], "tstreams")
        return words[1:]

    def test_where_there_is_nothing_yet_the_message_shows_the_next_command(self):
        for command in ("stream list", "produce orders", "consume orders", "txn list orders",
                        "offset list orders"):
            said = self.error(*command.split(), expect=3)
            self.assertIn("stream create", said)
            self.assertFalse(os.path.exists(self.store), f"{command} made a store")
        self.error("verify", expect=3)
        said = self.error("produce", "orders", expect=3)
        self.run_tool(*self.hinted_command(said))
        self.produce(b"a\n", name="orders")

    def test_an_unknown_name_shows_the_next_command(self):
        self.create("other")
        for command in ("produce orders", "consume orders", "stream show orders", "stream delete orders",
                        "txn list orders", "offset list orders", "offset set orders n oldest"):
            said = self.error(*command.split(), expect=3)
            self.assertEqual(self.hinted_command(said), ["stream", "create", "orders"])
            self.assertIn("'orders': no such stream; create it with: ", said)

    def test_the_next_command_names_the_store_that_was_typed(self):
        place = "file:" + os.path.join(self.dir, "my store")
        said = self.error("produce", "orders", "--at", place, expect=3)
        self.run_tool(*self.hinted_command(said))
        self.assertEqual(self.run_tool("--at", place, "consume", "orders").stdout, b"")

    def test_an_expired_position_shows_how_its_partition_goes_on(self):
        self.create("s", "--partitions", "2", "--ttl", "1s")
        self.run_tool("consume", "s", "--name", "n", "--from", "newest")
        self.produce(b"lost\n", "--partition", "0")
        self.run_tool("stream", "update", "s", "--ttl", "1h")
        self.produce(b"kept\n", "--partition", "0")
        self.produce(b"done\n", "--partition", "1")
        self.assertEqual(self.consume("--name", "n", "--partition", "1"), b"done\n")
        wait_until(lambda: len(self.lines("txn", "list", "s", "0")) == 1, "the first transaction expires")
        said = self.error("consume", "s", "--name", "n", expect=1)
        words = shlex.split(re.search(r"left: (.*)\n", said).group(1))
        self.run_tool(*words[1:])
        self.assertEqual(self.consume("--name", "n"), b"kept\n", "what partition 1 has had is not repeated")

    def test_usage_errors(self):
        for command in ("", "stream", "bogus", "stream bogus", "produce", "consume s --bogus", "consume s t",
                        "stream create", "stream create s --partitions -1", "stream create s --partitions 0",
                        "stream create s --partitions 1025", "stream update s --partitions 1025",
                        "stream create s --partitions x", "stream create s --ttl 5",
                        "stream create s --ttl -5s",
                        "stream create s --durability maybe", "stream create 'bad name'", "stream create ''",
                        "stream create " + "x" * 129, "consume s --partition -1", "--at"):
            self.error(*shlex.split(command), expect=2)

    def test_an_option_without_its_value_or_given_twice(self):
        self.assertIn(": --name needs a value; see: ", self.error("consume", "s", "--name", expect=2))
        self.assertIn(": --max can be given only once; see: ",
                      self.error("consume", "s", "--max", "1", "--max", "2", expect=2))

    def test_a_number_that_cannot_be_names_its_option(self):
        self.create()
        for command in ("stream create t --partitions", "stream update s --partitions", "produce s --partition",
                        "consume s --partition", "offset set s n oldest --partition"):
            for text in ("-1", "x", "4294967296"):
                said = self.error(*command.split(), text, expect=2)
                self.assertIn(command.split()[-1] + ": '" + text + "' is not a whole number", said)
        self.assertIn("'x' is not a whole number", self.error("txn", "show", "s", "x", "1", expect=2))

    def test_a_second_stream_of_a_name(self):
        self.create()
        self.assertIn("stream show s", self.error("stream", "create", "s", expect=1))

    def test_a_store_in_use_names_the_process(self):
        self.create()
        holder = self.start_tool("produce", "s", "--linger", "5m")
        self.feed(holder, b"held\n")
        for command in ("stream list", "consume s", "produce s", "verify", "stream create t"):
            said = self.error(*command.split(), expect=4)
            self.assertIn(str(holder.pid), said)
        self.finish(holder)
        self.assertEqual(self.consume(), b"held\n")

    def test_places_that_are_no_store(self):
        self.error("--at", "carrier-pigeon:x", "stream", "list", expect=2)
        self.assertIn("file:/just/a/path", self.error("--at", "/just/a/path", "stream", "list", expect=2))
        for place in ("file://host/x", "file:", "memory:x", ""):
            self.error("--at", place, "stream", "create", "s", expect=2)
        os.makedirs(self.store)
        with open(os.path.join(self.store, "letter.txt"), "w") as file:
            file.write("something else")
        self.error("stream", "create", "s", expect=1)
        self.assertEqual(os.listdir(self.store), ["letter.txt"])

    def test_consumer_names_are_checked(self):
        self.create()
        self.error("consume", "s", "--name", "bad name", expect=2)


class Places(ToolTest):
    def test_default_is_the_users_data_directory(self):
        del self.env["TSTREAMS_URI"]
        self.create()
        self.assertTrue(os.listdir(os.path.join(self.env["HOME"], ".local", "share", "tstreams")))
        data = os.path.join(self.dir, "data")
        self.env["XDG_DATA_HOME"] = data
        self.error("stream", "show", "s", expect=3)
        self.create()
        self.assertTrue(os.listdir(os.path.join(data, "tstreams")))

    def test_typed_wins_over_environment_before_and_behind_the_command(self):
        typed = "file:" + os.path.join(self.dir, "typed")
        self.run_tool("--at", typed, "stream", "create", "here")
        self.run_tool("stream", "create", "too", "--at", typed)
        self.assertEqual(len(self.lines("stream", "list", "--at", typed)), 2)
        self.assertFalse(os.path.exists(self.store))

    def test_an_empty_place_is_not_the_default_one(self):
        self.create()
        said = self.error("--at", "", "stream", "delete", "s", expect=2)
        self.assertIn("file:PATH", said)
        self.assertEqual(len(self.lines("stream", "list")), 1)

    def test_parents_are_made(self):
        self.run_tool("--at", "file:" + os.path.join(self.dir, "a", "b", "c"), "stream", "create", "s")
        self.run_tool("--at", "file://" + os.path.join(self.dir, "a", "b", "c"), "stream", "show", "s")
