#!/usr/bin/python3
"""The Python client's codec and the test vectors: each message is read as what it says, and written as it is.

    codec_test.py SOURCE-TREE
"""

import json
import pathlib
import re
import sys
import tempfile
import unittest

TREE = pathlib.Path(sys.argv.pop()).resolve()
sys.path.insert(0, str(TREE / "clients/python"))

import other_calls  # noqa: E402
from tstreams import frames, messages  # noqa: E402
from tstreams.connection import Keys  # noqa: E402
from tstreams.codec import Reader, Structure, codec  # noqa: E402
from tstreams.errors import Code, Error, Outcome, PositionExpired  # noqa: E402

CALLS = {kind.command: kind for module in (messages, other_calls) for kind in vars(module).values()
         if isinstance(kind, type) and issubclass(kind, messages.Call) and kind is not messages.Call}


def load(folder):
    for file in sorted(folder.glob("*.txt")):
        words = {}
        for line in file.read_text().splitlines():
            word, _, value = line.partition(" ")
            words[word] = words[word] + " " + value if word in words else value
        words["bytes"] = bytes.fromhex(words["bytes"])
        yield file.stem, words


def plain(value):
    """As the vectors show it: structures and lists are lists, texts have a character for each byte."""
    if isinstance(value, Structure):
        return [plain(one) for one in vars(value).values()]
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, str):
        return value.encode().decode("latin-1")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def begins_with(now, then):
    """Structures may have become longer at their end."""
    if not isinstance(now, list) or not isinstance(then, list):
        return now == then
    return len(now) >= len(then) and all(begins_with(a, b) for a, b in zip(now, then))


class Vectors(unittest.TestCase):
    def check(self, words, same):
        fields = json.loads(words["fields"])
        if words["kind"] == "error":
            kind, body = codec(messages.Failure), bytearray(b"\1")
            found = kind.get(Reader(words["bytes"], 1))
            kind.put(body, found)
            shown = plain(found)
        elif words["kind"] == "reply":
            call = CALLS[words["call"]]
            found, body = messages.decode_reply(words["bytes"], call), bytearray(b"\0")
            codec(call.reply).put(body, found)
            shown = plain(found)
        else:
            head, found = messages.decode_request(words["bytes"], CALLS[words["call"]])
            self.assertEqual(list(head), json.loads(words["head"]))
            body = messages.encode_request(found, *head[2:])
            shown = [plain(found)] if found.wrapped else plain(found)
        if same:
            self.assertEqual(shown, fields)
            self.assertEqual(bytes(body), words["bytes"])
        else:
            self.assertTrue(begins_with(shown, fields), (shown, fields))

    def test_are_read_and_written(self):
        seen = set()
        for name, words in load(TREE / "tests/wire/vectors"):
            with self.subTest(name):
                self.check(words, same=True)
            seen.add((words.get("call"), words["kind"]))
        self.assertEqual(seen, {(call, kind) for call in CALLS for kind in ("request", "reply")} | {(None, "error")})

    def test_of_released_versions_are_read(self):
        versions = list((TREE / "tests/wire/released").iterdir())
        self.assertTrue(versions)
        for version in versions:
            for name, words in load(version):
                with self.subTest(version=version.name, name=name):
                    self.check(words, same=False)

    def test_fields_of_a_later_version_are_skipped(self):
        """A structure with a field more, inside of another one."""
        found = messages.FindStream.reply
        plain_bytes = bytearray()
        info = messages.StreamInfo(7, "s", 1, 60, messages.DurabilityLevel(3, 0), "", 30, 5)
        codec(found).put(plain_bytes, info)
        inner = bytes(plain_bytes[5:])
        longer = b"\0\1" + (len(inner) + 4).to_bytes(4, "little") + inner + b"more"
        self.assertEqual(messages.decode_reply(longer, messages.FindStream), info)

    def test_bytes_that_end_too_early_are_refused(self):
        for name, words in load(TREE / "tests/wire/vectors"):
            if words["kind"] != "reply" or words["fields"] == "[]":
                continue
            with self.subTest(name), self.assertRaises(Error) as raised:
                messages.decode_reply(words["bytes"][:-1], CALLS[words["call"]])
            self.assertEqual(raised.exception.code, Code.MALFORMED_MESSAGE)


class Errors(unittest.TestCase):
    def test_are_those_of_the_table(self):
        table = (TREE / "include/tstreams/errors.def").read_text()
        rows = re.findall(r"^TSTREAMS_ERROR\((\w+),\s*(\d+),\s*(true|false),", table, re.MULTILINE)
        self.assertEqual({(name.upper(), int(number), retry == "true") for name, number, retry in rows},
                         {(code.name, code.value, Error(code, "").retryable) for code in Code})

    def test_come_with_their_outcome(self):
        wanted = {"applied": Outcome.APPLIED, "not_applied": Outcome.NOT_APPLIED, "unknown": Outcome.UNKNOWN,
                  "position_expired": Outcome.NOT_APPLIED}
        for name, words in load(TREE / "tests/wire/vectors"):
            if words["kind"] == "error":
                with self.assertRaises(Error) as raised:
                    messages.decode_reply(words["bytes"], messages.Heartbeat)
                self.assertEqual(raised.exception.outcome, wanted.pop(name.removesuffix(".error")))
                self.assertEqual(isinstance(raised.exception, PositionExpired), name == "position_expired.error")
        self.assertFalse(wanted)

    def test_of_a_later_server_keep_their_number(self):
        self.assertEqual(Error(999, "").code, 999)


class KeyFiles(unittest.TestCase):
    def test_are_those_of_the_tool(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "my.key")
            path.write_text(f"public-key {'p' * 40}\nsecret-key {'s' * 40}\n")
            path.chmod(0o600)
            self.assertEqual(Keys.read(str(path), "server"), Keys("p" * 40, "s" * 40, "server"))
            path.chmod(0o644)
            with self.assertRaises(PermissionError):
                Keys.read(str(path), "server")
            path.chmod(0o600)
            path.write_text("something else")
            with self.assertRaises(ValueError):
                Keys.read(str(path), "server")


class Frames(unittest.TestCase):
    def test_checksums(self):
        """The values of RFC 3720, B.4."""
        for data, wanted in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
                             (b"123456789", 0xE3069283), (b"", 0)):
            self.assertEqual(frames.crc32c_of_table(data), wanted)
            self.assertEqual(frames.crc32c(data), wanted)

    def test_items(self):
        items = [b"", b"a", b"b" * 127, b"c" * 128, b"d" * 20_000]
        frame = b"".join(map(frames.packed, items))
        self.assertEqual(list(frames.unpack(frame)), items)
        for damaged in (frame[:-1], b"\x80", b"\xff" * 6):
            with self.assertRaises(Error) as raised:
                list(frames.unpack(damaged))
            self.assertEqual(raised.exception.code, Code.CORRUPT)


if __name__ == "__main__":
    unittest.main()
