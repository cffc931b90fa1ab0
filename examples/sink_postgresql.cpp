// Out of T-streams into PostgreSQL, exactly once: the results and the position that they stand for are written in
// one transaction of the database, which is the only place that knows how far the work is.
//
// A commit whose outcome is unknown (the connection broke, the server was killed) is settled by asking the database
// for the position. An older instance that still runs, or wakes up, is refused: the database knows who owns the sink.
//
// Run:  ./sink_postgresql file:/tmp/numbers 'dbname=test' [COUNT]      kill it, or the server, and run it again
//       psql test -c 'select count(*), count(distinct value) from results'
#include "numbered_input.hpp"

#include <libpq-fe.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using positions = std::map<tstreams::partition_number, tstreams::transaction_id>;

// What was under way may have happened: go on from what the database says.
struct interrupted : std::runtime_error {
    using runtime_error::runtime_error;
};

struct finish_connection {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct clear_result {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using result_ptr = std::unique_ptr<PGresult, clear_result>;

class results_database {
public:
    // Connects, and takes the sink over: whatever an older instance sends from now on changes nothing.
    results_database(std::string conninfo, const tstreams::stream_info& stream)
        : conninfo_(std::move(conninfo)), stream_(stream), owner_(random_name()) {
        retry([&] {
            create_tables();
            begin();
            // Even where the server commits asynchronously the name of the owner must not be lost in a crash.
            run("set local synchronous_commit = on");
            run("insert into owners values ($1, $2) on conflict (stream) do update set owner = excluded.owner",
                {stream_id(), owner_});
            read_positions();
            run("commit");
        });
    }

    [[nodiscard]] std::vector<tstreams::partition_position> after() const {
        std::vector<tstreams::partition_position> list;
        for (const auto& [partition, id] : positions_) list.push_back({partition, id});
        return list;
    }

    // Results and position: all of it, or nothing. Throws `interrupted` where it may be either.
    void store(const tstreams::received_transaction& received) {
        const auto id = std::to_string(received.id().value());
        const auto partition = std::to_string(received.partition());
        auto& position = positions_.at(received.partition());
        begin();
        check_owner();
        for (const auto& item : received) run("insert into results values ($1)", {std::string(item.text())});
        // No row: the database is not where this instance left it, for example because its standby, which had not
        // everything, has taken its place. Results from there to here would be missing.
        const auto moved = run("update positions set after = $1 where stream = $2 and partition = $3 and after = $4",
                               {id, stream_id(), partition, std::to_string(position.value())});
        if (std::string(PQcmdTuples(moved.get())) != "1") throw interrupted("the position has been changed");
        run("commit");
        position = received.id();
    }

    // After `interrupted`: connects again and asks how far the work is. `lost` is the transaction that was under way.
    void resume(const tstreams::received_transaction& lost) {
        const auto known = positions_;
        retry([&] {
            begin();
            check_owner();
            read_positions();
            run("commit");
        });
        const bool done = positions_.at(lost.partition()) == lost.id();
        std::clog << "sink_postgresql: transaction " << lost.id().value() << " of partition " << lost.partition()
                  << (done ? " is stored\n" : " is not stored\n");
        for (const auto& [partition, id] : known) {
            if (positions_.at(partition) < id) {
                std::clog << "sink_postgresql: the database went back in partition " << partition << ", from "
                          << id.value() << " to " << positions_.at(partition).value() << "\n";
            }
        }
    }

private:
    static std::string random_name() {
        std::random_device random;
        return std::to_string(random()) + "-" + std::to_string(random()) + "-" + std::to_string(random());
    }
    [[nodiscard]] std::string stream_id() const { return std::to_string(stream_.id); }

    // Ids are numbers without a sign, which PostgreSQL has only as numeric.
    void create_tables() {
        begin();
        run("select pg_advisory_xact_lock(hashtext('tstreams sink'))");  // two at a time would fail at "if not exists"
        run("create table if not exists results (value text not null)");
        run("create table if not exists owners (stream numeric(20) primary key, owner text not null)");
        run("create table if not exists positions (stream numeric(20), partition integer, after numeric(20) not null,"
            " primary key (stream, partition))");
        run("commit");
    }

