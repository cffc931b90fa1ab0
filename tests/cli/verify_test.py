"""Checking a store, and the progress bar."""

import errno
import json
import os
import pty
import random
import select
import subprocess

from tool import PATIENCE, ToolTest


class Verify(ToolTest):
    def setUp(self):
        super().setUp()
        self.create()
        self.produce(random.Random(1).randbytes(1 << 20).replace(b"\n", b""), "--bytes")

    def damage(self):
        files = [os.path.join(top, name) for top, _, names in os.walk(self.store) for name in names]
        largest = max(files, key=os.path.getsize)
        with open(largest, "r+b") as file:
            # In the middle of the item, which is most of what is stored.
            file.seek(512 << 10)
            byte = file.read(1)
            file.seek(512 << 10)
            file.write(bytes([byte[0] ^ 1]))

    def test_a_sound_store(self):
        result = self.run_tool("verify")
        self.assertRegex(result.stdout.decode(), r"\Asound: [^\n]+\n\Z")
        self.assertEqual(result.stderr, b"", "no progress bar in a pipe")
        report = self.json_lines("verify", "--json")[0]
        self.assertEqual((report["sound"], report["problems"]), (True, []))

    def test_a_damaged_store(self):
        self.damage()
        result = self.run_tool("verify", expect=1)
        self.assertGreaterEqual(len(result.stdout.splitlines()), 2)
        self.assertRegex(result.stderr.decode(), r"\Atstreams: [^\n]*problem[^\n]*\n\Z")
        report = json.loads(self.run_tool("verify", "--json", expect=1).stdout)
        self.assertFalse(report["sound"])
        self.assertTrue(report["problems"])
        # Damaged data is never given out.
        result = self.run_plain("consume", "s", stdout=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"\Atstreams: [^\n]+\n\Z")

    def on_terminal(self, *args):
        """Runs with standard error on a terminal; returns what the terminal got."""
        terminal, side = pty.openpty()
        try:
            process = self.start_tool(*args, stderr=side, stdin=subprocess.DEVNULL)
            os.close(side)
            shown = b""
            while True:
                ready, _, _ = select.select([terminal], [], [], PATIENCE)
                self.assertTrue(ready, "nothing from the terminal")
                try:
                    part = os.read(terminal, 4096)
                except OSError as failure:  # Linux answers so when the other side is closed
                    if failure.errno != errno.EIO:
                        raise
                    part = b""
                if not part:
                    break
                shown += part
            process.stdout.read()
            self.assertEqual(process.wait(timeout=PATIENCE), 0)
            return shown
        finally:
            os.close(terminal)

    def test_the_progress_bar_is_for_terminals(self):
        shown = self.on_terminal("verify")
        self.assertIn(b"checking [", shown)
        self.assertIn(b"%", shown)
        self.assertTrue(shown.endswith(b"\x1b[K"), "the bar is removed at the end")
        self.assertEqual(self.run_tool("verify").stderr, b"")
