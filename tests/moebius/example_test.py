#!/usr/bin/env python3
"""Runs an example in a directory of its own and compares its output with the comment "Prints:" at its end.

    example_test.py PROGRAM SOURCE [--with SERVER]      the server is started first and ended afterwards
"""
import argparse
import subprocess
import tempfile
import time
from pathlib import Path

SECONDS_MAX = 90
MARK = "// Prints:\n"


def expected_output(source):
    """What the comment says, without its indentation."""
    text = source.read_text()
    if MARK not in text:
        raise SystemExit(f"{source} does not say what it prints")
    lines = text.split(MARK)[1].splitlines()
    return "".join(line.removeprefix("//     ") + "\n" for line in lines)


def wait_for_socket(folder, server):
    end = time.monotonic() + SECONDS_MAX
    while not list(folder.glob("*.sock")):
        if server.poll() is not None or time.monotonic() > end:
            raise SystemExit("the server does not come up")
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=lambda name: Path(name).resolve())
    parser.add_argument("source", type=Path)
    parser.add_argument("--with", dest="server", type=lambda name: Path(name).resolve())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moebius-example-") as name:
        folder = Path(name)
        server = subprocess.Popen([options.server], cwd=folder) if options.server else None
        try:
            if server:
                wait_for_socket(folder, server)
            done = subprocess.run([options.program], cwd=folder, stdout=subprocess.PIPE, text=True,
                                  timeout=SECONDS_MAX)
        finally:
            if server:
                server.kill()
                server.wait()
    if done.returncode != 0:
        raise SystemExit(f"{options.program.name} ended with {done.returncode}; it printed:\n{done.stdout}")
    expected = expected_output(options.source)
    if done.stdout != expected:
        raise SystemExit(f"{options.program.name} printed:\n{done.stdout}\ninstead of:\n{expected}")


if __name__ == "__main__":
    main()
