// Out of T-streams into a database, exactly once: the results and the position that they stand for are
// written in one transaction of the database. T-streams stores no offset here; the database is the only place
// that knows how far the work is, and the consumer begins there.
//
// Run:  ./sink_sqlite file:/tmp/numbers /tmp/results.db [COUNT]      kill it whenever you like, and run it again
//       sqlite3 /tmp/results.db 'select count(*), count(distinct value) from results'
#include "numbered_input.hpp"

#include <sqlite3.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

struct close_database {
    void operator()(sqlite3* database) const noexcept { sqlite3_close(database); }
};
struct finalize_statement {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using statement_ptr = std::unique_ptr<sqlite3_stmt, finalize_statement>;

class results_database {
public:
    explicit results_database(const std::string& path) {
        sqlite3* opened = nullptr;
        const int status = sqlite3_open(path.c_str(), &opened);
        database_.reset(opened);
        check(status);
        // With synchronous=FULL a commit is on the disk when it returns, as a checkpoint at level sync is.
        execute(
            "pragma journal_mode = wal; pragma synchronous = full;"
            "create table if not exists results (value text not null);"
            "create table if not exists positions ("
            "  stream integer, partition integer, after integer not null, primary key (stream, partition));");
        insert_ = prepare("insert into results values (?)");
        move_ = prepare("insert or replace into positions values (?, ?, ?)");
    }

    // The stream's number is part of the key: a deleted and recreated stream starts again.
    std::vector<tstreams::partition_position> positions(const tstreams::stream_info& stream) {
        const auto select = prepare("select partition, after from positions where stream = ?");
        check(sqlite3_bind_int64(select.get(), 1, static_cast<sqlite3_int64>(stream.id)));
        std::vector<tstreams::partition_position> found;
        while (sqlite3_step(select.get()) == SQLITE_ROW) {
            const auto partition = static_cast<tstreams::partition_number>(sqlite3_column_int(select.get(), 0));
            const auto id = static_cast<std::uint64_t>(sqlite3_column_int64(select.get(), 1));
            found.push_back({partition, tstreams::transaction_id(id)});
        }
        return found;
    }

    // Results and position: all of it, or on a crash or failure nothing.
    void store(const tstreams::stream_info& stream, const tstreams::received_transaction& received) {
        execute("begin");
        for (const auto& item : received) {
            const auto text = item.text();
            check(sqlite3_bind_text(insert_.get(), 1, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
            run(insert_);
        }
        check(sqlite3_bind_int64(move_.get(), 1, static_cast<sqlite3_int64>(stream.id)));
        check(sqlite3_bind_int64(move_.get(), 2, received.partition()));
        check(sqlite3_bind_int64(move_.get(), 3, static_cast<sqlite3_int64>(received.id().value())));
        run(move_);
        execute("commit");
    }

private:
    void check(int status) const {
        if (status != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(database_.get()));
    }
    void execute(const char* sql) const { check(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr)); }
    [[nodiscard]] statement_ptr prepare(const char* sql) const {
        sqlite3_stmt* made = nullptr;
        check(sqlite3_prepare_v2(database_.get(), sql, -1, &made, nullptr));
        return statement_ptr(made);
    }
    void run(const statement_ptr& statement) const {
        if (sqlite3_step(statement.get()) != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(database_.get()));
        check(sqlite3_reset(statement.get()));
    }

    std::unique_ptr<sqlite3, close_database> database_;
    statement_ptr insert_;
    statement_ptr move_;
};

void run(tstreams::client& client, const std::string& database_path) {
    results_database database(database_path);
    const auto stream = client.stream("numbers");
    // Without a name: no offset is stored by T-streams. Partitions that the database does not know yet start
    // at the beginning.
    auto input = client.make_consumer("numbers", {.start = tstreams::after(database.positions(stream))});
    while (auto received = input.next(std::chrono::milliseconds(0))) database.store(stream, *received);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: sink_sqlite file:DIRECTORY DATABASE-FILE [COUNT]\n";
        return 2;
    }
    try {
        auto client = tstreams::client::open(argv[1]);
        feed_numbers(client, "numbers", 4, argc > 3 ? std::stoull(argv[3]) : 10'000);
        run(client, argv[2]);
    } catch (const std::exception& failure) {
        std::cerr << "sink_sqlite: " << failure.what() << "\n";
        return 1;
    }
}
