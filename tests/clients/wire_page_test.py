#!/usr/bin/python3
"""docs/wire-format.md: its structures and calls are those of the codec, its hex dumps those of the test vectors, its
errors those of the table.

    wire_page_test.py SOURCE-TREE
"""

import dataclasses
import pathlib
import re
import sys
import types
import unittest
from typing import Annotated, Union, get_args, get_origin, get_type_hints

TREE = pathlib.Path(sys.argv.pop()).resolve()
sys.path.insert(0, str(TREE / "clients/python"))

import other_calls  # noqa: E402
from tstreams import messages  # noqa: E402
from tstreams.codec import Structure  # noqa: E402
from tstreams.errors import Code  # noqa: E402

PAGE = (TREE / "docs/wire-format.md").read_text()
NUMBERS = {"<B": "u8", "<H": "u16", "<I": "u32", "<Q": "u64", "<q": "i64"}
PLAIN = {bool: "bool", str: "text", bytes: "bytes"}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def word(kind):
    """As the page writes a type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return NUMBERS[arguments[1].format]
    if origin is list:
        return f"[{word(arguments[0])}]"
    if origin in (Union, types.UnionType):
        return word(arguments[0]) + "?"
    return PLAIN.get(kind) or snake(kind.__name__)


def fields(kind):
    hints = get_type_hints(kind, include_extras=True)
    return ", ".join(f"{field.name} {word(hints[field.name])}" for field in dataclasses.fields(kind))


def defined(base):
    return [kind for module in (messages, other_calls) for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, base) and kind not in (Structure, messages.Call)]


def rows(columns):
    """Of all tables whose first cell is in code and that have so many columns."""
    found = re.findall(r"^\| `(\w+)` \| " + r" \| ".join([r"([^|\n]*)"] * (columns - 1)) + r" \|$", PAGE, re.MULTILINE)
    return {row[0]: row[1:] for row in found}


class Page(unittest.TestCase):
    maxDiff = None

    def test_structures(self):
        wanted = {snake(kind.__name__): (fields(kind) or "no fields",) for kind in defined(Structure)
                  if not issubclass(kind, messages.Call)}
        self.assertEqual(rows(2), wanted)

    def test_calls(self):
        wanted = {}
        for kind in defined(messages.Call):
            asked = f"({fields(kind)})" if kind.wrapped else fields(kind)
            wanted[kind.command.removeprefix("tstreams.")] = ("yes" if kind.acts else "", asked, word(kind.reply))
        self.assertEqual(rows(4), wanted)
        self.assertEqual({file.name.removesuffix(".request.txt")
                          for file in (TREE / "tests/wire/vectors").glob("*.request.txt")} & set(wanted), set(wanted))

    def test_errors(self):
        found = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE)
        self.assertEqual(set(found), {(str(code.value), code.name.lower()) for code in Code})

    def test_hex_dumps(self):
        blocks = re.findall(r"(?:<!-- vector (\w+\.\w+) -->\n)?```hex\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(blocks), 6)
        for name, text in blocks:
            with self.subTest(name):
                vector = (TREE / f"tests/wire/vectors/{name}.txt").read_text()
                wanted = bytes.fromhex("".join(re.findall(r"^bytes(.*)$", vector, re.MULTILINE)))
                self.assertEqual(bytes.fromhex("".join(line.split("  ")[0] for line in text.splitlines())), wanted)


if __name__ == "__main__":
    unittest.main()
