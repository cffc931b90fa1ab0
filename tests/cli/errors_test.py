"""What goes wrong, and what the tool says about it: exit codes, next commands, places."""

import os
import re
import shlex

from tool import ToolTest


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

    def test_the_next_command_names_the_store_that_was_typed(self):
        place = "file:" + os.path.join(self.dir, "my store")
        said = self.error("produce", "orders", "--at", place, expect=3)
        self.run_tool(*self.hinted_command(said))
        self.assertEqual(self.run_tool("--at", place, "consume", "orders").stdout, b"")

    def test_usage_errors(self):
        for command in ("", "stream", "bogus", "stream bogus", "produce", "consume s --bogus", "consume s t",
                        "stream create", "stream create s --partitions -1", "stream create s --partitions 0",
                        "stream create s --partitions x", "stream create s --ttl 5",
                        "stream create s --ttl -5s",
                        "stream create s --durability maybe", "stream create 'bad name'", "stream create ''",
                        "stream create " + "x" * 129, "consume s --partition -1", "--at"):
            self.error(*shlex.split(command), expect=2)

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
        self.error("--at", "carrier-pigeon:x", "stream", "list", expect=1)
        self.error("--at", "/just/a/path", "stream", "list", expect=2)
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
