"""Help, the reference page, the version."""

import os
import re

from tool import ToolTest

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "cli.md")


class Help(ToolTest):
    COMMANDS = [
        command.split() for command in (
            "", "stream", "stream create", "stream list", "stream show", "stream update", "stream delete",
            "produce", "consume", "txn", "txn list", "txn show", "txn abort", "txn watch",
            "offset", "offset list", "offset show", "offset set", "offset delete",
            "retention", "retention show", "retention accept", "verify", "version")]

    def test_every_command_has_help_with_an_example(self):
        for command in self.COMMANDS:
            text = self.run_tool(*command, "--help").stdout.decode()
            self.assertRegex(text, r"\n  .*tstreams .*\w", command)
            if command:
                self.assertRegex(text, r"Examples?:\n", command)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 110, line)

    def test_the_reference_page_names_every_command_and_option(self):
        with open(DOCS, encoding="utf-8") as file:
            page = file.read()
        for command in self.COMMANDS:
            text = self.run_tool(*command, "--help").stdout.decode()
            self.assertIn(" ".join(["tstreams", *command]), page)
            for option in re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.MULTILINE):
                self.assertIn(option, page, command)

    def test_help_that_cannot_be_printed_fails(self):
        for command in (["--help"], ["consume", "--help"], ["--version"]):
            with open("/dev/full", "wb") as full:
                done = self.run_plain(*command, stdout=full)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"standard output", done.stderr)

    def test_version(self):
        for command in (["version"], ["--version"]):
            self.assertRegex(self.run_tool(*command).stdout.decode(), r"\Atstreams \d+\.\d+\.\d+\n\Z")
