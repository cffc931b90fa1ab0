"""The examples that need no arguments: they run, and print what their comments promise."""

import os

import kills

HELLO = ["hello", "world"]
EVENTS = sorted(f"{kind} event {number}" for kind in ("stored", "live") for number in (1, 2, 3))


def lines(examples, name, *options):
    return kills.run([os.path.join(examples, name), *options]).splitlines()


def main():
    examples, _ = kills.arguments()
    kills.check(lines(examples, "embedded_hello") == HELLO, "embedded_hello")
    with kills.work_directory() as work:
        uri = "file:" + os.path.join(work, "store")
        for _ in range(2):  # the second run goes on behind what the first one read
            kills.check(lines(examples, "embedded_hello", uri) == HELLO, "embedded_hello on disk")

    printed = lines(examples, "group_pipeline")
    large = printed.index("large-orders:")
    amounts = [sorted(int(line.split()[1]) for line in part) for part in (printed[1:large], printed[large + 1:])]
    kills.check(amounts == [[30, 60, 90, 120], [150, 180, 210, 240, 270, 300]], f"group_pipeline: {printed}")

    printed = lines(examples, "subscriber")
    kills.check(sorted(line.split(": ")[1] for line in printed) == EVENTS, f"subscriber: {printed}")

    kills.check(lines(examples, "async") == ["6400 new events"], "async")


if __name__ == "__main__":
    main()
