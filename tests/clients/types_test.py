#!/usr/bin/python3
"""The types of the Python client hold: `mypy --strict`, with the mypy of this Python or the one on the path. There has
to be one of 1.1 or later, which knows dataclass_transform; else the exit status is 77, and ctest says: skipped.
"""

import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CLIENT = pathlib.Path(__file__).resolve().parents[2] / "clients/python"
OLDEST = (1, 1)
SKIPPED = 77


def mypy():
    if importlib.util.find_spec("mypy"):
        return [sys.executable, "-m", "mypy"]
    found = shutil.which("mypy")
    return [found] if found else None


def run(*words):
    done = subprocess.run(words, cwd=CLIENT, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout + done.stderr


def main():
    checker = mypy()
    if not checker:
        print("there is no mypy")
        return SKIPPED
    _, version = run(*checker, "--version")
    number = re.search(r"(\d+)\.(\d+)", version)
    if not number or tuple(map(int, number.groups())) < OLDEST:
        print("too old:", version)
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="tstreams-mypy-") as cache:
        options = ("--strict", "--cache-dir", cache, "--python-executable", sys.executable)
        status, said = run(*checker, *options, "tstreams")
        print(version, said)
        wrong = pathlib.Path(cache, "wrong.py")
        wrong.write_text("import tstreams\ntstreams.Keys('public', 'secret', 3)\n")
        refused, said = run(*checker, *options, str(wrong))
        if refused != 1 or "arg-type" not in said:
            print("it does not see a wrong call:", said)
            return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
