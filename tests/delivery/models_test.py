"""Each delivery model under SIGKILL, with the effects counted: what it may repeat or lose, and what it may not.

Half of the kills come at random; the others wait, with the program stopped, for a moment at which a transaction's
effects are half done, because that is where the models differ."""

import collections
import os

import kills

KILLS = 6
BATCH = 100  # items in a transaction of the examples' input


class HalfDone:
    """Whether the effects of a transaction are half done, in a state that was not counted before."""

    def __init__(self, path):
        self.path = path
        self.size = 0
        self.times = 0

    def __call__(self):
        size = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        if size <= self.size:
            return False
        with open(self.path, "rb") as effects:
            effects.seek(-min(64, size), os.SEEK_END)
            last = int(effects.read().split()[-1])
        if last % BATCH == 0:
            return False
        self.size = size
        self.times += 1
        return True


def effects_under_kills(model, chance):
    """Runs the model and counts each effect. Returns lost and repeated ones, and kills in mid-transaction."""
    examples, _ = kills.arguments()
    with kills.work_directory() as work:
        path = os.path.join(work, "effects")
        command = [os.path.join(examples, f"delivery_{model}_once"), "file:" + os.path.join(work, "store"),
                   path]
        half_done = HalfDone(path)
        count = kills.kill_times(lambda items: command + [str(items)], KILLS, chance, half_done)

        with open(path, encoding="ascii") as lines:
            times = collections.Counter(int(line) for line in lines)
        kills.check(min(times) >= 1 and max(times) <= count, f"{model} once: effects of items that never were")
        lost = count - len(times)
        repeated = sum(times.values()) - len(times)
        print(f"{model} once: {count} items, {KILLS} kills, {half_done.times} of them waited for a transaction that "
              f"was half done: {lost} effects lost, {repeated} repeated", flush=True)
        return lost, repeated, half_done.times


def main():
    chance = kills.seed()
    lost, repeated, half_done = effects_under_kills("at_least", chance)
    kills.check(lost == 0, "at least once has lost effects")
    kills.check(half_done == 0 or repeated > 0, "at least once killed in mid-transaction must have repeated something")
    lost, repeated, half_done = effects_under_kills("at_most", chance)
    kills.check(repeated == 0, "at most once has repeated effects")
    kills.check(half_done == 0 or lost > 0, "at most once killed in mid-transaction must have lost something")


if __name__ == "__main__":
    main()
