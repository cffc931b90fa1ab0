#!/usr/bin/env python3
"""Moebius without T-streams: -DTSTREAMS_BUILD=OFF configures, builds, passes tests, installs, and serves an outside
project, and needs nothing of T-streams for it: neither its packages nor its targets.
"""
import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path

from install_test import ROOT, call, use_find_package, use_pkg_config

TESTS = ("moebius_message_test", "moebius_server_test", "moebius_requester_test", "moebius_hooks_test",
         "moebius_wire_test")
NOT_NEEDED = ("RocksDB", "CLI11", "nlohmann_json", "mimalloc", "PostgreSQL", "SQLite3", "OpenSSL")
PACKAGES = {"Boost", "boost_headers", "GTest", "PkgConfig", "Threads", "Python3", "libzmq"}
LIBRARIES = {"libzmq", "libstdc++", "libm", "libgcc_s", "libc", "ld-linux-x86-64", "libgtest", "libgtest_main"}
LINKED = {"weave", "moebius", "zmq", "gtest", "gtest_main"}


def refuse_others(what, found, allowed):
    if others := sorted(set(found) - allowed):
        raise SystemExit(f"{what} that Moebius does not need: {others}")


def configure(options, build):
    call(options.cmake, "-S", ROOT, "-B", build, "-G", "Ninja", "-DTSTREAMS_BUILD=OFF", "-DCMAKE_BUILD_TYPE=Release",
         f"-DCMAKE_CXX_COMPILER={options.compiler}", *(f"-DCMAKE_DISABLE_FIND_PACKAGE_{one}=ON" for one in NOT_NEEDED))
    cache = (build / "CMakeCache.txt").read_text()
    # Those that said "Found", those of pkg-config, and those with a configuration of their own.
    found = set(re.findall(r"^FIND_PACKAGE_MESSAGE_DETAILS_(\w+):|^(\w+)_FOUND:INTERNAL=1|^(\w+)_DIR:PATH=.*/cmake",
                           cache, re.MULTILINE))
    found = {name for names in found for name in names if name}
    if not {"Boost", "libzmq"} <= found:
        raise SystemExit(f"this does not see which packages are looked for: {sorted(found)}")
    refuse_others("packages", found, PACKAGES)
    libraries = re.findall(r"=\S*/(lib[\w+-]+)\.(?:so|a)\b", cache)
    refuse_others("libraries", libraries, LIBRARIES)
    # The linker leaves out what is not used, so what it is given counts, too.
    lines = re.findall(r"^ +LINK_LIBRARIES = (.*)", (build / "build.ninja").read_text(), re.MULTILINE)
    words = " ".join(lines).split()
    if "src/moebius/libmoebius.a" not in words:
        raise SystemExit("this does not see what is linked")
    refuse_others("linked libraries", (re.sub(r"^-l|\.(so|a)\b.*", "", word.rsplit("/")[-1]).removeprefix("lib")
                                       for word in words), LINKED)
    targets = call("ninja", "-C", build, "-t", "targets", "all")
    ours = set(re.findall(r"^(?:\S*/)?lib(\S+)\.(?:so|a)\b", targets, re.MULTILINE))
    if ours != {"weave", "moebius"}:
        raise SystemExit(f"libraries that are built: {sorted(ours)}")


def needed(program):
    return re.findall(r"NEEDED\s+(\S+?)\.so", call("objdump", "-p", program))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--cmake", default="cmake")
    options = parser.parse_args()
    options.library = "moebius"
    if shutil.which("ccache"):
        os.environ.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")
        os.environ.setdefault("CCACHE_NOHASHDIR", "1")  # the folder is another one each time
    with tempfile.TemporaryDirectory(prefix="tstreams-install-") as name:
        folder = Path(name)
        build, prefix = folder / "alone", folder / "prefix"
        configure(options, build)
        call(options.cmake, "--build", build, "-j", "2", "--target", "tstreams_installed", *TESTS)
        call("ctest", "--test-dir", build, "--no-tests=error", "--output-on-failure",
             "-R", f"^({'|'.join(TESTS)})$")
        for test in TESTS:
            refuse_others(f"libraries of {test}", needed(next(build.rglob(test))), LIBRARIES)
        call(options.cmake, "--install", build, "--prefix", prefix)
        strangers = [file for file in prefix.rglob("*") if "tstreams" in file.relative_to(prefix).as_posix()]
        if strangers or not (prefix / "include/moebius/moebius.hpp").exists():
            raise SystemExit(f"installed: {sorted(str(file) for file in strangers or prefix.rglob('*'))}")
        for number, way in enumerate((use_find_package, use_pkg_config)):
            (folder / str(number)).mkdir()
            way(options, prefix, folder / str(number))
        refuse_others("libraries of the outside project", needed(folder / "0/build/outside"), LIBRARIES)


if __name__ == "__main__":
    main()
