#!/usr/bin/env python3
"""A full disk and a read-only one, on a small file system of their own in a loop device. Needs root.

full_disk: writes until the disk is full; the failure must be no_space with outcome not_applied, everything
that was acknowledged must still be there, whole and in order, and writing must go on, with the same client,
once there is space. read_only: a store on a read-only mount must be refused for writing and work again
afterwards.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

DISK_MIB = 160
BALLAST_MIB = 64
STEP_SECONDS_MAX = 60


def call(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, timeout=STEP_SECONDS_MAX, text=True,
                          stdout=subprocess.PIPE, **more).stdout


def require(condition, what):
    if not condition:
        raise SystemExit(f"failed: {what}")


class Disk:
    """An ext4 file system in a file, mounted through a loop device."""

    def __init__(self, folder):
        self.image = folder / "image"
        self.place = folder / "disk"

    def __enter__(self):
        with open(self.image, "wb") as image:
            image.truncate(DISK_MIB << 20)
        self.place.mkdir()
        call("mkfs.ext4", "-q", "-m", "0", self.image)
        call("mount", "-o", "loop", self.image, self.place)
        return self

    def __exit__(self, *_):
        call("umount", self.place)

    def remount(self, how):
        call("mount", "-o", f"remount,{how}", self.place)


def read_numbers(tool, store):
    """The numbers of all items, after checking that none is cut short."""
    numbers = []
    for line in call(tool, "--at", f"file:{store}", "consume", "numbers", "--json").splitlines():
        data = json.loads(line)["data"]
        require(len(data) == 60_000, f"an item of {len(data)} bytes")
        numbers.append(int(data.split(" ", 1)[0]))
    return numbers


def read_lines(process, acked):
    """Takes in the writer's lines until one that is not `acked`, and returns the words of that one."""
    for line in process.stdout:
        words = line.split()
        if words[0] != "acked":
            return words
        acked.extend(range(int(words[1]), int(words[2]) + 1))
    return []


def test_full_disk(writer, tool, disk):
    ballast = disk.place / "ballast"
    with open(ballast, "wb") as file:
        file.write(b"\1" * (BALLAST_MIB << 20))
    store = disk.place / "store"
    acked = []
    with subprocess.Popen([writer, f"file:{store}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            failure = read_lines(process, acked)
            require(failure == ["failed", "no_space", "not_applied"], f"the full disk gave {failure}")
            full_after = len(acked)
            require(full_after > 0, "nothing fitted on the disk")
            ballast.unlink()
            call("sync", "-f", disk.place)
            process.stdin.write("go\n")
            process.stdin.flush()
            while failure := read_lines(process, acked):
                require(failure[1] == "no_space", f"with space again: {failure}")
            process.wait(STEP_SECONDS_MAX)
        finally:
            process.kill()
    require(process.returncode == 0, f"writing did not go on; exit code {process.returncode}")
    require(read_numbers(tool, store) == acked, "what is there is not what was acknowledged")
    print(f"{full_after} items until the disk was full, {len(acked)} in the end, all there")


def test_read_only(writer, tool, disk):
    store = disk.place / "store"
    at = [tool, "--at", f"file:{store}"]
    call(*at, "stream", "create", "numbers")
    call(*at, "produce", "numbers", input="one\ntwo\n")
    disk.remount("ro")
    done = subprocess.run([writer, f"file:{store}"], stdout=subprocess.PIPE, text=True,
                          timeout=STEP_SECONDS_MAX)
    require(done.stdout.split() == ["failed", "read_only", "not_applied"], f"the writer said {done.stdout!r}")
    refused = subprocess.run([*at, "produce", "numbers"], input="three\n", stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=STEP_SECONDS_MAX)
    require(refused.returncode == 1, f"produce ended with {refused.returncode}")
    named = len(refused.stderr.splitlines()) == 1 and str(store) in refused.stderr
    require(named, f"produce must name the store in one line; it said {refused.stderr!r}")
    disk.remount("rw")
    call(*at, "produce", "numbers", input="three\n")
    found = call(*at, "consume", "numbers")
    require(found == "one\ntwo\nthree\n", f"the items are {found!r}")
    print(f"refused: {refused.stderr.strip()}")


def main():
    case, writer, tool = sys.argv[1:]
    tests = {"full_disk": test_full_disk, "read_only": test_read_only}
    with tempfile.TemporaryDirectory(prefix="tstreams-disk-") as name:
        with Disk(Path(name)) as disk:
            tests[case](writer, tool, disk)


if __name__ == "__main__":
    main()
