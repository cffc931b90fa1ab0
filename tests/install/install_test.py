#!/usr/bin/env python3
"""Installs the product into a temporary directory and uses one library of it from there, as an outside project would.

find_package: a CMake project; pkg_config: a plain compiler call; headers: each public header compiles alone,
from what is installed; documents: the samples of README.md and docs/api.md compile, and do what they say;
quickstart: what ./quickstart builds is all that is installed.
"""
import argparse
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STEP_SECONDS_MAX = 240
TOUR_HEAD = """#include <tstreams/async.hpp>
#include <tstreams/tstreams.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <iostream>
#include <thread>

using namespace std::chrono_literals;

// A client whose last owner was a handler is closed on a thread of its own, a moment after its sample has ended.
tstreams::client open_when_free(const char* uri) {
    for (int tries = 0;; ++tries) {
        try {
            return tstreams::client::open(uri);
        } catch (const tstreams::error& refused) {
            if (refused.code() != tstreams::errc::locked || tries == 600) throw;
        }
        std::this_thread::sleep_for(50ms);
    }
}
"""


def call(*command, environment=None):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=STEP_SECONDS_MAX, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(str(word) for word in command)}\nfailed:\n{done.stdout}")
    return done.stdout


EXPECTED = {"tstreams": ["one", "two"], "moebius": ["hello", "world"]}


def outside(options):
    return HERE / f"outside_{options.library}"


def run_outside(options, program, folder):
    found = call(program, folder / "store").split()
    if found != EXPECTED[options.library]:
        raise SystemExit(f"the outside program printed {found}")


def use_find_package(options, prefix, folder):
    call(options.cmake, "-S", outside(options), "-B", folder / "build", "-G", "Ninja",
         f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={options.compiler}")
    call(options.cmake, "--build", folder / "build")
    run_outside(options, folder / "build/outside", folder)


def pkg_config(options, prefix, *questions):
    """The answer for the installed package alone, wherever below the prefix its file is."""
    places = {str(file.parent) for file in prefix.rglob(f"{options.library}.pc")}
    if len(places) != 1:
        raise SystemExit(f"expected one {options.library}.pc below the prefix; found it in {sorted(places)}")
    environment = dict(os.environ, PKG_CONFIG_PATH=places.pop())
    return call("pkg-config", *questions, options.library, environment=environment).split()


def use_pkg_config(options, prefix, folder):
    flags = pkg_config(options, prefix, "--cflags", "--libs", "--static")
    libraries = pkg_config(options, prefix, "--variable=libdir")
    call(options.compiler, "-std=c++20", outside(options) / "outside.cpp", "-o", folder / "outside", *flags,
         f"-Wl,-rpath,{libraries[0]}")
    run_outside(options, folder / "outside", folder)


def compile_headers(options, prefix, _folder):
    include = prefix / "include"
    headers = sorted(file.relative_to(include) for folder in (options.library, "weave")
                     for file in (include / folder).rglob("*.hpp"))
    if not any(header.name == f"{options.library}.hpp" for header in headers):
        raise SystemExit(f"{options.library}/{options.library}.hpp is not installed")

    def compile_alone(header):
        call(options.compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
             "-I", include, "-include", include / header, "-x", "c++", os.devnull)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_alone, headers))
    print(f"{len(headers)} headers compile alone")


def samples(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def run_first_program(options, prefix, folder):
    """The quick start of the README: its program, its CMakeLists.txt; the second run reads what is new only."""
    (folder / "hello.cpp").write_text(samples("README.md", "cpp")[0].replace("/tmp/hello", f"{folder}/store"))
    (folder / "CMakeLists.txt").write_text(samples("README.md", "cmake")[0])
    call(options.cmake, "-S", folder, "-B", folder / "build", "-G", "Ninja",
         f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={options.compiler}")
    call(options.cmake, "--build", folder / "build")
    for _ in range(2):
        found = call(folder / "build/hello").split()
        if found != ["hello", "world"]:
            raise SystemExit(f"the first program of the README read {found}")


def tour(folder):
    """The samples of the README and of the tour as functions of one program, which runs those of the tour in order."""
    parts = [TOUR_HEAD]
    steps = []
    sources = [("README.md", sample) for sample in samples("README.md", "cpp")[1:] if "moebius::" not in sample]
    sources += [("docs/api.md", sample) for sample in samples("docs/api.md", "cpp")]
    for number, (document, sample) in enumerate(sources):
        sample = sample.replace("/var/lib/orders", f"{folder}/orders").replace("1min", "100ms")
        if sample.startswith("// at namespace scope"):
            parts.append(sample)
            continue
        whole = "client::open(" in sample or "tstreams::verify(" in sample
        parts.append(f"void sample_{number}({'' if whole else 'tstreams::client& client'}) {{\n{sample}}}\n")
        if document == "docs/api.md":
            free = f'open_when_free("file:{folder}/orders")'
            steps.append(f"    {free}.close();\n    sample_{number}();\n" if whole else
                         f"    {{ auto client = {free}; sample_{number}(client); }}\n")
    return "\n".join(parts) + f"\nint main() {{\n{''.join(steps)}}}\n", len(steps)


def use_documents(options, prefix, folder):
    run_first_program(options, prefix, folder)
    program, steps = tour(folder)
    (folder / "tour.cpp").write_text(program)
    call(options.compiler, "-std=c++20", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", folder / "tour.cpp",
         "-o", folder / "tour", *pkg_config(options, prefix, "--cflags", "--libs", "--static"))
    call(folder / "tour")
    print(f"{steps} samples of the tour have run")


def find_built(options, prefix, _folder):
    target = "tstreams_installed"
    if target not in (ROOT / "quickstart").read_text():
        raise SystemExit(f"quickstart does not build {target}")
    answer = call("ninja", "-C", options.build, "-t", "query", target).partition("outputs:")[0]
    built = {Path(name.strip(" |")).name for name in answer.splitlines()}
    installed = {file.name for file in prefix.rglob("*")
                 if file.is_file() and (file.parent.name == "bin" or file.suffix in (".a", ".so"))}
    if not installed or installed - built:
        raise SystemExit(f"{target} builds too little: installed {sorted(installed)}, not in it "
                         f"{sorted(installed - built)}")


def main():
    ways = {"find_package": use_find_package, "pkg_config": use_pkg_config, "headers": compile_headers,
            "documents": use_documents, "quickstart": find_built}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=EXPECTED)
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
