"""The exactly-once copy: killed 6 times, the copy holds every item of the input once, in order."""

import os

import kills

KILLS = 6


def main():
    examples, dump = kills.arguments()
    chance = kills.seed()
    with kills.work_directory() as work:
        store = os.path.join(work, "store")
        program = os.path.join(examples, "delivery_exactly_once")
        count = kills.kill_times(lambda items: [program, "file:" + store, str(items)], KILLS, chance)
        expected = [str(number) for number in range(1, count + 1)]
        for stream in ("numbers", "copies"):
            found = kills.dump(dump, store, stream)
            ids = [txn for _, txn, _ in found]
            kills.check(ids == sorted(ids), f"'{stream}': transaction ids go back")
            kills.check([text for _, _, text in found] == expected,
                        f"'{stream}': {len(found)} items differ from the {count} of the input")
        print(f"copied {count} items under {KILLS} kills: 0 lost, 0 repeated, in order")


if __name__ == "__main__":
    main()
