"""Results and position in one transaction of a database: killed 20 times, the table equals the input."""

import os
import sqlite3

import kills

KILLS = 20


def main():
    examples, dump = kills.arguments()
    chance = kills.seed()
    with kills.work_directory() as work:
        store = os.path.join(work, "store")
        database = os.path.join(work, "results.db")
        program = os.path.join(examples, "sink_sqlite")
        count = kills.kill_times(lambda items: [program, "file:" + store, database, str(items)], KILLS, chance)

        connection = sqlite3.connect(database)
        rows = sorted(int(value) for value, in connection.execute("select value from results"))
        positions = dict(connection.execute("select partition, after from positions"))
        connection.close()
        expected = list(range(1, count + 1))
        kills.check(rows == expected, f"the table has {len(rows)} rows, {len(set(rows))} of them different; "
                                      f"the input has {count}")

        stream = kills.dump(dump, store, "numbers")
        kills.check(sorted(int(text) for _, _, text in stream) == expected, "the stream is not the input")
        last = {}
        for partition, txn, _ in stream:
            last[partition] = txn
        kills.check(positions == last, f"positions {positions} are not the ends of the partitions {last}")
        print(f"stored {count} items under {KILLS} kills: 0 lost, 0 repeated")


if __name__ == "__main__":
    main()
