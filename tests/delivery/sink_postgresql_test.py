"""Results and position in one transaction of a real PostgreSQL, under kills of the sink and of the server, lost
answers, and a newer instance beside a stopped one: the table equals the input."""

import os

import kills
import outside
import servers


def main():
    examples, dump = kills.arguments()
    chance = kills.seed()
    with kills.work_directory() as work, servers.PostgreSQL() as server:
        server.start()
        rounds = outside.Rounds(os.path.join(examples, "sink_postgresql"), dump, server, work, chance)
        rounds.kill(start=3, sink=10, server=2, both=2)
        rounds.compare()
        with servers.Proxy(server, ["lost", "unanswered", "late"] * 3, chance) as proxy:
            rounds.lose_answers(proxy)
        rounds.outlive(wanted=server.in_transaction)  # it holds locks, until the server ends its session
        rounds.outlive(wanted=lambda: not server.in_transaction())
        kills.check(rounds.counts["went back"] == 0, "the server has lost what it acknowledged")
        rounds.lose_writes(1)
        print(f"stored {rounds.count} items: 0 lost, 0 repeated; {dict(rounds.counts)}")


if __name__ == "__main__":
    main()
