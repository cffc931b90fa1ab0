#!/usr/bin/env python3
"""What the example must produce, straight from the data file: the results stream, one item a line.

    ./expected.py data/flights.bin

prints "partition<TAB>item" in the order within each partition. It shares no code with flights_job.
"""
import struct
import sys
from datetime import datetime, timedelta

PARTITIONS = 4
WINDOW_MINUTES = 360
RECORD = struct.Struct("<IhH3s3s")


def read_flights(path):
    """(minute, delay, miles, origin, destination) of every flight, in the order of the file."""
    with open(path, "rb") as file:
        data = file.read()
    return [(minute, delay, miles, origin.decode(), destination.decode())
            for minute, delay, miles, origin, destination in RECORD.iter_unpack(data)]


def time_text(minute):
    return (datetime(1970, 1, 1) + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M")


def partition_of(airport):
    value = 2166136261
    for letter in airport.encode():
        value = (value ^ letter) * 16777619 % 2**32
    return value % PARTITIONS


def input_items(flights):
    """The items of the input stream, a list per partition."""
    items = [[] for _ in range(PARTITIONS)]
    for minute, delay, miles, origin, destination in flights:
        items[partition_of(origin)].append(f"{time_text(minute)},{origin},{destination},{delay},{miles}")
    return [some + ["end"] for some in items]


def result_items(flights):
    """The items of the results stream, a list per partition: windows by time and airport, then the total."""
    windows = {}
    totals = [0] * PARTITIONS
    for minute, delay, miles, origin, _ in flights:
        windows.setdefault((minute - minute % WINDOW_MINUTES, origin), []).append((delay, miles))
        totals[partition_of(origin)] += 1
    items = [[] for _ in range(PARTITIONS)]
    for (start, airport), some in sorted(windows.items()):
        delays = [delay for delay, _ in some]
        miles = sum(miles for _, miles in some)
        items[partition_of(airport)].append(
            f"{time_text(start)},{airport},{len(some)},{sum(delays)},{max(delays)},{miles}")
    return [some + [f"total,{total}"] for some, total in zip(items, totals)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: expected.py flights.bin")
    for number, some in enumerate(result_items(read_flights(sys.argv[1]))):
        for item in some:
            print(f"{number}\t{item}")
