#!/usr/bin/env python3
"""Makes flights.bin from flights-3m.parquet of the npm package vega-datasets.

    npm pack vega-datasets@3.2.1 && tar xzf vega-datasets-3.2.1.tgz
    pip install pyarrow
    ./convert.py package/data/flights-3m.parquet flights.bin

Keeps every 12th row, checks that the rows are in time order, and writes the records that README.md describes.
Only this conversion needs pyarrow; nothing else in the repository does.
"""
import struct
import sys

import pyarrow.parquet

KEEP_EVERY = 12
RECORD = struct.Struct("<IhH3s3s")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: convert.py flights-3m.parquet flights.bin")
    table = pyarrow.parquet.read_table(sys.argv[1])
    columns = [table.column("date").cast("int64").to_pylist()]
    columns += [table.column(name).to_pylist() for name in ("delay", "distance", "origin", "destination")]
    records = bytearray()
    last_minute = 0
    for row in list(zip(*columns))[::KEEP_EVERY]:
        micros, delay, distance, origin, destination = row
        minute, rest = divmod(micros, 60_000_000)
        if rest or minute < last_minute:
            sys.exit(f"{sys.argv[1]}: rows are not whole minutes in time order at {row}")
        if len(origin) != 3 or len(destination) != 3:
            sys.exit(f"{sys.argv[1]}: airport codes are not three letters at {row}")
        last_minute = minute
        records += RECORD.pack(minute, delay, distance, origin.encode("ascii"), destination.encode("ascii"))
    with open(sys.argv[2], "wb") as output:
        output.write(records)
    print(f"{len(records) // RECORD.size} flights, {len(records)} bytes")


if __name__ == "__main__":
    main()
