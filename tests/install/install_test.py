#!/usr/bin/env python3
"""Installs the product into a temporary directory and uses it from there, as an outside project would.

find_package: a CMake project; pkg_config: a plain compiler call; headers: each public header compiles alone,
from what is installed.
"""
import argparse
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OUTSIDE = Path(__file__).resolve().parent / "outside"
STEP_SECONDS_MAX = 240


def call(*command, environment=None):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=STEP_SECONDS_MAX, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(str(word) for word in command)}\nfailed:\n{done.stdout}")
    return done.stdout


def run_outside(program, folder):
    found = call(program, folder / "store").split()
    if found != ["one", "two"]:
        raise SystemExit(f"the outside program read {found}")


def use_find_package(options, prefix, folder):
    call(options.cmake, "-S", OUTSIDE, "-B", folder / "build", "-G", "Ninja",
         f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={options.compiler}")
    call(options.cmake, "--build", folder / "build")
    run_outside(folder / "build/outside", folder)


def pkg_config(prefix, *questions):
    """The answer for the installed package alone, wherever below the prefix its file is."""
    places = {str(file.parent) for file in prefix.rglob("tstreams.pc")}
    if len(places) != 1:
        raise SystemExit(f"expected one tstreams.pc below the prefix; found it in {sorted(places)}")
    environment = dict(os.environ, PKG_CONFIG_PATH=places.pop())
    return call("pkg-config", *questions, "tstreams", environment=environment).split()


def use_pkg_config(options, prefix, folder):
    flags = pkg_config(prefix, "--cflags", "--libs", "--static")
    libraries = pkg_config(prefix, "--variable=libdir")
    call(options.compiler, "-std=c++20", OUTSIDE / "outside.cpp", "-o", folder / "outside", *flags,
         f"-Wl,-rpath,{libraries[0]}")
    run_outside(folder / "outside", folder)


def compile_headers(options, prefix, _folder):
    include = prefix / "include"
    headers = sorted(file.relative_to(include) for file in include.rglob("*.hpp"))
    if not any(header.name == "tstreams.hpp" for header in headers):
        raise SystemExit("tstreams/tstreams.hpp is not installed")

    def compile_alone(header):
        call(options.compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
             "-I", include, "-include", include / header, "-x", "c++", os.devnull)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_alone, headers))
    print(f"{len(headers)} headers compile alone")


def main():
    ways = {"find_package": use_find_package, "pkg_config": use_pkg_config, "headers": compile_headers}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=ways)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--cmake", default="cmake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tstreams-install-") as name:
        folder = Path(name)
        prefix = folder / "prefix"
        call(options.cmake, "--install", options.build, "--prefix", prefix)
        ways[options.way](options, prefix, folder)


if __name__ == "__main__":
    main()