    void connect() {
        // The defaults come before the string, which may say otherwise. The last two end a connection whose other
        // side is gone: here a server that does not answer, there a sink that was stopped in the middle of a
        // transaction, whose locks would keep the next instance waiting.
        const char* const keys[] = {"connect_timeout", "tcp_user_timeout", "options", "dbname", nullptr};
        const char* const values[] = {"5", "10000", "-c idle_in_transaction_session_timeout=5s", conninfo_.c_str(),
                                      nullptr};
        connection_.reset(PQconnectdbParams(keys, values, 1));
        if (PQstatus(connection_.get()) != CONNECTION_OK) throw interrupted(PQerrorMessage(connection_.get()));
        PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
    }

    // Begins a transaction. One that an exception left open goes with its connection.
    void begin() {
        if (!connection_ || PQtransactionStatus(connection_.get()) != PQTRANS_IDLE) connect();
        run("begin isolation level read committed");
    }

    // The lock is held to the end of the transaction: a newer instance waits for a commit that is under way, and so
    // does resume(), for one that this instance sent over a connection that broke.
    void check_owner() {
        const auto found = run("select owner from owners where stream = $1 for update", {stream_id()});
        if (PQntuples(found.get()) != 1 || PQgetvalue(found.get(), 0, 0) != owner_) {
            throw std::runtime_error("the sink belongs to a newer instance; this one ends");
        }
    }

    // A statement of its own: what it sees was committed before the lock was given.
    void read_positions() {
        run("insert into positions select $1::numeric, n, 0 from generate_series(0, $2::integer - 1) n "
            "on conflict do nothing",
            {stream_id(), std::to_string(stream_.partitions)});
        const auto rows = run("select partition, after from positions where stream = $1", {stream_id()});
        positions_.clear();
        for (int row = 0; row < PQntuples(rows.get()); ++row) {
            const auto partition = std::stoul(PQgetvalue(rows.get(), row, 0));
            const auto id = std::stoull(PQgetvalue(rows.get(), row, 1));
            positions_[static_cast<tstreams::partition_number>(partition)] = tstreams::transaction_id(id);
        }
    }

    // One statement. A lost connection, and what the database undid for the sake of others (class 40), may be tried
    // again; any other error is one of the program or the server's set-up.
    result_ptr run(const char* sql, const std::vector<std::string>& parameters = {}) {
        std::vector<const char*> values;
        for (const auto& one : parameters) values.push_back(one.c_str());
        result_ptr result(PQexecParams(connection_.get(), sql, static_cast<int>(values.size()), nullptr, values.data(),
                                       nullptr, nullptr, 0));
        const auto status = PQresultStatus(result.get());
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return result;
        const char* const state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
        const std::string text = PQerrorMessage(connection_.get());
        if (PQstatus(connection_.get()) != CONNECTION_OK || (state && std::string(state).starts_with("40"))) {
            throw interrupted(text);
        }
        throw std::runtime_error(text);
    }

    // `work` may be done again after any interruption. Tries for about a minute.
    template <typename Work>
    void retry(Work work) {
        constexpr int tries_max = 300;
        for (int tries = 1;; ++tries) {
            try {
                return work();
            } catch (const interrupted& failure) {
                if (tries == tries_max) throw std::runtime_error(failure.what());
            }
            connection_.reset();
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }

    std::string conninfo_;
    tstreams::stream_info stream_;
    std::string owner_;
    positions positions_;  // what the database has, as far as this instance knows
    std::unique_ptr<PGconn, finish_connection> connection_;
};

void run(tstreams::client& client, const std::string& conninfo) {
    results_database database(conninfo, client.stream("numbers"));
    // Without a name: no offset is stored by T-streams.
    auto input = client.make_consumer("numbers", {.start = tstreams::after(database.after())});
    while (auto received = input.next(std::chrono::milliseconds(0))) {
        try {
            database.store(*received);
        } catch (const interrupted& failure) {
            std::clog << "sink_postgresql: " << failure.what() << "\n";
            database.resume(*received);
            input.set_position(tstreams::after(database.after()));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: sink_postgresql file:DIRECTORY CONNECTION-STRING [COUNT]\n";
        return 2;
    }
    try {
        auto client = tstreams::client::open(argv[1]);
        feed_numbers(client, "numbers", 4, argc > 3 ? std::stoull(argv[3]) : 10'000);
        run(client, argv[2]);
    } catch (const std::exception& failure) {
        std::cerr << "sink_postgresql: " << failure.what() << "\n";
        return 1;
    }
}
