#!/usr/bin/env python3
"""The samples of the Moebius documents are parts of programs that are compiled and run by other tests.

    guide_test.py SOURCE-TREE

A comment in front of a block says where it is from: <!-- FILE --> for a part of a file, <!-- output of FILE --> for
what its comment "Prints:" says, <!-- vector NAME --> for the bytes of a test vector. Code without one is a finding.
The errors of the wire page are those of error.hpp.
"""
import re
import sys
import textwrap
from pathlib import Path

DOCUMENTS = ("docs/moebius.md", "docs/moebius-wire.md")
README = "README.md"  # has samples of T-streams, too, which other tests build
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = ("cpp", "python", "hex", "haproxy")
PRINTS = "// Prints:\n"
FIRST_PAGE_LINES_MAX = 15

findings = []


def lines_of(text):
    return [line.rstrip() for line in textwrap.dedent(text).strip("\n").split("\n")]


def contains(whole, part):
    """Whether `part` is a run of lines of `whole`, at any indentation."""
    count = len(part)
    return any(lines_of("\n".join(whole[at:at + count])) == part for at in range(len(whole) - count + 1))


def printed_by(text):
    return "".join(line.removeprefix("//     ") + "\n" for line in text.split(PRINTS)[1].splitlines())


def bytes_of(text):
    """The bytes at the beginning of each line, up to two spaces."""
    return bytes.fromhex("".join(line.split("  ")[0] for line in text.splitlines()))


def check_block(tree, where, block):
    mark, kind, text = block["mark"], block["kind"], block["text"]
    if mark is None:
        if kind in CODE:
            findings.append(f"{where}: a block of {kind} of unknown origin")
        return
    if mark.startswith("vector "):
        vector = (tree / "tests/moebius/vectors" / (mark.removeprefix("vector ") + ".txt")).read_text()
        wanted = bytes.fromhex("".join(re.findall(r"^frame(.*)$", vector, re.MULTILINE)))
        same = bytes_of(text) == wanted
    elif mark.startswith("output of "):
        same = printed_by((tree / mark.removeprefix("output of ")).read_text()) == text
    else:
        same = contains((tree / mark).read_text().splitlines(), lines_of(text))
    if not same:
        findings.append(f"{where}: not what {mark} says")


def check_first_page(tree, blocks):
    """A complete server and client, short, and what the client prints."""
    server, client, output = blocks[:3]
    together = len(server["text"].splitlines()) + len(client["text"].splitlines())
    if together > FIRST_PAGE_LINES_MAX:
        findings.append(f"the first page has {together} lines; at most {FIRST_PAGE_LINES_MAX}")
    for block in (server, client):
        whole = (tree / block["mark"]).read_text().split(PRINTS)[0]
        if [line for line in whole.splitlines() if line and not line.startswith("//")] != \
                [line for line in block["text"].splitlines() if line]:
            findings.append(f"the first page does not show the whole of {block['mark']}")
    if output["mark"] != f"output of {client['mark']}":
        findings.append("the first page does not show what the client prints")


def check_errors(tree):
    """Each error has its row in the wire page, under its number."""
    header = (tree / "include/moebius/error.hpp").read_text()
    page = (tree / "docs/moebius-wire.md").read_text()
    declared = re.findall(r"^    (\w+) = (\d+),", header, re.MULTILINE)
    documented = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)
    wanted = {(number, name) for name, number in declared if name not in ("none", "application")}
    if len(wanted) < 10 or wanted != set(documented):
        findings.append(f"errors of error.hpp and of the wire page differ: {sorted(wanted ^ set(documented))}")


def main():
    tree = Path(sys.argv[1])
    count = 0
    for document in (*DOCUMENTS, README):
        text = (tree / document).read_text()
        blocks = [one for one in BLOCK.finditer(text) if document != README or one["mark"]]
        if not blocks:
            findings.append(f"{document} has no sample that says where it is from")
        count += len(blocks)
        for block in blocks:
            check_block(tree, f"{document}:{text.count(chr(10), 0, block.start()) + 1}", block)
    check_errors(tree)
    guide = (tree / DOCUMENTS[0]).read_text()
    check_first_page(tree, list(BLOCK.finditer(guide)))
    for example in sorted((tree / "examples/moebius").iterdir()):
        if example.is_file() and example.name != "CMakeLists.txt" and example.name not in guide:
            findings.append(f"the guide does not name {example.name}")
    for finding in findings:
        print(finding)
    print(f"{count} blocks, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
