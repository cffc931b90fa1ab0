"""The manual pages and completions that are installed: pages without warnings in which every option and command of
--help is found, and completions that the three shells take and that offer the same."""
import os
import re
import subprocess
import unittest
from pathlib import Path

WRITTEN = Path(os.environ["TSTREAMS_BUILD_DIRECTORY"]) / "packaging"
PROGRAMS = {"tstreams": os.environ["TSTREAMS_CLI"], "tstreamsd": os.environ["TSTREAMSD"]}
PAGES = {"tstreams": "tstreams.1", "tstreamsd": "tstreamsd.8"}


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, **more)


def helps(program, path=()):
    """{path: (commands, options)} of all levels, read from --help by other means than the pages are written with."""
    text = run(program, *path, "--help").stdout
    options = {option for line in re.findall(r"(?m)^  (-\S+)", text) for option in line.split(",")}
    listed = re.search(r"(?m)^Subcommands:\n((?:  .*\n)+)", text)
    commands = re.findall(r"(?m)^  ([a-z]+)", listed[1]) if listed else []
    found = {path: (commands, options)}
    for one in commands:
        found.update(helps(program, (*path, one)))
    return found


class Manuals(unittest.TestCase):
    def test_pages(self):
        for name, program in PROGRAMS.items():
            with self.subTest(name):
                page = run("man", "--warnings", "-l", str(WRITTEN / PAGES[name]),
                           env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "200", "MAN_KEEP_FORMATTING": ""})
                self.assertEqual(page.stderr, "")
                self.assertNotRegex(page.stdout, r"@[A-Z]+@")
                levels = helps(program)
                self.assertGreater(len(levels[()][1]), 3)
                for path, (commands, options) in levels.items():
                    for option in options:
                        self.assertRegex(page.stdout, rf"(?m)(^|[ ,]){re.escape(option)}\b", (path, option))
                    if path and not commands:
                        self.assertRegex(page.stdout, rf"(?m)^ +{' '.join(path)}$")


class Completions(unittest.TestCase):
    def expect(self, ask):
        """`ask(name, words before, the word begun)` gives what is offered."""
        for name, program in PROGRAMS.items():
            for path, (commands, options) in helps(program).items():
                if commands:
                    self.assertLessEqual(set(commands), set(ask(name, path, "")), path)
                long = {one for one in options if one.startswith("--")}
                self.assertLessEqual(long, set(ask(name, path, "--")), path)
        self.assertEqual(set(ask("tstreams", ("--at", "memory:", "txn"), "l")) - {"-l"}, {"list"})

    def test_bash(self):
        def ask(name, path, begun):
            words = " ".join([name, *path, f"'{begun}'"])
            return run("bash", "-c", f"source {WRITTEN}/{name}.bash; COMP_WORDS=({words}); "
                       f"COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _{name}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
                       ).stdout.split()
        self.expect(ask)

    def test_fish(self):
        def ask(name, path, begun):
            line = " ".join([name, *path, begun])
            said = run("fish", "--no-config", "-c", f"source {WRITTEN}/{name}.fish; complete -C '{line}'").stdout
            return [one.split("\t")[0] for one in said.splitlines()]
        self.expect(ask)

    def test_zsh(self):
        # Outside of a line editor: what would be offered is printed instead.
        def ask(name, path, begun):
            words = " ".join([name, *path, f"'{begun}'"])
            said = run("zsh", "-f", "-c", "_describe() { print -l -- ${(P)@[-1]}; }; _files() { }; "
                       f"words=({words}); CURRENT=$#words; source {WRITTEN}/_{name}").stdout
            return [one.split(":")[0] for one in said.splitlines() if one.startswith(begun)]
        self.expect(ask)


if __name__ == "__main__":
    unittest.main()
